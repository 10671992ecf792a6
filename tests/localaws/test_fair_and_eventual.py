"""Fair queues, and what settles in its own time: purges, counts, names."""

import pytest

from infra.localaws.sqs.errors import PurgeQueueInProgress, QueueDeletedRecently
from infra.localaws.sqs.eventual_consistency import EventualConsistency
from infra.localaws.sqs.tenants import NOISY_MINIMUM
from tests.localaws.lab import Lab


def _groups(lab, most=10):
    return [delivery.message.group for delivery in lab.receive("q", most)]


def _flood(lab, messages, group="noisy"):
    for number in range(messages):
        lab.send("q", str(number), group=group)


@pytest.mark.parametrize(("in_flight", "first"), [(29, "noisy"), (30, "quiet")])
def test_a_tenant_is_noisy_from_30_messages_in_flight_on(lab, in_flight, first):
    assert NOISY_MINIMUM == 30
    lab.model.create_queue("q")
    _flood(lab, 100)
    for most in (10, 10, in_flight - 20):
        assert _groups(lab, most) == ["noisy"] * most
    lab.send("q", "x", group="quiet")
    assert _groups(lab, 1) == [first]


@pytest.mark.parametrize(("others", "first"), [(270, "noisy"), (269, "quiet")])
def test_a_tenant_is_noisy_with_more_than_a_tenth_of_the_messages_in_flight(lab, others, first):
    lab.model.create_queue("q")
    for number in range(others):
        lab.send("q", str(number))
    _flood(lab, 100)
    for _ in range(29):
        lab.receive("q")
    lab.receive("q", 10 - (270 - others))
    queue = lab.model.queue("q")
    assert queue.in_flight == others + 30
    lab.send("q", "x", group="quiet")
    assert _groups(lab, 1) == [first]


def test_a_tenant_is_noisy_with_more_than_a_tenth_of_the_recent_processing_time(lab):
    lab.model.create_queue("q")
    _flood(lab, 100)
    _flood(lab, 2, "quiet")
    assert _groups(lab, 1) == ["noisy"]
    lab.wait(1)
    assert _groups(lab, 1) == ["quiet"]


@pytest.mark.parametrize(("pause", "first"), [(0, "quiet"), (600, "noisy")])
def test_processing_time_long_ago_counts_no_more(lab, pause, first):
    lab.model.create_queue("q", {"VisibilityTimeout": "43200"})
    _flood(lab, 100)
    for number in range(20):
        lab.send("q", f"none {number}")
    [done] = lab.receive("q", 1)
    lab.wait(1)
    lab.model.delete("q", done.receipt_handle)
    for _ in range(2):
        assert all(delivery.body.startswith("none") for delivery in lab.receive("q"))
    lab.wait(pause)
    lab.send("q", "x", group="quiet")
    assert _groups(lab, 1) == [first]


def test_a_message_without_a_tenant_is_never_noisy(lab):
    lab.model.create_queue("q")
    for number in range(60):
        lab.send("q", str(number), group="noisy" if number < 50 else None)
    assert [_groups(lab) for _ in range(5)][3:] == [[None] * 10, ["noisy"] * 10]


def test_the_noisy_tenant_with_the_fewest_messages_in_flight_goes_first(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "1000"})
    for group, messages in (("a", 40), ("b", 32)):
        _flood(lab, messages, group)
    for _ in range(3):
        assert _groups(lab) == ["a"] * 10
    lab.wait(1)
    assert [_groups(lab) for _ in range(3)] == [["b"] * 10] * 3
    assert _groups(lab) == ["a", "b", "a", "b"] + ["a"] * 6
    assert _groups(lab) == ["a"] * 2
    lab.wait(1000)
    assert sum(len(_groups(lab)) for _ in range(8)) == 72


def test_a_tenant_stays_noisy_until_its_backlog_is_consumed(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "1000"})
    _flood(lab, 35)
    taken = [delivery for _ in range(3) for delivery in lab.receive("q")]
    _flood(lab, 2, "quiet")
    assert _groups(lab, 1) == ["quiet"]
    for delivery in taken:
        lab.model.delete("q", delivery.receipt_handle)
    assert _groups(lab, 1) == ["quiet"]
    assert _groups(lab) == ["noisy"] * 5
    _flood(lab, 1)
    _flood(lab, 1, "quiet")
    assert _groups(lab) == ["noisy", "quiet"]


