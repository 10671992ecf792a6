"""Payloads out of line: histories that each invariant rejects, and what the witnesses take for evidence."""

import pytest

from scenarios.catalog.large_payload.checks import (
    REMOVER,
    SWEEPER,
    acked_without_payload,
    done_without_payload,
    find_comes_again_done,
    find_died_after_removal,
    find_gone_rejected,
    find_larger_than_a_message,
    find_orphan_swept,
    good_dead_lettered,
    orphans_left,
    payload_forgotten,
)
from tests.scenarios.recorded import Told

LARGE = {"characters": 2_000_000}


def told_of(*, fetched=LARGE, done=True, taken_away=False, dead_lettered=False):
    """One message with a payload; it is fetched, done and deleted unless said otherwise."""
    told = Told()
    told.do("producer", "PutObject", None, key="payloads/a", **LARGE)
    told.send("a", payload_key="payloads/a")
    if taken_away:
        told.do(REMOVER, "RemoveObject", None, key="payloads/a")
    told.receive("c", "a")
    if fetched != "never":
        told.do("c", "FetchObject", fetched, key="payloads/a")
    if done:
        told.effect("c", "a")
        told.delete("c", "a")
    if dead_lettered:
        told.dead_letter("a")
    return told


def test_what_is_fetched_done_and_deleted_violates_nothing():
    history = told_of().history
    assert good_dead_lettered(history) == acked_without_payload(history) == done_without_payload(history) == []


@pytest.mark.parametrize("fetched", ["never", None], ids=["never asked for", "not there"])
def test_a_side_effect_without_its_payload_is_found(fetched):
    found = done_without_payload(told_of(fetched=fetched).history)
    assert [item.summary for item in found] == ["c did message #0 without its payload."]


def test_a_payload_that_comes_after_the_side_effect_is_none():
    told = told_of(fetched="never")
    told.do("c", "FetchObject", LARGE, key="payloads/a")
    assert len(done_without_payload(told.history)) == 1


@pytest.mark.parametrize(("taken_away", "count"), [(False, 1), (True, 0)])
def test_a_good_message_in_the_dead_letter_queue_is_excused_by_a_payload_that_the_lab_took(taken_away, count):
    told = told_of(fetched=None, done=False, taken_away=taken_away, dead_lettered=True)
    assert len(good_dead_lettered(told.history)) == count


def test_a_payload_that_a_consumer_or_the_clean_up_removed_is_no_excuse():
    told = told_of(fetched=None, done=False, dead_lettered=True)
    for process in ("c", SWEEPER):
        told.do(process, "RemoveObject", None, key="payloads/a")
    assert len(good_dead_lettered(told.history)) == 1


def test_what_is_done_although_its_payload_is_gone_is_found():
    found = acked_without_payload(told_of(taken_away=True).history)
    assert [item.summary for item in found] == ["message #0 was done or deleted, and its payload was gone."]


def test_an_object_in_the_bucket_at_the_end_is_found():
    told = told_of()
    told.event("lab", "payloads", keys=[])
    assert orphans_left(told.history) == []
    told.event("lab", "payloads", keys=["payloads/x"])
    assert [item.summary for item in orphans_left(told.history)] == ["The object payloads/x is still in the bucket."]


def forgotten(*, swept=True, removed=(), died=False, done=True, dead_lettered=False):
    """One message whose payload the clean-up finds; ``removed`` says who set out to remove it before."""
    told = told_of(done=done, dead_lettered=dead_lettered)
    for process in removed:
        at = told.begin(process, "RemoveObject", key="payloads/a")
        told.fail(process, at, "RemoveObject")
    told.exit("c", -9 if died else 0)
    if swept:
        told.do(SWEEPER, "RemoveObject", None, key="payloads/a")
    return told.history


def test_a_payload_that_no_consumer_tried_to_remove_is_found_by_the_clean_up():
    (found,) = payload_forgotten(forgotten())
    assert found.summary == "c deleted message #0 and never removed its payload."
    assert found.message_ids == ("m-a",)


