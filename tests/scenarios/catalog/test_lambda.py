"""What the scenarios of Lambda consumers look for, on histories told by hand and on simulated ones."""

import pytest

from scenarios.catalog.lambda_partial_response.checks import find_named_in_the_answer
from scenarios.catalog.lambda_timeout.checks import find_killed_after_effect
from tests.scenarios.recorded import Told


def invoked(told, *ids, failed=(), error=None, within=lambda: None):
    """Tell of one invocation: its messages, and how it ended."""
    invocation = told.begin("a", "InvokeFunction", messages=tuple(f"m-{each}" for each in ids), attempt=1)
    within()
    if error is None:
        told.end("a", invocation, "InvokeFunction", {"failed": [f"m-{each}" for each in failed]})
    else:
        told.fail("a", invocation, "InvokeFunction", code=error, transient=False)


def answered(*, failed, deleted):
    told = Told()
    told.send("good", "bad")
    told.receive("a", "good", "bad")
    invoked(told, "good", "bad", failed=failed)
    if deleted:
        told.delete("a", *deleted)
    return told.history


def test_a_batch_of_which_the_named_stay_and_the_others_go_is_evidence():
    assert find_named_in_the_answer(answered(failed=["bad"], deleted=["good"])).count == 1


@pytest.mark.parametrize(
    ("failed", "deleted"),
    [([], ["good", "bad"]), (["bad"], []), (["bad"], ["good", "bad"]), (["good", "bad"], [])],
)
def test_a_batch_that_is_not_told_apart_is_none(failed, deleted):
    assert find_named_in_the_answer(answered(failed=failed, deleted=deleted)) is None


def killed(*, error="timeout", effect=True, again=True):
    told = Told()
    told.send("m")
    told.receive("a", "m")
    invoked(told, "m", error=error, within=lambda: effect and told.effect("a", "m"))
    if again:
        told.receive("a", "m", count=2)
    return told.history


def test_a_function_that_is_killed_after_its_side_effect_is_evidence():
    assert "came again (receive 2)" in find_killed_after_effect(killed()).summary


@pytest.mark.parametrize("changed", [{"error": "exit"}, {"error": None}, {"effect": False}, {"again": False}])
def test_another_end_or_no_side_effect_or_no_delivery_after_it_is_none(changed):
    assert find_killed_after_effect(killed(**changed)) is None


TWINS = [
    ("lambda-partial-response", "scenarios.catalog.lambda_partial_response.naive:Raises", "wrongly-dead-lettered"),
    ("lambda-timeout", "scenarios.catalog.lambda_timeout.naive:NeverExpires", "wrongly-dead-lettered"),
]


@pytest.mark.parametrize(("name", "consumer", "violation"), TWINS)
def test_the_opposite_mistake_is_convicted_as_well(simulated, name, consumer, violation):
    verdict = simulated(name, 3, consumer=consumer).verdict
    assert {each for each, found in verdict.violations.items() if found} == {violation}
