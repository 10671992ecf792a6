"""Functions at their mapping in virtual time: the endpoint's state machine, and every fault of an invocation."""

from dataclasses import replace

import pytest

from scenarios.catalog.lambda_timeout.scenario import SCENARIO
from scenarios.checks.function_witnesses import find_frozen_with_work
from scenarios.checks.functions import FunctionStage
from scenarios.checks.invariants import STANDARD
from scenarios.errors import RequestError
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.simulation.run import SimulationPlan, simulate
from scenarios.verdict import Outcome
from services.consumer.lambda_handler import LambdaConsumer
from services.faults import Fault
from services.operations import Sleep


def staged(
    *faults,
    naive=False,
    count=6,
    batch_size=1,
    stage=None,
    seed=1,
    random_faults=None,
    consumer=LambdaConsumer,
    **settings,
):
    """Simulate a function that meets faults."""

    def run(lab):
        lab.produce()
        started = lab.start_consumer(faults=faults, max_messages=batch_size, **settings)
        lab.settle(deadline=60)
        lab.stop(started)

    function = FunctionStage(staged={"report_batch_item_failures": True, "function_timeout": 1, **(stage or {})})
    scenario = replace(SCENARIO, run=run, function=function, invariants=STANDARD, witnesses=())
    plan = SimulationPlan(scenario, replace(scenario.defaults, count=count), seed, consumer=consumer, naive=naive)
    return simulate(plan, SeededChoices(seed), random_faults)


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (Fault("crash", "InvokeFunction", "before"), "exit"),
        (Fault("crash", "InvokeFunction", "during", seconds=0.005), "exit"),
        (Fault("crash", "InvokeFunction", "after"), "exit"),
        (Fault("timeout", "InvokeFunction", seconds=0.005), "timeout"),
        (Fault("reply-lost", "InvokeFunction"), "lost"),
        (Fault("throttle", "InvokeFunction", seconds=0.2), "TooManyRequestsException"),
        (Fault("cold-start", "InvokeFunction"), None),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_each_fault_of_an_invocation_strikes_and_is_survived(fault, ends):
    simulation = staged(fault)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    (strike,) = simulation.history.faults
    assert (strike.kind, strike.operation, strike.planned) == (fault.kind, "InvokeFunction", True)
    assert (strike.call.outcome or {}).get("error") == ends


@pytest.mark.parametrize("point", ["before", "during", "after"])
@pytest.mark.parametrize("operation", ["Claim", "PerformSideEffect", "Complete"])
def test_a_function_may_die_at_each_of_its_own_operations(operation, point):
    simulation = staged(Fault("crash", operation, point))
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    (strike,) = simulation.history.faults
    assert strike.operation == operation
    assert [call.outcome["error"] for call in simulation.history.calls("InvokeFunction") if not call.result] == ["exit"]


def test_a_delete_that_fails_in_part_is_tried_again():
    simulation = staged(Fault("partial-failure", "Delete", entries=(0,)), batch_size=6)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    deleted = [item.status for item in simulation.history.deletions]
    assert deleted.count("fail") == 1
    assert deleted.count("ok") == 6


def test_an_environment_is_used_again_with_its_memory():
    reused = [event["reuse"] for event in staged().history.events("function-invoked")]
    assert max(reused) > 0
    cold = [event["cold"] for event in staged().history.events("function-invoked")]
    assert cold[0]
    assert not all(cold)


def test_a_mapping_stops_at_its_limit_of_messages():
    simulation = staged(message_limit=2, count=4)
    assert len(simulation.history.deliveries) == 2
    assert simulation.history.exits["consumer-1"].code == 0
    assert "Timed out" in simulation.verdict.conditions.missed


def test_reserved_concurrency_throttles():
    simulation = staged(stage={"reserved_concurrency": 1})
    throttled = [call for call in simulation.history.calls("InvokeFunction") if "TooMany" in str(call.outcome)]
    assert throttled


def test_what_lambda_refuses_is_refused():
    with pytest.raises(RequestError, match="less than Function timeout"):
        staged(stage={"function_timeout": 9})


class Faults:
    def __init__(self, *faults):
        self._faults = faults

    def of(self, role, name):
        return self._faults if role == "consumer" else ()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.CRASH_BEFORE, "crash"),
        (Kind.CRASH_AFTER, "crash"),
        (Kind.PAUSE, "timeout"),
        (Kind.REPLY_LOST, "reply-lost"),
        (Kind.THROTTLE, "throttle"),
        (Kind.OUTAGE, "cold-start"),
        (Kind.PARTIAL_FAILURE, "partial-failure"),
    ],
)
def test_random_faults_strike_invocations_and_deletes(kind, name):
    simulation = staged(random_faults=Faults(RandomFault(kind, 1)))
    # A fault by chance may excuse a dead letter; the scenario's own may not.
    assert (name, False) in {(strike.kind, strike.planned) for strike in simulation.history.faults}
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()


def test_the_same_seed_leaves_the_same_history():
    faults = Faults(RandomFault(Kind.CRASH_AFTER, 1), RandomFault(Kind.THROTTLE, 9))
    first, second = (staged(random_faults=faults, seed=5).history.records for _ in range(2))
    assert first == second


# --- what a handler leaves to the background -------------------------------------------------------------------------


class Leaves(LambdaConsumer):
    """Answer before the work is done."""

    def handle_event(self, messages, *, remaining, fifo):
        self.beside(self._later(messages, remaining=remaining, fifo=fifo))
        yield Sleep(0.07)
        return self.answer(messages, [])

    def _later(self, messages, **facts):
        yield Sleep(0.1)
        yield from super().handle_event(messages, **facts)


class Waits(Leaves):
    """Answer when the work is done."""

    def handle_event(self, messages, **facts):
        done = []

        def work():
            done.append((yield from self._later(messages, **facts)))

        self.beside(work())
        while not done:
            yield Sleep(0.01)
        return self.answer(messages, [])


def test_work_that_is_left_to_the_background_goes_on_in_the_next_invocation_and_is_judged():
    simulation = staged(consumer=Leaves)
    found = {name for name, violations in simulation.verdict.violations.items() if violations}
    assert "deleted-before-done" in found or "lost" in found, simulation.counterexample()
    history = simulation.history
    assert history.events("environment-thawed")
    assert find_frozen_with_work(history) is not None
    invocations = history.calls("InvokeFunction")
    assert history.effects
    for effect in history.effects:
        # One that was under way when the environment was frozen has its answer late.
        assert any(call.started <= effect.call.started <= call.ended for call in invocations), effect


def test_a_handler_that_waits_for_its_background_work_passes():
    simulation = staged(consumer=Waits)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    assert find_frozen_with_work(simulation.history) is None


def test_background_work_ends_with_its_environment():
    simulation = staged(Fault("cold-start", "InvokeFunction", nth=0), consumer=Leaves)
    assert simulation.history.effects == []
    assert not simulation.history.events("environment-thawed")


def test_a_crash_at_an_operation_of_background_work_ends_the_invocation():
    simulation = staged(Fault("crash", "PerformSideEffect", "before"), consumer=Leaves)
    ends = [(call.outcome or {}).get("error") for call in simulation.history.calls("InvokeFunction")]
    assert ends.count("exit") == 1
