"""How many batches a mapping has in hand, and what becomes of those that cannot be invoked."""

from random import Random

import pytest

from infra.localaws.lambda_.actions import Failure, Result
from infra.localaws.lambda_.settings import MappingSettings, Pollers
from tests.localaws.lambda_.rig import Rig, failing

ONE_BY_ONE = MappingSettings(batch_size=1)


def many(rig, count):
    rig.send(*map(str, range(count)))


def test_a_standard_queue_begins_with_five_batches_at_once():
    rig = Rig(ONE_BY_ONE, seconds=0.9)
    many(rig, 50)
    rig.run(0.8)
    assert rig.running == 5


def test_a_backlog_adds_three_hundred_batches_a_minute():
    rig = Rig(ONE_BY_ONE, seconds=1_000, visibility=40_000)
    many(rig, 500)
    rig.run(60.5)
    assert rig.running == 305


def test_a_mapping_stops_growing_at_twelve_hundred_and_fifty_batches():
    rig = Rig(ONE_BY_ONE, seconds=10_000, visibility=40_000)
    rig.concurrency.account = 2_000
    many(rig, 1_500)
    rig.run(400)
    assert rig.running == 1_250


def test_an_idle_mapping_falls_back_to_five():
    rig = Rig(ONE_BY_ONE, seconds=20, visibility=40_000)
    many(rig, 200)
    rig.run(20)
    assert rig.mapping.concurrency > 50
    rig.run(200)
    assert rig.left() == 0
    assert rig.mapping.concurrency == 5


def test_maximum_concurrency_bounds_the_batches_of_a_mapping():
    rig = Rig(MappingSettings(batch_size=1, maximum_concurrency=2), seconds=3)
    many(rig, 20)
    rig.run(100)
    assert rig.most_running == 2
    assert rig.left() == 0
    # What the function cannot take is not received either.
    assert max(int(r["attributes"]["ApproximateReceiveCount"]) for i in rig.invocations for r in i.records) == 1


def test_maximum_concurrency_also_ends_the_growth():
    rig = Rig(MappingSettings(batch_size=1, maximum_concurrency=12), seconds=100, visibility=4_000)
    many(rig, 50)
    rig.run(60)
    assert rig.running == 12


def test_function_errors_make_a_mapping_back_off_and_successes_bring_it_back():
    failing_now = [True]
    rig = Rig(
        ONE_BY_ONE,
        handler=lambda _: Result(b"{}", Failure.ERROR) if failing_now[0] else None,
        seconds=1,
        visibility=10,
    )
    many(rig, 10)
    rig.run(5.5)
    assert rig.mapping.concurrency == 2
    failing_now[0] = False
    rig.run(60)
    assert rig.mapping.concurrency == 5


def test_item_failures_do_not_scale_a_mapping_down():
    rig = Rig(
        MappingSettings(batch_size=1, report_item_failures=True),
        handler=lambda i: failing(i.records[0]["messageId"]),
        seconds=1,
        visibility=10,
    )
    many(rig, 10)
    rig.run(20)
    assert rig.mapping.concurrency >= 5