@pytest.mark.parametrize(("pause", "first"), [(299, "quiet"), (300, "noisy")])
def test_a_tenant_is_quiet_again_after_five_minutes_with_none_in_flight(lab, pause, first):
    lab.model.create_queue("q", {"VisibilityTimeout": "1000"})
    _flood(lab, 35)
    taken = [delivery for _ in range(3) for delivery in lab.receive("q")]
    for number in range(40):
        lab.send("q", f"none {number}")
    lab.receive("q")
    for delivery in taken:
        lab.model.delete("q", delivery.receipt_handle)
    lab.wait(pause)
    lab.send("q", "x", group="quiet")
    for _ in range(3 if first == "quiet" else 0):
        lab.receive("q")
    assert _groups(lab, 1) == [first]


def test_a_reset_and_a_purge_forget_the_noisy_tenant(lab):
    lab.model.create_queue("q")
    for forget in (lambda: lab.model.reset("q"), lambda: lab.model.purge("q")):
        for number in range(40):
            lab.send("q", str(number), group="a")
        assert [len(_groups(lab)) for _ in range(3)] == [10] * 3
        forget()
        lab.send("q", "x", group="a")
        assert _groups(lab) == ["a"]


def _purged(seed):
    lab = Lab(seed=seed, consistency=EventualConsistency(purge=60))
    lab.model.create_queue("q")
    early = {lab.send("q", f"early {number}") for number in range(10)}
    assert lab.model.purge("q") == 10
    received = lab.receive("q", 2)
    assert len(received) == 2
    late = set()
    for number in range(60):
        late.add(lab.send("q", f"late {number}"))
        lab.wait(1)
    left = {delivery.message_id for _ in range(8) for delivery in lab.receive("q")}
    return early, late, left, lab


def test_a_slow_purge_takes_all_from_before_and_some_of_what_comes_meanwhile():
    lost = 0
    for seed in range(5):
        early, late, left, lab = _purged(seed)
        assert not early & left
        assert left <= late
        [purge] = lab.named("purged")
        assert purge["count"] == len(early) + len(late - left)
        assert set(purge["message_ids"]) == early | (late - left)
        lost += len(late - left)
    assert lost


def test_a_slow_purge_is_the_same_with_the_same_seed():
    assert _purged(3)[:3] == _purged(3)[:3]


def test_a_queue_can_be_reset_to_a_slow_purge_of_its_own_and_others_stay_quick():
    lab = Lab()
    for name in ("slow", "quick"):
        lab.model.create_queue(name)
        lab.model.reset(name, purge_seconds=60 if name == "slow" else None)
        lab.send(name, "early")
        lab.model.purge(name)
    assert lab.bodies("slow", 1) == ["early"]
    assert lab.bodies("quick", 1) == []
    lab.wait(60)
    assert lab.bodies("slow", 1) == []


def test_a_second_purge_within_the_interval_is_refused_and_without_an_interval_it_is_not():
    for consistency, refused in ((EventualConsistency(), True), (EventualConsistency(purge_interval=0), False)):
        lab = Lab(consistency=consistency)
        lab.model.create_queue("q")
        lab.model.purge("q")
        if refused:
            with pytest.raises(PurgeQueueInProgress, match="every 60 seconds"):
                lab.model.purge("q")
            lab.wait(60)
        lab.model.purge("q")


def test_a_name_can_be_used_again_after_the_set_time():
    for seconds in (60, 5, 0):
        lab = Lab(consistency=EventualConsistency(name_reuse=seconds))
        lab.model.create_queue("q")
        lab.model.delete_queue("q")
        if seconds:
            with pytest.raises(QueueDeletedRecently, match=f"wait {seconds} seconds"):
                lab.model.create_queue("q")
        lab.wait(seconds)
        lab.model.create_queue("q")


def test_slow_counts_tell_of_the_past_and_settle():
    lab = Lab(consistency=EventualConsistency(counts=60))
    lab.model.create_queue("q")
    told = set()
    for number in range(50):
        lab.send("q", str(number))
        lab.wait(1)
        told.add(int(lab.model.attribute_texts("q")["ApproximateNumberOfMessages"]))
    assert len(told) > 5
    assert min(told) < 25
    for _ in range(61):
        lab.wait(1)
        lab.model.attribute_texts("q")
    assert {lab.model.attribute_texts("q")["ApproximateNumberOfMessages"] for _ in range(20)} == {"50"}


def test_a_time_that_is_none_is_refused():
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="counts is a number of seconds"):
            EventualConsistency(counts=wrong)
