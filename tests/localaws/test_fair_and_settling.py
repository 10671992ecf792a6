"""Fair queues, and what settles in its own time: purges, counts, names."""

import pytest

from infra.localaws.sqs.errors import PurgeQueueInProgress, QueueDeletedRecently
from infra.localaws.sqs.settling import Settling
from infra.localaws.sqs.tenants import NOISY_MINIMUM
from tests.localaws.lab import Lab


def _groups(lab, most=10):
    return [delivery.message.group for delivery in lab.receive("q", most)]


def test_a_quiet_tenants_messages_overtake_a_noisy_ones(lab):
    lab.model.create_queue("q")
    for number in range(100):
        lab.send("q", str(number), group="noisy")
    for _ in range(NOISY_MINIMUM // 10 + 1):
        assert _groups(lab) == ["noisy"] * 10
    for number in range(3):
        lab.send("q", f"quiet {number}", group="quiet")
    assert _groups(lab) == ["quiet"] * 3 + ["noisy"] * 7


def test_a_message_without_a_tenant_is_never_noisy(lab):
    lab.model.create_queue("q")
    for number in range(50):
        lab.send("q", str(number), group="noisy" if number < 40 else None)
    assert [_groups(lab) for _ in range(3)][1:] == [[None] * 10, ["noisy"] * 10]


def test_a_tenant_that_is_quiet_again_gets_its_place_back(lab):
    lab.model.create_queue("q")
    for number in range(30):
        lab.send("q", str(number), group="a")
    first = lab.receive("q")
    for number in range(20):
        lab.send("q", f"b {number}", group="b")
    assert _groups(lab, 1) == ["b"]
    for delivery in first:
        lab.model.delete("q", delivery.receipt_handle)
    assert [delivery.body for delivery in lab.receive("q", 3)] == ["10", "11", "12"]


def test_nothing_is_withheld_and_the_noisy_take_turns(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "1000"})
    for number in range(60):
        lab.send("q", str(number), group="ab"[number % 2])
    taken = [group for _ in range(6) for group in _groups(lab)]
    assert sorted(taken) == ["a"] * 30 + ["b"] * 30
    assert taken[-10:] == ["a", "b"] * 5
    lab.wait(1000)
    assert sum(len(_groups(lab)) for _ in range(6)) == 60


def test_a_reset_and_a_purge_forget_who_was_noisy(lab):
    lab.model.create_queue("q")
    for forget in (lambda: lab.model.reset("q"), lambda: lab.model.purge("q")):
        for number in range(40):
            lab.send("q", str(number), group="a")
        assert len(_groups(lab)) == 10
        assert len(_groups(lab)) == 10
        forget()
        lab.send("q", "x", group="a")
        assert _groups(lab) == ["a"]


def _purged(seed):
    lab = Lab(seed=seed, settling=Settling(purge=60))
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
    for settling, refused in ((Settling(), True), (Settling(purge_interval=0), False)):
        lab = Lab(settling=settling)
        lab.model.create_queue("q")
        lab.model.purge("q")
        if refused:
            with pytest.raises(PurgeQueueInProgress, match="every 60 seconds"):
                lab.model.purge("q")
            lab.wait(60)
        lab.model.purge("q")


def test_a_name_can_be_used_again_after_the_set_time():
    for seconds in (60, 5, 0):
        lab = Lab(settling=Settling(name_reuse=seconds))
        lab.model.create_queue("q")
        lab.model.delete_queue("q")
        if seconds:
            with pytest.raises(QueueDeletedRecently, match=f"wait {seconds} seconds"):
                lab.model.create_queue("q")
        lab.wait(seconds)
        lab.model.create_queue("q")


def test_slow_counts_tell_of_the_past_and_settle():
    lab = Lab(settling=Settling(counts=60))
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
            Settling(counts=wrong)
