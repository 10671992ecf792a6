"""How a consumer ends: histories that the invariant accepts and rejects, and what each witness takes for evidence."""

import pytest

from scenarios.shutdown import (
    abandoned,
    find_asked_twice,
    find_ended_in_a_long_poll,
    find_finished_in_hand,
    find_released_early,
)
from tests.scenarios.told import Told


def shutdown(*, deletes=True, gives_back=True, signalled=True, code=0, other_after=0.0, requests=1):
    """A consumer receives three, finishes one, leaves a rejected one, and is asked to end before the third."""
    told = Told(visibility_timeout=6.0)
    told.send("a", "b", "c")
    told.receive("leaving", "a", "b", "c")
    told.effect("leaving", "a")
    for identity, outcome in (("a", "done"), ("b", "rejected")):
        told.event("leaving", "handled", message_id=f"m-{identity}", key=identity, outcome=outcome)
    if gives_back:
        told.do("leaving", "ChangeVisibility", [], messages=["m-c"], timeout=0)
    if deletes:
        told.delete("leaving", "a")
    told.event("leaving", "stopped", done=1, signalled=signalled, requests=requests)
    told.exit("leaving", code)
    told.now += other_after
    told.receive("staying", "c", count=2)
    return told


def test_who_finishes_and_gives_back_abandons_nothing():
    assert abandoned(shutdown().history) == []


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"gives_back": False}, "leaving ended with message #2 in hand: neither begun nor given back."),
        ({"deletes": False}, "leaving ended with message #0 in hand: done and not deleted."),
    ],
)
def test_what_is_neither_finished_nor_given_back_is_abandoned(how, sentence):
    assert [found.summary for found in abandoned(shutdown(**how).history)] == [sentence]


def test_an_end_that_no_signal_asked_for_is_no_shutdown():
    history = shutdown(gives_back=False, signalled=False).history
    assert abandoned(history) == []
    assert find_released_early(history) is find_finished_in_hand(history) is None


def test_what_was_given_back_and_came_before_its_timeout_could_end_is_evidence():
    evidence = find_released_early(shutdown().history)
    assert evidence.summary.startswith("1 messages, e.g. message #2: leaving gave it back, and staying received it ")


@pytest.mark.parametrize("how", [{"gives_back": False}, {"other_after": 6.0}], ids=["never given back", "too late"])
def test_what_came_by_its_timeout_is_no_evidence_of_a_release(how):
    assert find_released_early(shutdown(**how).history) is None


@pytest.mark.parametrize(("how", "found"), [({}, True), ({"code": 1}, False), ({"gives_back": False}, False)])
def test_a_batch_is_left_in_the_middle_if_one_is_finished_and_others_are_given_back(how, found):
    assert (find_finished_in_hand(shutdown(**how).history) is not None) is found


@pytest.mark.parametrize(
    ("last_poll", "code", "found"), [((), 0, True), (("a",), 0, False), ((), 1, False)], ids=["empty", "full", "died"]
)
def test_an_end_in_a_long_poll_is_an_empty_poll_and_then_the_end(last_poll, code, found):
    told = Told()
    told.send("a")
    told.receive("c", *last_poll)
    told.event("c", "stopped", done=0, signalled=True)
    told.exit("c", code)
    assert (find_ended_in_a_long_poll(told.history) is not None) is found


@pytest.mark.parametrize(
    ("how", "found"),
    [({}, True), ({"requests": 1}, False), ({"gives_back": False}, False), ({"code": 1}, False)],
    ids=["twice", "once", "hurried", "failed"],
)
def test_a_second_request_that_hurries_nobody_is_evidence(how, found):
    assert (find_asked_twice(shutdown(**{"requests": 2, **how}).history) is not None) is found
