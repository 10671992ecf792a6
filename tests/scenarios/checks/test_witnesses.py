"""Each witness has a history in which it finds its evidence, and near ones in which it must not."""

import signal

import pytest

from scenarios.catalog.fifo_order.checks import find_group_stopped_and_resumed, find_other_groups_ran_on
from scenarios.catalog.graceful_shutdown.checks import find_asked_to_end_at_work
from scenarios.catalog.happy.checks import find_all_deleted, find_all_sent
from scenarios.catalog.heartbeat.checks import find_work_outlasted_timeout
from scenarios.checks.invariants import poison_acknowledged
from scenarios.checks.witnesses import (
    crashed,
    find_claim_contention,
    find_dead_lettered_exactly,
    find_delivered_again_at_work,
    find_duplicated,
    find_failed_in_a_group,
    find_reordered,
    find_under_filled,
)
from tests.scenarios.recorded import DLQ, Told

AFTER_CLAIM = crashed("Claim", "after").find


def crash_after_claim(*, code=-signal.SIGKILL, point="after", again=("rescuer", "a", 2)):
    told = Told()
    told.send("a", "b")
    told.receive("doomed", "a")
    told.receive("rescuer", "b")
    at = told.do("doomed", "Claim", {"type": "Claimed", "fencing_token": 1}, key="a", owner="doomed", lease_seconds=1)
    told.fault("doomed", at, "Claim", point=point)
    told.exit("doomed", code)
    if again:
        process, identity, count = again
        told.receive(process, identity, count=count)
    return told.history


def test_a_crash_is_witnessed_by_fault_sigkill_and_redelivery():
    evidence = AFTER_CLAIM(crash_after_claim())
    assert evidence.summary == "doomed died by SIGKILL after Claim on message #0; rescuer received it again (receive 2)"
    assert {record["type"] for record in evidence.records} >= {"fault", "event", "ok"}


@pytest.mark.parametrize(
    "near",
    [
        {"code": 0},
        {"code": -signal.SIGTERM},
        {"point": "before"},
        {"again": None},
        {"again": ("rescuer", "b", 2)},
        {"again": ("doomed", "a", 2)},
        {"again": ("rescuer", "a", 1)},
    ],
    ids=[
        "it ended well",
        "SIGTERM",
        "elsewhere",
        "never again",
        "another message",
        "the same process",
        "no redelivery",
    ],
)
def test_what_is_nearly_a_crash_and_a_redelivery_is_no_witness(near):
    assert AFTER_CLAIM(crash_after_claim(**near)) is None


@pytest.mark.parametrize(
    ("operation", "point", "arguments"),
    [
        ("Receive", "after", None),
        ("PerformSideEffect", "after", {"key": "a", "message_id": "m-a", "sequence": 0, "group": None}),
        ("Delete", "before", {"messages": ["m-a"]}),
    ],
)
def test_the_message_in_hand_is_known_for_every_operation(operation, point, arguments):
    told = Told()
    told.send("a")
    if arguments is None:
        at = told.receive("doomed", "a")
    else:
        told.receive("doomed", "a")
        at = told.begin("doomed", operation, **arguments)
    told.fault("doomed", at, operation, point=point)
    told.exit("doomed", -signal.SIGKILL)
    told.receive("rescuer", "a", count=2)
    assert crashed(operation, point).find(told.history) is not None


def at_work(told, *, second="quick", before_its_end=True):
    told.send("a")
    told.receive("slow", "a")
    at = told.begin("slow", "PerformSideEffect", **told.about("a"))
    if before_its_end:
        told.receive(second, "a", count=2)
    told.end("slow", at, "PerformSideEffect", 1)
    if not before_its_end:
        told.receive(second, "a", count=2)
    return told.history


def test_a_delivery_during_the_work_is_witnessed():
    evidence = find_delivered_again_at_work(at_work(Told()))
    assert evidence.summary.startswith("once, e.g. message #0: quick received it")


@pytest.mark.parametrize("near", [{"before_its_end": False}, {"second": "slow"}], ids=["after the work", "to itself"])
def test_a_delivery_at_another_time_or_to_the_same_consumer_is_no_witness(near):
    assert find_delivered_again_at_work(at_work(Told(), **near)) is None


def poison(*, receives=2, dead=True, told_by_endpoint=None):
    told = Told(max_receive_count=2)
    told.send("p", poison=True)
    for count in range(1, receives + 1):
        told.receive("c", "p", count=count)
    if told_by_endpoint is not None:
        told.endpoint("dead-lettered", "p", receive_count=told_by_endpoint)
    if dead:
        told.dead_letter("p")
    return told.history


def test_exactly_max_receive_count_receives_are_witnessed():
    assert find_dead_lettered_exactly(poison()).summary == "1 of 1 poison messages, each after 2 receives"
    assert find_dead_lettered_exactly(poison(told_by_endpoint=2)) is not None


