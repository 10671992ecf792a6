"""Faults that last, scripted for one consumer: in the simulation, and on real processes; one judge for both.

A victim causes its side effect and dies. Then another consumer takes over, and is cut off, throttled, or has
credentials that have expired for a while. Our consumer asks again; a broken one takes what it could not ask for a no,
or never asks again.
"""

import pytest

from infra.stack.stacks import temporary_stack
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import History
from scenarios.lab import QueueInfo, has_ended
from scenarios.local.observer import NoObserver
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.mutants.elusive import EndsAtAFailedReceive, TakesAFailedLookUpAsNotDone
from scenarios.parameters import Parameters
from scenarios.runs.plan import RunPlan, RunRequest
from scenarios.runs.run import RunEnvironment, run_on
from scenarios.simulation.choices import ReplayedChoices
from scenarios.simulation.lab import consumer_class
from scenarios.simulation.run import SimulationPlan, simulate
from scenarios.verdict import Outcome
from services.faults import Fault

#: Lab seconds within which a consumer that goes on has done all.
DEADLINE = 30.0
QUEUE = QueueInfo(visibility_timeout=2, max_receive_count=5, fifo=False)
OURS = ""
GUESSES = f"{TakesAFailedLookUpAsNotDone.__module__}:{TakesAFailedLookUpAsNotDone.__name__}"
STANDS_IDLE = f"{EndsAtAFailedReceive.__module__}:{EndsAtAFailedReceive.__name__}"

PARTITION = Fault("partition", "LookUpSideEffect", "during", seconds=1.0, reach="world")
CUT_OFF = Fault("partition", "Receive", seconds=1.0, reach="queue")
THROTTLING = Fault("throttling", "Receive", seconds=1.0, reach="queue")
EXPIRED = Fault("expired-credentials", "Receive", seconds=1.0)

CASES = [
    (OURS, PARTITION, set()),
    (OURS, CUT_OFF, set()),
    (OURS, THROTTLING, set()),
    (OURS, EXPIRED, set()),
    (GUESSES, PARTITION, {"duplicated-side-effect"}),
    (STANDS_IDLE, CUT_OFF, {"in-flight-at-end"}),
    (STANDS_IDLE, THROTTLING, {"in-flight-at-end"}),
]
NAMES = [f"{consumer.rpartition(':')[2] or 'ours'}-{fault.kind}-{fault.operation}" for consumer, fault, _ in CASES]


def scenario_of(fault):
    """Return the scenario in which one consumer meets a fault that lasts."""

    def run(lab):
        lab.produce()
        dies = Fault("crash", "PerformSideEffect", "after")
        victim = lab.start_consumer("victim", faults=[dies], max_messages=1)
        lab.wait_for(has_ended(victim), deadline=20, what="the victim to die")
        lab.start_consumer("struck", faults=[fault], max_messages=1)
        lab.settle(deadline=DEADLINE)
        lab.stop()

    def find(history: History) -> Evidence | None:
        begun = [strike for strike in history.faults if strike.kind == fault.kind]
        within = [strike for strike in history.faults if strike.fault.get("during") == fault.kind]
        return Evidence(fault.kind, len(within), (begun[0].record,)) if begun and within else None

    return Scenario(
        name="lasting",
        summary=fault.kind,
        pace="fast",
        run=run,
        invariants=STANDARD,
        witnesses=(Witness("struck", "it lasts", find),),
        naive_twin=NaiveTwin("", "nothing", STANDARD[0].name),
        defaults=Parameters(3, 1),
        delivery=DeliveryRates(duplicate=0.0),
        topology="crash",
    )


def violated(verdict):
    return {name for name, found in verdict.violations.items() if found}


@pytest.mark.parametrize(("consumer", "fault", "broken"), CASES, ids=NAMES)
def test_simulated(consumer, fault, broken):
    scenario = scenario_of(fault)
    plan = SimulationPlan(scenario, scenario.defaults, 1, consumer_class(consumer), queue=QUEUE)
    simulation = simulate(plan, ReplayedChoices(()))
    assert violated(simulation.verdict) == broken, simulation.counterexample()
    if not broken:
        assert simulation.verdict.outcome is Outcome.PASS, simulation.verdict.reason
    assert fault.kind in {strike.kind for strike in simulation.history.faults}


@pytest.mark.processes
@pytest.mark.parametrize(
    "cases", [CASES[::4], pytest.param(CASES[1:4] + CASES[5:], marks=pytest.mark.thorough)], ids=["few", "rest"]
)
def test_on_real_processes(project, cases):
    with temporary_stack(["crash"]) as stack:
        for consumer, fault, broken in cases:
            scenario = scenario_of(fault)
            request = RunRequest("crash", consumer=consumer, runs=project / "runs")
            plan = RunPlan(request, scenario, scenario.defaults, 1)
            result = run_on(RunEnvironment(stack, fresh=False), plan, NoObserver())
            assert violated(result.verdict) == broken, result.verdict.reason
            if not broken:
                assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
