"""Late requests, as the judge sees them, and as they are found where nothing keeps them away."""

import pytest

from scenarios.catalog.late_request.checks import find_outrun, has_arrived
from scenarios.checks.invariants import duplicated_side_effect, endpoint_mismatch
from scenarios.verdict import Outcome
from services.consumer.assumptions import Assumption
from services.consumer.consumer import Consumer
from services.consumer.idempotency_key import IdempotencyKeyConsumer
from tests.scenarios.recorded import Told


def late(*, done_by="c", done_before=True, arrives=True, refused=False, executions=2):
    told = Told()
    told.send("a")
    told.receive("b", "a")
    asked = told.begin("b", "PerformSideEffect", **told.about("a"))
    told.fault("b", asked, "PerformSideEffect", "late-request", "before", nth=1, seconds=3.0)
    told.fail("b", asked, "PerformSideEffect")
    error = {"error": "Refused"} if refused else {}

    def arrive():
        told.event("b", "arrived-late", operation="PerformSideEffect", invocation=asked, key="a", **error)

    if arrives and not done_before:
        arrive()
    if done_by:
        told.effect(done_by, "a")
    if arrives and done_before:
        arrive()
    told.ledger(a=executions)
    return told.history


def test_a_request_that_arrives_after_another_did_the_work_is_evidence():
    assert find_outrun(late()).summary == (
        "once, e.g. message #0: b heard of a timeout, c did it, and the first request arrived 0.30 s after its timeout"
    )


@pytest.mark.parametrize(
    "near", [{"done_by": ""}, {"done_before": False}, {"arrives": False}, {"refused": True}], ids=str
)
def test_a_request_that_outruns_nothing_or_does_nothing_is_no_evidence(near):
    assert find_outrun(late(**near)) is None


def test_a_scripted_request_is_waited_for_until_it_arrives():
    assert has_arrived(late())
    assert not has_arrived(late(arrives=False))
    assert not has_arrived(Told().history)


def test_a_late_request_explains_a_second_execution_to_the_ledger_and_excuses_no_duplicate():
    assert endpoint_mismatch(late()) == []
    assert [found.keys for found in duplicated_side_effect(late())] == [("a",)]
    assert duplicated_side_effect(late(executions=1)) == []
    assert "the ledger holds 3 executions" in endpoint_mismatch(late(executions=3))[0].summary


def pays_twice(simulated, monkeypatch, kind, dropped, histories=250):
    """Return whether a history of ``zombies`` pays twice where a consumer's assumption is dropped."""
    monkeypatch.setattr("scenarios.exploration.targets.consumer_class", lambda spec: kind)
    late = 0
    for seed in range(histories):
        history = simulated("zombies", seed, with_faults=True, dropped=dropped).history
        late += any(strike.kind == "late-request" for strike in history.faults)
        if max(history.executions.values(), default=0) > 1:
            return True
    assert late
    return False


def test_a_look_into_the_ledger_needs_that_no_request_is_late(simulated, monkeypatch):
    assert Assumption.NO_LATE_REQUESTS in Consumer.assumes
    assert not pays_twice(simulated, monkeypatch, Consumer, ())
    # One history in 74 does, so that 1,000 without one are a matter of 1 in 800,000.
    assert pays_twice(simulated, monkeypatch, Consumer, ("no-late-requests",), histories=1000)


def test_an_idempotency_key_needs_no_such_thing(simulated, monkeypatch):
    assert Assumption.NO_LATE_REQUESTS not in IdempotencyKeyConsumer.assumes
    assert not pays_twice(simulated, monkeypatch, IdempotencyKeyConsumer, ())


def test_a_fence_at_the_external_system_refuses_the_late_request_and_the_story_is_told(simulated):
    simulation = simulated("late-request", 1, consumer="services.consumer.fencing:FencedConsumer")
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    assert "StaleFencingToken" in simulation.counterexample()