@pytest.mark.parametrize(
    "near",
    [{"receives": 1}, {"receives": 3}, {"dead": False}, {"told_by_endpoint": 1}],
    ids=["too early", "too late", "not at all", "the endpoint counts otherwise"],
)
def test_another_number_of_receives_is_no_witness(near):
    assert find_dead_lettered_exactly(poison(**near)) is None


def moved_by_its_consumer(*, body=None, finds=True):
    """One poison message is received once, sent to the dead-letter queue by its consumer, and deleted."""
    told = Told(max_receive_count=2)
    told.send("p", poison=True)
    told.receive("c", "p")
    told.delete("c", "p")
    there = {**told.delivered("p"), "message_id": "m-moved"} | ({} if body is None else {"body": body})
    told.do("lab-dead-letters", "Receive", [there] if finds else [], DLQ, max_messages=10, wait_seconds=1)
    return told.history


def test_poison_that_its_consumer_puts_into_the_dead_letter_queue_is_where_it_belongs():
    history = moved_by_its_consumer()
    assert find_dead_lettered_exactly(history).summary == "1 of 1 poison messages, each by its consumer"
    assert poison_acknowledged(history) == []


@pytest.mark.parametrize("near", [{"body": "something else"}, {"finds": False}])
def test_poison_that_its_consumer_deletes_is_not(near):
    history = moved_by_its_consumer(**near)
    assert find_dead_lettered_exactly(history) is None
    assert [violation.message_ids for violation in poison_acknowledged(history)] == [("m-p",)]


def test_no_poison_is_no_witness():
    told = Told()
    told.send("a")
    assert find_dead_lettered_exactly(told.history) is None


def test_all_sent_needs_every_acknowledgement():
    told = Told()
    assert find_all_sent(told.history) is None
    told.send("a")
    assert find_all_sent(told.history).count == 1
    told.send("b", acknowledged=False)
    assert find_all_sent(told.history) is None


def test_all_deleted_needs_every_message_gone():
    told = Told()
    told.send("a", "b")
    told.handle("c", "a")
    assert find_all_deleted(told.history) is None
    told.handle("c", "b")
    assert find_all_deleted(told.history).summary == "2 of 2 messages"


def group_failure(*, goes_on=False, behind=True, meanwhile="one"):
    """Group g: a, b (fails once), and c behind it in the same receive; group h: x, done meanwhile by somebody."""
    told = Told(fifo=True)
    told.send("a", "b", "c", group="g")
    told.send("x", group="h")
    told.receive("one", "a", "b", *(["c"] if behind else []))
    told.effect("one", "a")
    at = told.begin("one", "PerformSideEffect", **told.about("b"))
    told.fault("one", at, "PerformSideEffect", kind="error")
    told.fail("one", at, "PerformSideEffect")
    if goes_on:
        told.effect("one", "c")
    told.handle(meanwhile, "x")
    told.receive("two", "b", "c", count=2)
    told.effect("two", "b")
    if not goes_on:
        told.effect("two", "c")
    return told.history


def test_a_group_that_stopped_and_went_on_is_witnessed():
    evidence = find_group_stopped_and_resumed(group_failure())
    assert evidence.summary.startswith("group g stopped at message #1, held back 1 in hand")


@pytest.mark.parametrize("near", [{"goes_on": True}, {"behind": False}], ids=["it went on", "nothing to hold back"])
def test_a_group_that_did_not_stop_is_no_witness(near):
    assert find_group_stopped_and_resumed(group_failure(**near)) is None


def test_other_groups_that_the_consumer_went_on_with_are_witnessed():
    assert find_other_groups_ran_on(group_failure()).summary == "one did 1 messages of h while g stood still"


def test_other_groups_that_another_consumer_took_say_nothing_of_the_one_that_failed():
    assert find_other_groups_ran_on(group_failure(meanwhile="two")) is None


def test_other_groups_before_the_failure_are_no_witness():
    told = Told(fifo=True)
    told.send("b", group="g")
    told.send("x", group="h")
    told.handle("two", "x")
    at = told.begin("one", "PerformSideEffect", **told.about("b"))
    told.fault("one", at, "PerformSideEffect", kind="error")
    told.fail("one", at, "PerformSideEffect")
    told.effect("one", "b")
    assert find_other_groups_ran_on(told.history) is None


def test_the_endpoints_word_witnesses_duplicates_disorder_and_short_receives():
    told = Told()
    told.send("a")
    assert find_duplicated(told.history) is None
    assert find_reordered(told.history) is None
    assert find_under_filled(told.history) is None
    told.endpoint("delivered", "a", receive_count=1, chaos=["reordered", "duplicate"])
    told.endpoint("underfilled", "a", available=5, returned=2)
    assert find_duplicated(told.history).summary == "once, e.g. message #0 delivered twice"
    assert find_reordered(told.history).summary == "once, e.g. message #0 delivered out of order"
    assert find_under_filled(told.history).summary == "once, e.g. 2 of 5 available messages"


