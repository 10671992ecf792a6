"""Orders that go through and orders that go back, as the judge sees them."""

import signal

import pytest

from scenarios.catalog.saga.checks import (
    find_crashed_compensating,
    find_refused_halfway,
    find_saga_compensated,
    find_went_through,
    partial_saga,
    undone_before_done,
    undone_out_of_order,
)
from scenarios.checks.invariants import duplicated_side_effect
from tests.scenarios.recorded import Told

THROUGH = ("reserve", "charge", "ship")
BACK = ("reserve", "charge", "ship!", "refund", "release")


def told_of(*steps, settled=True):
    """Tell of one order; a step with a ``!`` is refused."""
    told = Told()
    told.send("a")
    told.receive("c", "a")
    for step in steps:
        key = f"a/{step.rstrip('!')}"
        if step.endswith("!"):
            refuse(told, key)
        else:
            told.effect("c", "a", key=key)
    if settled:
        told.delete("c", "a")
    return told


def refuse(told, key):
    at = told.begin("c", "PerformSideEffect", **told.about("a", key))
    told.fail("c", at, "PerformSideEffect", code="Refused", transient=False)


@pytest.mark.parametrize("steps", [THROUGH, BACK, ("reserve!",), ("reserve", "charge!", "release")])
def test_an_order_goes_through_or_back_as_a_whole(steps):
    history = told_of(*steps).history
    assert partial_saga(history) == duplicated_side_effect(history) == []
    assert undone_before_done(history) == undone_out_of_order(history) == []


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((), "nothing of it was done"),
        (("reserve", "charge"), "it has reserve, charge"),
        (("reserve", "charge", "ship!"), "it has reserve, charge"),
        (("reserve", "charge", "ship!", "refund"), "it has reserve, charge, refund"),
        (("reserve", "charge", "ship!", "refund", "release", "ship"), "it has reserve, charge, ship, release, refund"),
        (("reserve", "charge", "refund", "release"), "it has reserve, charge, release, refund"),
    ],
    ids=["nothing", "stopped", "never undone", "undone in part", "shipped and refunded", "given up without a reason"],
)
def test_an_order_that_ends_half_done_is_a_violation(steps, said):
    (found,) = partial_saga(told_of(*steps).history)
    assert found.summary == f"message #0 is over, and neither went through nor back: {said}."


def test_an_order_that_is_not_over_is_not_half_done():
    assert partial_saga(told_of("reserve", settled=False).history) == []
    told = told_of("reserve", settled=False)
    told.dead_letter("a")
    assert partial_saga(told.history) == []


def test_a_refund_that_is_done_twice_is_a_duplicate_with_a_name():
    (found,) = duplicated_side_effect(told_of("reserve", "charge", "ship!", "refund", "refund", "release").history)
    assert found.summary == "the side effect of message #0/refund was done 2 times."


def test_steps_that_are_undone_from_the_first_are_in_another_order_and_yet_done_before():
    history = told_of("reserve", "charge", "ship!", "release", "refund").history
    assert [found.summary for found in undone_out_of_order(history)] == ["message #0: release was done before refund."]
    assert undone_before_done(history) == []


def test_a_step_that_is_undone_before_it_is_done_is_a_violation_in_whatever_order():
    history = told_of("reserve", "refund", "charge", "ship!", "release").history
    assert [found.summary for found in undone_before_done(history)] == ["message #0: refund was done before charge."]
    assert undone_out_of_order(history) == []


def test_orders_that_went_through_and_orders_that_went_back_are_evidence_of_their_own():
    through, back = told_of(*THROUGH).history, told_of(*BACK).history
    assert find_went_through(through).count == find_saga_compensated(back).count == 1
    assert find_went_through(back) is find_saga_compensated(through) is None
    assert find_saga_compensated(back).summary == "1 orders, e.g. message #0: refused, then refund, release"
    assert find_saga_compensated(told_of("reserve", "charge", "ship!", "refund").history) is None


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (("reserve", "charge!", "release"), True),
        (BACK, False),
        (("reserve!",), False),
        (("reserve", "charge!"), False),
        (("reserve", "charge!", "refund", "release"), False),
        (("reserve", "release"), False),
    ],
    ids=["halfway", "at the end", "at the beginning", "not undone", "undone too far", "not refused"],
)
def test_an_order_that_is_refused_halfway_is_undone_so_far_and_no_further(steps, found):
    said = find_refused_halfway(told_of(*steps).history)
    assert (said is not None) is found
    if found:
        assert said.summary == "1 orders, e.g. message #0: refused at charge, then release alone"


def died(*, after="refund", rest=("release",), code=-signal.SIGKILL, by="rescuer"):
    told = told_of("reserve", "charge", "ship!", settled=False)
    at = told.begin("c", "PerformSideEffect", **told.about("a", f"a/{after}"))
    told.end("c", at, "PerformSideEffect", 1)
    told.fault("c", at, "PerformSideEffect")
    told.exit("c", code)
    for step in rest:
        told.effect(by, "a", key=f"a/{step}")
    return told.history


def test_a_coordinator_that_dies_between_compensations_is_evidence():
    assert find_crashed_compensating(died()).summary == (
        "c died by SIGKILL after message #0/refund; rescuer went on with release"
    )


@pytest.mark.parametrize("near", [{"after": "charge"}, {"rest": ()}, {"code": 0}, {"by": "c"}])
def test_a_death_elsewhere_is_no_evidence(near):
    assert find_crashed_compensating(died(**near)) is None
