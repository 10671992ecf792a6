"""How a consumer ends: histories that the invariant accepts and rejects, and what each witness takes for evidence."""

import pytest

from scenarios.catalog.graceful_shutdown.checks import (
    abandoned,
    begun_after_sigterm,
    find_asked_twice,
    find_ended_in_a_long_poll,
    find_finished_in_hand,
    find_released_early,
)
from scenarios.history.events import ASKED_TO_END
from scenarios.lab import SIGNAL_SECONDS
from services.operations import PerformSideEffect, PutItem
from tests.scenarios.recorded import Told


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


def test_a_consumer_that_finishes_and_returns_abandons_nothing():
    assert abandoned(shutdown().history) == []


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"gives_back": False}, "leaving ended with message #2 in hand: neither finished nor given back."),
        ({"deletes": False}, "leaving ended with message #0 in hand: done and not deleted."),
    ],
)
def test_what_is_neither_finished_nor_given_back_is_abandoned(how, sentence):
    assert [found.summary for found in abandoned(shutdown(**how).history)] == [sentence]


def in_hand(*, says=True, fails=False, late=True, deletes=False, gives_back=False):
    """A consumer is asked to end with a message in hand, does it, and says that it failed."""
    told = Told()
    told.send("a")
    told.receive("leaving", "a")
    if late:
        told.event("lab", ASKED_TO_END, asked="leaving", heard_within=SIGNAL_SECONDS)
    told.effect("leaving", "a")
    if fails == "Transact":
        given = {"writes": (PutItem("inbox/a", "done"),), "effect": PerformSideEffect("a", "m-a")}
        told.fail("leaving", told.begin("leaving", "Transact", **given), "Transact")
    elif fails:
        told.fail("leaving", told.begin("leaving", "Complete", key="a", fencing_token=1), "Complete")
    if says:
        told.event("leaving", "handled", message_id="m-a", key="a", outcome="failed")
    if not late:
        told.event("lab", ASKED_TO_END, asked="leaving", heard_within=SIGNAL_SECONDS)
    if gives_back:
        told.do("leaving", "ChangeVisibility", [], messages=["m-a"], timeout=0)
    if deletes:
        told.delete("leaving", "a")
    told.event("leaving", "stopped", done=0, signalled=True, requests=1)
    told.exit("leaving", 0)
    return told.history


@pytest.mark.parametrize(
    ("how", "why"),
    [({}, "broken off, and not given back"), ({"says": False}, "neither finished nor given back")],
    ids=["says so", "says nothing"],
)
def test_what_fails_after_the_request_though_nothing_has_failed_was_broken_off(how, why):
    (violation,) = abandoned(in_hand(**how))
    assert violation.summary == f"leaving ended with message #0 in hand: {why}."


@pytest.mark.parametrize(
    "how",
    [{"fails": True}, {"fails": True, "says": False}, {"late": False}, {"gives_back": True}, {"fails": "Transact"}],
    ids=["the store failed", "failed, and says nothing", "before the request", "given back", "a transaction failed"],
)
def test_what_failed_for_a_reason_or_was_given_back_is_left_to_the_queue(how):
    assert abandoned(in_hand(**how)) == []


@pytest.mark.parametrize("says", [True, False])
def test_what_is_deleted_is_finished_whatever_was_said_of_it(says):
    assert abandoned(in_hand(deletes=True, says=says)) == []


def test_what_was_said_and_deleted_of_an_earlier_delivery_says_nothing_of_the_last():
    told = Told()
    told.send("a")
    told.handle("leaving", "a")
    told.event("leaving", "handled", message_id="m-a", key="a", outcome="done")
    told.receive("leaving", "a", count=2)
    told.event("leaving", "stopped", done=1, signalled=True, requests=1)
    (violation,) = abandoned(told.history)
    assert violation.summary == "leaving ended with message #0 in hand: neither finished nor given back."


def begins(*, claims=True, after=SIGNAL_SECONDS, by_a_disturbance=False, again=False, looks_at=""):
    """A consumer receives two messages, is asked to end at the first, and begins the second."""
    told = Told()
    told.send("a", "b")
    told.receive("leaving", "a", "b")

    if looks_at:
        told.do("leaving", "LookUpSideEffect", False, key=looks_at)

    def begin(identity):
        if claims:
            answer = {"type": "Claimed", "fencing_token": 1}
            told.do("leaving", "Claim", answer, key=identity, owner="leaving", lease_seconds=1)
        at = told.begin("leaving", "PerformSideEffect", **told.about(identity))
        if identity == "a" and by_a_disturbance:
            told.fault("leaving", at, "PerformSideEffect", kind="sigterm")
        elif identity == "a":
            told.event("lab", ASKED_TO_END, asked="leaving", heard_within=SIGNAL_SECONDS)
        told.end("leaving", at, "PerformSideEffect", 1)

    begin("a")
    told.now += after
    begin("a" if again else "b")
    return told.history


@pytest.mark.parametrize(
    "how",
    [{}, {"claims": False}, {"by_a_disturbance": True, "after": 0.0}, {"looks_at": "a"}],
    ids=["claims", "effects", "at once", "it had looked for another"],
)
def test_what_is_begun_after_a_request_to_end_is_found(how):
    (violation,) = begun_after_sigterm(begins(**how))
    assert violation.summary == "leaving was asked to end, and began message #1 after that."


@pytest.mark.parametrize(
    "how",
    [{"after": 0.0}, {"again": True}, {"looks_at": "b"}],
    ids=["the signal is on its way", "in hand", "it had looked before it claims"],
)
def test_what_may_not_have_heard_of_the_request_or_is_in_hand_is_not_begun_after_it(how):
    assert begun_after_sigterm(begins(**how)) == []


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


@pytest.mark.parametrize(
    ("how", "found"), [({}, True), ({"code": 1}, False), ({"gives_back": False}, False), ({"deletes": False}, False)]
)
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
def test_a_second_request_to_end_that_changes_nothing_is_evidence(how, found):
    assert (find_asked_twice(shutdown(**{"requests": 2, **how}).history) is not None) is found