def test_a_throttled_batch_stays_in_hand_and_is_tried_again_with_backoff():
    rig = Rig(ONE_BY_ONE, reserved=1, seconds=4, visibility=30)
    many(rig, 2)
    rig.run(12)
    assert [i.bodies for i in rig.invocations] == [["0"], ["1"]]
    second = rig.invocations[1]
    assert second.attempt > 1
    # The same receive: a throttle alone costs no receive count.
    assert second.records[0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert rig.left() == 0


def test_the_pauses_between_tries_of_a_throttled_batch_grow():
    rig = Rig(ONE_BY_ONE, reserved=0, visibility=60)
    rig.send("a")
    rig.run(59)
    assert rig.invocations == []
    attempts = [e["attempt"] for e in rig.named("batch-throttled")]
    assert attempts == list(range(1, len(attempts) + 1))
    assert 6 <= len(attempts) <= 14


def test_a_throttled_batch_is_dropped_when_its_visibility_timeout_is_over_and_comes_by_another_receive():
    rig = Rig(ONE_BY_ONE, reserved=0, visibility=10)
    (message,) = rig.send("a")
    rig.run(9.9)
    assert rig.named("messages-dropped") == []
    rig.run(0.2)
    assert rig.named("messages-dropped")[0]["messages"] == [message]
    rig.concurrency.reserve("worker", 1)
    rig.run(5)
    assert rig.invocations[0].records[0]["attributes"]["ApproximateReceiveCount"] == "2"
    assert rig.left() == 0


def test_throttling_alone_dead_letters_messages_that_the_handler_never_saw():
    rig = Rig(ONE_BY_ONE, reserved=1, seconds=9, visibility=10, max_receive_count=2)
    many(rig, 12)
    rig.run(120)
    never_ran = set(map(str, range(12))) - {body for i in rig.invocations for body in i.bodies}
    dead = set(rig.lab.bodies("dead") + rig.lab.bodies("dead"))
    assert rig.left() == 0
    assert never_ran
    assert never_ran <= dead


def test_maximum_concurrency_within_the_reserved_concurrency_loses_nothing_to_throttles():
    settings = MappingSettings(batch_size=1, maximum_concurrency=2)
    rig = Rig(settings, reserved=2, seconds=9, visibility=10, max_receive_count=2)
    many(rig, 12)
    rig.run(120)
    assert rig.dead() == 0
    assert rig.named("batch-throttled") == []
    assert {body for i in rig.invocations for body in i.bodies} == set(map(str, range(12)))


def test_a_mapping_does_not_grow_while_a_throttle_holds_it_up():
    rig = Rig(ONE_BY_ONE, reserved=1, seconds=1, visibility=30)
    many(rig, 100)
    rig.run(20)
    assert rig.mapping.concurrency <= 5


def test_provisioned_pollers_keep_ten_batches_each():
    rig = Rig(MappingSettings(batch_size=1, pollers=Pollers(3, 4)), seconds=500, visibility=4_000)
    many(rig, 100)
    rig.run(0.5)
    assert rig.running == 30
    rig.run(60)
    assert rig.running == 40


# FIFO queues


def test_fifo_concurrency_is_the_number_of_groups_with_messages():
    rig = Rig(ONE_BY_ONE, fifo=True, seconds=5)
    for group in range(8):
        rig.send_group(f"g{group}", f"{group}/a", f"{group}/b")
    rig.run(1)
    assert rig.running == 8
    rig.run(30)
    assert rig.most_running == 8
    assert rig.left() == 0


def test_fifo_concurrency_is_bounded_by_maximum_concurrency():
    rig = Rig(MappingSettings(batch_size=1, maximum_concurrency=3), fifo=True, seconds=5)
    for group in range(8):
        rig.send_group(f"g{group}", f"{group}/a")
    rig.run(30)
    assert rig.most_running == 3
    assert rig.left() == 0


def test_one_fifo_batch_may_hold_several_groups_and_keeps_each_groups_order():
    rig = Rig(fifo=True)
    for n in range(3):
        rig.send_group("a", f"a{n}")
        rig.send_group("b", f"b{n}")
    rig.run(1)
    (invocation,) = rig.invocations
    assert [b for b in invocation.bodies if b[0] == "a"] == ["a0", "a1", "a2"]
    assert [b for b in invocation.bodies if b[0] == "b"] == ["b0", "b1", "b2"]


def test_all_retries_of_a_failed_fifo_batch_come_before_later_messages_of_its_groups():
    answers = [Result(b"{}", Failure.ERROR), Result(b"{}", Failure.ERROR)]
    rig = Rig(
        MappingSettings(batch_size=2), fifo=True, visibility=10, handler=lambda _: answers.pop() if answers else None
    )
    rig.send_group("g", *"abcd")
    rig.run(60)
    assert [i.bodies for i in rig.invocations] == [["a", "b"], ["a", "b"], ["a", "b"], ["c", "d"]]
    assert rig.left() == 0


def test_a_fifo_function_that_returns_the_first_failure_and_the_rest_keeps_the_order():
    stops = ["b"]

    def handler(invocation):
        ids = [r["messageId"] for r in invocation.records]
        if stops and stops[0] in invocation.bodies:
            at = invocation.bodies.index(stops.pop())
            return failing(*ids[at:])
        return None

    rig = Rig(MappingSettings(report_item_failures=True), fifo=True, visibility=10, handler=handler)
    rig.send_group("g", *"abc")
    rig.run(15)
    assert [i.bodies for i in rig.invocations] == [["a", "b", "c"], ["b", "c"]]
    assert rig.left() == 0


def test_large_messages_of_one_fifo_group_are_never_in_two_invocations_at_once():
    bodies = [f"{n}" + "x" * 1_000_000 for n in range(10)]
    rig = Rig(fifo=True, seconds=2, visibility=100)
    rig.send_group("g", *bodies)
    rig.run(10)
    assert rig.most_running == 1
    assert [b[0] for i in rig.invocations for b in i.bodies] == list("0123456789")
    assert rig.left() == 0


def test_what_follows_a_failed_message_in_a_split_fifo_receive_waits_for_its_return():
    bodies = [f"{n}" + "x" * 1_000_000 for n in range(10)]
    answers = [Result(b"{}", Failure.ERROR)]
    rig = Rig(fifo=True, visibility=20, handler=lambda _: answers.pop() if answers else None)
    rig.send_group("g", *bodies)
    rig.run(19)
    assert len(rig.invocations) == 1
    rig.run(10)
    assert [b[0] for i in rig.invocations[1:] for b in i.bodies] == list("0123456789")


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_and_nothing_is_left_in_hand_whatever_fails(seed):
    rng = Random(seed)

    def handler(invocation):
        draw = rng.random()
        if draw < 0.2:
            return Result(b"{}", rng.choice(list(Failure)))
        ids = [r["messageId"] for r in invocation.records]
        return failing(*[i for i in ids if rng.random() < 0.3])

    settings = MappingSettings(batch_size=rng.choice([1, 5, 10]), report_item_failures=True, window=rng.choice([0, 2]))
    faults = [{n for n in range(10) if rng.random() < 0.2} for _ in range(30)]
    rig = Rig(settings, handler=handler, reserved=2, seconds=1, visibility=15, delete_faults=faults)
    many(rig, 60)
    rig.run(2_000)
    assert rig.left() == 0
    assert {body for i in rig.invocations for body in i.bodies} == set(map(str, range(60)))
    assert rig.mapping.in_hand == ()
    rig.mapping.disable()
    rig.run(30)
    assert rig.mapping.is_idle