def test_without_an_endpoint_two_receives_within_the_visibility_timeout_are_a_duplicate():
    told = Told(visibility_timeout=1.0)
    told.send("a")
    told.receive("c", "a")
    told.receive("d", "a", count=2)
    assert find_duplicated(told.history) is not None


@pytest.mark.parametrize("why", ["the timeout was over", "it was given back"])
def test_a_redelivery_is_no_duplicate(why):
    told = Told(visibility_timeout=1.0)
    told.send("a")
    told.receive("c", "a")
    if why == "the timeout was over":
        told.now += 1.0
    else:
        told.do("c", "ChangeVisibility", [], messages=["m-a"], timeout=0)
    told.receive("d", "a", count=2)
    assert find_duplicated(told.history) is None


@pytest.mark.parametrize(("order", "seen"), [(["b", "a"], True), (["a", "b"], False)])
def test_without_an_endpoint_first_deliveries_against_the_order_of_sends_are_disorder(order, seen):
    told = Told()
    told.send("a", "b")
    for identity in order:
        told.receive("c", identity)
    assert (find_reordered(told.history) is not None) is seen


# --- consumers of other designs -----------------------------------------------------------------------------------


def test_a_crash_at_the_side_effect_is_one_at_a_call_with_a_key_as_well():
    told = Told()
    told.send("a")
    told.receive("doomed", "a")
    at = told.begin("doomed", "CallApi", idempotency_key="a", **told.about("a"))
    told.fault("doomed", at, "CallApi", point="before")
    told.exit("doomed", -signal.SIGKILL)
    told.receive("rescuer", "a", count=2)
    assert crashed("PerformSideEffect", "before").find(told.history)
    assert not crashed("PerformSideEffect", "after").find(told.history)
    assert not crashed("Delete", "before").find(told.history)


def test_a_crash_after_a_claim_under_a_key_of_the_consumers_own_is_about_what_it_had_received_last():
    def told_of(last):
        told = Told()
        told.send("a", "b")
        told.receive("doomed", last)
        answer = {"type": "Claimed", "fencing_token": 1}
        at = told.do("doomed", "Claim", answer, key="books/a", owner="doomed", lease_seconds=1)
        told.fault("doomed", at, "Claim")
        told.exit("doomed", -signal.SIGKILL)
        told.receive("rescuer", "a", count=2)
        return told.history

    assert AFTER_CLAIM(told_of("a"))
    assert AFTER_CLAIM(told_of("b")) is None


@pytest.mark.parametrize(("key", "holds", "seen"), [("a", "a", True), ("books/a", "a", True), ("books/b", "b", False)])
def test_a_refused_claim_under_any_key_is_contention_where_another_is_at_work_on_it(key, holds, seen):
    told = Told()
    told.send("a", "b")
    told.receive("one", "a")
    work = told.begin("one", "PerformSideEffect", **told.about("a"))
    told.receive("two", holds, count=2)
    told.do("two", "Claim", {"type": "HeldByAnother"}, key=key, owner="two", lease_seconds=1)
    told.end("one", work, "PerformSideEffect", 1)
    assert bool(find_claim_contention(told.history)) is seen


@pytest.mark.parametrize(("behind", "seen"), [("g", True), ("h", False)])
def test_a_failure_in_a_group_needs_another_message_of_it_behind(behind, seen):
    told = Told(fifo=True)
    told.send("a", group="g")
    told.send("b", group=behind)
    told.receive("one", "a")
    work = told.begin("one", "PerformSideEffect", **told.about("a"))
    told.fault("one", work, "PerformSideEffect", kind="error", nth=1)
    told.fail("one", work, "PerformSideEffect")
    assert find_failed_in_a_group(told.history) is None
    told.receive("one", "a", count=2)
    told.effect("one", "a")
    assert bool(find_failed_in_a_group(told.history)) is seen


@pytest.mark.parametrize("at_work", [True, False])
def test_a_request_to_end_counts_where_it_comes_amid_work(at_work):
    told = Told()
    told.send("a")
    told.receive("one", "a")
    work = told.begin("one", "PerformSideEffect", **told.about("a"))
    if not at_work:
        told.end("one", work, "PerformSideEffect", 1)
    told.event("lab", "asked-to-end", asked="one", heard_within=0.0)
    if at_work:
        told.end("one", work, "PerformSideEffect", 1)
    assert bool(find_asked_to_end_at_work(told.history)) is at_work


@pytest.mark.parametrize(("seconds", "seen"), [(2.0, True), (0.5, False)])
def test_work_outlasts_the_timeout_where_it_takes_longer(seconds, seen):
    told = Told(visibility_timeout=1.0)
    told.send("a")
    told.receive("one", "a")
    work = told.begin("one", "PerformSideEffect", **told.about("a"))
    told.now += seconds
    told.end("one", work, "PerformSideEffect", 1)
    assert bool(find_work_outlasted_timeout(told.history)) is seen
