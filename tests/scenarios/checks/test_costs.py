"""Waste is a warning: each kind has a history that it must show in, and a near one in which it must not."""

import pytest

from scenarios.checks.costs import (
    HOT_TURNS,
    IDLE_RECEIVES,
    REFUSALS,
    hot_loops,
    idle_loops,
    many_receives,
    refused_loops,
)
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.verdict import Conditions, Outcome, judge
from tests.scenarios.recorded import Told


def received(times):
    told = Told(max_receive_count=10)
    told.send("a")
    for count in range(1, times):
        told.receive("one", "a", count=count)
    told.handle("one", "a", count=times)
    told.ledger(a=1)
    return told


def test_many_receives_a_message_are_waste_and_a_few_are_not():
    assert "1 messages took 4 receives" in many_receives(received(4).history)[0].summary
    assert many_receives(received(3).history) == []


def test_a_message_that_was_never_done_has_no_price():
    told = Told()
    told.send("a")
    for count in range(1, 6):
        told.receive("one", "a", count=count)
    told.ledger()
    assert many_receives(told.history) == []


def empty_receives(times, *, gap=0.0, process="one", full=0):
    told = Told()
    told.send("a")
    for number in range(1, times + 1):
        told.receive(process, *(["a"] if number == full else []))
        told.now += gap
    return told.history


@pytest.mark.parametrize(
    ("history", "found"),
    [
        (empty_receives(IDLE_RECEIVES), 1),
        (empty_receives(IDLE_RECEIVES - 1), 0),
        (empty_receives(IDLE_RECEIVES, gap=1.0), 0),
        (empty_receives(IDLE_RECEIVES, full=10), 0),
        (empty_receives(2 * IDLE_RECEIVES, full=10), 1),
        (empty_receives(IDLE_RECEIVES, process="lab-dead-letters"), 0),
    ],
    ids=["a loop", "one too few", "a long poll", "a message between", "a loop after it", "the lab"],
)
def test_an_empty_queue_that_is_asked_in_quick_succession_is_waste(history, found):
    assert len(idle_loops(history)) == found


def refused_receives(times, *, gap=0.0, full=0):
    told = Told()
    told.send("a")
    for number in range(1, times + 1):
        if number == full:
            told.receive("one", "a")
        else:
            invocation = told.begin("one", "Receive", max_messages=10, wait_seconds=1)
            told.fail("one", invocation, "Receive")
        told.now += gap
    return told.history


@pytest.mark.parametrize(
    ("history", "found"),
    [
        (refused_receives(REFUSALS), 1),
        (refused_receives(REFUSALS - 1), 0),
        (refused_receives(REFUSALS, gap=1.0), 0),
        (refused_receives(2 * REFUSALS - 2, full=REFUSALS), 0),
        (refused_receives(2 * REFUSALS, full=REFUSALS), 1),
    ],
    ids=["a loop", "one too few", "with a back-off", "an answer between", "a loop after it"],
)
def test_what_refuses_and_is_asked_again_in_quick_succession_is_waste(history, found):
    assert len(refused_loops(history)) == found


@pytest.mark.parametrize(
    ("turns", "taker", "timeout", "found"),
    [(HOT_TURNS, "one", 0, 1), (HOT_TURNS - 1, "one", 0, 0), (HOT_TURNS, "two", 0, 0), (HOT_TURNS, "one", 5, 0)],
)
def test_a_message_given_back_and_taken_again_in_a_circle_is_waste(turns, taker, timeout, found):
    told = Told(max_receive_count=10)
    told.send("a")
    told.receive("one", "a")
    for count in range(2, turns + 2):
        told.do("one", "ChangeVisibility", (), messages=["m-a"], timeout=timeout)
        told.receive(taker, "a", count=count)
    assert len(hot_loops(told.history)) == found


def test_waste_is_a_warning_and_convicts_nobody():
    twin = NaiveTwin("m:C", "sense", "duplicated-side-effect")
    scenario = Scenario("s", "a story", "fast", lambda lab: None, (), (), twin, Parameters(1, 1))
    conditions = Conditions(seed=1, parameters=Parameters(1, 1), tier="sim")
    wasteful = judge(scenario, received(4).history, conditions)
    assert wasteful.outcome is Outcome.PASS
    assert list(wasteful.warnings) == ["many-receives"]
    assert wasteful.as_json()["warnings"][0]["violations"][0]["message_ids"] == ["m-a"]
    assert judge(scenario, received(2).history, conditions).warnings == {}
