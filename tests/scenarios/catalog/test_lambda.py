"""What the scenarios of Lambda consumers look for, on histories told by hand and on simulated ones."""

import pytest

from scenarios.catalog.lambda_filter.checks import find_noise_filtered, work_filtered
from scenarios.catalog.lambda_partial_response.checks import find_named_in_the_answer
from scenarios.catalog.lambda_throttled.checks import find_throttled_and_done
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


def filtered(*, done=("order",), kept=("audit",), waits=()):
    """Tell of messages that a mapping deletes unseen; the others are done, or wait."""
    told = Told()
    for kind in ("order", "audit"):
        told.send(kind, kind=kind, endpoint=True)
    told.event("a", "messages-filtered", messages=[f"m-{each}" for each in kept])
    for each in done:
        told.receive("a", each)
        told.effect("a", each)
    for each in ("order", "audit"):
        if each not in waits:
            told.endpoint("deleted", each)
    told.ledger(**dict.fromkeys(done, 1))
    return told.history


def test_noise_that_is_deleted_unseen_is_evidence_and_no_violation():
    assert not work_filtered(filtered())
    assert find_noise_filtered(filtered()).count == 1
    assert find_noise_filtered(filtered(kept=())) is None


def test_work_that_is_deleted_unseen_violates_and_work_that_waits_does_not():
    (violation,) = work_filtered(filtered(done=(), kept=("order", "audit")))
    assert violation.message_ids == ("m-order",)
    assert not work_filtered(filtered(done=(), kept=("audit",), waits=("order",)))


def throttled(*, error="TooManyRequestsException", done=True):
    told = Told()
    told.send("m")
    told.receive("a", "m")
    invoked(told, "m", error=error)
    if done:
        told.effect("a", "m")
    return told.history


def test_a_throttled_message_that_is_done_later_is_evidence():
    assert find_throttled_and_done(throttled()).count == 1
    assert find_throttled_and_done(throttled(error="exit")) is None
    assert find_throttled_and_done(throttled(done=False)) is None


TWINS = [
    ("lambda-partial-response", "scenarios.catalog.lambda_partial_response.naive:Raises", "wrongly-dead-lettered"),
    ("lambda-timeout", "scenarios.catalog.lambda_timeout.naive:NeverExpires", "wrongly-dead-lettered"),
    (
        "lambda-malformed-response",
        "scenarios.catalog.lambda_malformed_response.naive:MisspellsTheKey",
        "poison-acknowledged",
    ),
    ("lambda-malformed-response", "scenarios.catalog.lambda_malformed_response.naive:NoJson", "wrongly-dead-lettered"),
]


@pytest.mark.parametrize(("name", "consumer", "violation"), TWINS)
def test_the_opposite_mistake_is_convicted_as_well(simulated, name, consumer, violation):
    verdict = simulated(name, 3, consumer=consumer).verdict
    assert {each for each, found in verdict.violations.items() if found} == {violation}
