"""What a purge takes: what somebody loses that they count on, and what is evidence of the danger window."""

import pytest

from scenarios.catalog.purge_timing.checks import find_danger_window, find_leftovers_purged, work_lost
from tests.scenarios.recorded import QUEUE, Told


def purge(*, taken=("old", "probe"), waits=60.0, answered=True):
    """A leftover, a purge, a probe two seconds after it, and work after a wait; some of it is purged, the rest done."""
    told = Told()
    told.send("old", endpoint=True, purpose="leftover")
    invocation = told.begin("producer-2", "Purge")
    if answered:
        told.end("producer-2", invocation, "Purge")
    told.now += 2.0
    told.send("probe", endpoint=True, purpose="probe")
    told.now += waits
    told.send("work", endpoint=True, purpose="work")
    told.event("endpoint", "purged", queue=QUEUE, count=len(taken), message_ids=[f"m-{identity}" for identity in taken])
    for identity in ("old", "probe", "work"):
        if identity not in taken:
            told.handle("c", identity)
            told.endpoint("deleted", identity)
    return told.history


def test_work_that_was_purged_is_lost_and_its_sentence_says_when_it_was_sent():
    [violation] = work_lost(purge(taken=("old", "work"), waits=1.0))
    assert violation.summary == (
        "message #2 was sent 3.4 s after the purge was asked for, acknowledged, never done, and is in no queue."
    )


@pytest.mark.parametrize("taken", [("old",), ("old", "probe")])
def test_messages_without_a_purpose_may_be_purged(taken):
    assert work_lost(purge(taken=taken)) == []


def test_work_that_is_lost_without_any_purge_is_lost_as_well():
    told = Told()
    told.send("a", purpose="work")
    told.delete("c", "a")
    assert [item.summary for item in work_lost(told.history)] == [
        "message #0 was sent, acknowledged, never done, and is in no queue."
    ]


def test_the_danger_window_is_told_by_what_was_sent_after_the_call_and_purged():
    assert find_danger_window(purge()).summary == (
        "purged of those sent before the call: 1 of 1; within 60 s of it: 1 of 1, the last one 2.1 s after it; "
        "later: 0 of 1"
    )


@pytest.mark.parametrize("how", [{"taken": ("old",)}, {"answered": False}], ids=["nothing after it", "no purge"])
def test_without_a_message_that_was_sent_after_the_call_and_purged_no_window_was_seen(how):
    assert find_danger_window(purge(**how)) is None


@pytest.mark.parametrize(("taken", "found"), [(("old",), True), (("probe",), False)])
def test_leftovers_are_purged_if_none_is_left_and_none_was_done(taken, found):
    assert (find_leftovers_purged(purge(taken=taken)) is not None) is found


def test_what_was_purged_is_in_no_queue_any_more():
    history = purge()
    assert history.purged.keys() == {"m-old", "m-probe"}
    assert history.unsettled == []