@pytest.mark.parametrize(
    "near",
    [{"swept": False}, {"removed": ("c",)}, {"died": True}, {"done": False, "dead_lettered": True}],
    ids=["nothing swept", "the removal failed", "died in between", "not deleted"],
)
def test_a_payload_that_was_left_for_a_reason_is_not_forgotten(near):
    assert payload_forgotten(forgotten(**near)) == []


def test_a_payload_that_the_lab_took_away_is_not_removed_by_a_consumer():
    assert len(payload_forgotten(forgotten(removed=(REMOVER,)))) == 1


def test_the_orphan_of_an_unsent_message_is_not_forgotten():
    assert payload_forgotten(orphaned()) == []


def comes_back(*, done=True, again=True, removed=False):
    told = told_of(done=False)
    if done:
        told.effect("c", "a")
    if removed:
        told.do("c", "RemoveObject", None, key="payloads/a")
    if again:
        told.receive("d", "a", count=2)
    return told.history


@pytest.mark.parametrize(("removed", "by_then"), [(False, ""), (True, ", and its payload was removed by then")])
def test_a_message_that_is_done_and_comes_again_is_evidence(removed, by_then):
    assert find_comes_again_done(comes_back(removed=removed)).summary == (
        f"once, e.g. message #0: c did it, d received it again (receive 2){by_then}"
    )


@pytest.mark.parametrize("near", [{"done": False}, {"again": False}])
def test_a_message_that_is_not_done_or_does_not_come_again_is_no_evidence(near):
    assert find_comes_again_done(comes_back(**near)) is None


def orphaned(*, code=-9, swept=True, sent=False):
    told = Told()
    told.do("dying", "PutObject", None, key="payloads/o", **LARGE)
    if sent:
        told.send("o", payload_key="payloads/o")
    told.exit("dying", code)
    if swept:
        told.do(SWEEPER, "RemoveObject", None, key="payloads/o")
    return told.history


def test_an_orphan_that_the_clean_up_removed_is_evidence():
    assert find_orphan_swept(orphaned()).summary == (
        "dying died between upload and send and left 1 objects; the clean-up removed them"
    )


@pytest.mark.parametrize("near", [{"code": 0}, {"swept": False}, {"sent": True}], ids=["lives", "left", "no orphan"])
def test_an_object_that_is_no_orphan_or_stays_is_no_evidence(near):
    assert find_orphan_swept(orphaned(**near)) is None


@pytest.mark.parametrize(
    ("how", "found"),
    [({}, True), ({"taken_away": False}, False), ({"fetched": LARGE}, False), ({"dead_lettered": False}, False)],
    ids=["gone and dead-lettered", "not taken away", "was there", "not dead-lettered"],
)
def test_a_gone_payload_is_missed_and_its_message_dead_lettered(how, found):
    gone = {"fetched": None, "done": False, "taken_away": True, "dead_lettered": True}
    assert (find_gone_rejected(told_of(**{**gone, **how}).history) is not None) is found


@pytest.mark.parametrize(("fetched", "found"), [(LARGE, True), ({"characters": 5}, False), (None, False)])
def test_a_payload_larger_than_a_message_has_to_arrive_whole(fetched, found):
    assert (find_larger_than_a_message(told_of(fetched=fetched).history) is not None) is found


@pytest.mark.parametrize(
    ("missed", "kind", "found"), [(False, "crash", True), (True, "crash", False), (False, "delay", False)]
)
def test_a_death_after_a_removal_that_no_consumer_misses_is_evidence(missed, kind, found):
    told = told_of()
    at = told.do("c", "RemoveObject", None, key="payloads/a")
    told.fault("c", at, "RemoveObject", kind)
    if missed:
        told.do("d", "FetchObject", None, key="payloads/a")
    assert (find_died_after_removal(told.history) is not None) is found
