"""Faults that last, scripted for one consumer: in the simulation, and on real processes; one judge for both.

A victim causes its side effect and dies. Then another consumer takes over. For a while it is cut off, throttled, in a
brown-out, or has credentials that have expired. Our consumer asks again; a broken one takes what it could not ask for a
no, or never asks again. What is deleted for good is refused to all consumers, and ours then does nothing twice.
"""

import pytest

from infra.stack.stacks import temporary_stack
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import History
from scenarios.lab import QueueInfo, has_ended, struck
from scenarios.local.observer import NoObserver
from scenarios.local.spawner import fork_server
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.mutants.consumers import DeletesWhatFailed, FailsOpen
from scenarios.mutants.elusive import EndsAtAFailedReceive, TakesAFailedLookUpAsNotDone
from scenarios.parameters import Parameters
from scenarios.runs.plan import RunPlan, RunRequest
from scenarios.runs.run import RunEnvironment, run_on
from scenarios.simulation.choices import ReplayedChoices
from scenarios.simulation.lab import consumer_class
from scenarios.simulation.run import SimulationPlan, simulate
from scenarios.verdict import Outcome
from services.faults import Fault
from services.operations import OPERATIONS

#: Lab seconds within which a consumer that goes on has done all.
DEADLINE = 30.0
QUEUE = QueueInfo(visibility_timeout=2, max_receive_count=5, fifo=False)
OURS = ""
GUESSES, STANDS_IDLE, GOES_ON, DROPS = (
    f"{kind.__module__}:{kind.__name__}"
    for kind in (TakesAFailedLookUpAsNotDone, EndsAtAFailedReceive, FailsOpen, DeletesWhatFailed)
)

PARTITION = Fault("partition", "LookUpSideEffect", "during", seconds=1.0, reach="world")
CUT_OFF = Fault("partition", "Receive", seconds=1.0, reach="queue")
THROTTLING = Fault("throttling", "Receive", seconds=1.0, reach="queue")
EXPIRED = Fault("expired-credentials", "Receive", seconds=1.0)
BROWN_OUT = Fault("brown-out", "LookUpSideEffect", seconds=1.0, reach="world")
SLOW_QUEUE = Fault("brown-out", "Receive", seconds=1.5, reach="queue")
AT_A_SECOND = Fault("partition", at=0.2, seconds=2.0, reach="queue")

CASES = [
    (OURS, PARTITION, set()),
    (OURS, CUT_OFF, set()),
    (OURS, THROTTLING, set()),
    (OURS, EXPIRED, set()),
    (OURS, BROWN_OUT, set()),
    (OURS, SLOW_QUEUE, set()),
    (OURS, AT_A_SECOND, set()),
    (GUESSES, PARTITION, {"duplicated-side-effect"}),
    (STANDS_IDLE, CUT_OFF, {"in-flight-at-end"}),
    (STANDS_IDLE, THROTTLING, {"in-flight-at-end"}),
    (GUESSES, BROWN_OUT, {"duplicated-side-effect"}),
    (STANDS_IDLE, AT_A_SECOND, {"in-flight-at-end"}),
]
#: One that begins with an operation, one that begins by the clock, and a broken consumer.
FEW = [(OURS, BROWN_OUT, set()), (OURS, AT_A_SECOND, set()), (GUESSES, PARTITION, {"duplicated-side-effect"})]
NO_TABLE = Fault("deleted-resource", "Claim", reach="store")
NO_QUEUE = Fault("deleted-resource", "Receive", nth=2, reach="queue")
#: What is deleted: the consumer, the fault, what it violates.
DELETED = [
    (OURS, NO_TABLE, set()),
    (OURS, NO_QUEUE, set()),
    (STANDS_IDLE, NO_QUEUE, set()),
    (GOES_ON, NO_TABLE, {"duplicated-side-effect"}),
    (DROPS, NO_TABLE, {"lost"}),
]


def named(cases):
    return [
        f"{consumer.rpartition(':')[2] or 'ours'}-{fault.kind}-{fault.operation or 'clock'}"
        for consumer, fault, _ in cases
    ]


def scenario_of(fault):
    """Return the scenario in which one consumer meets a fault that lasts."""

    def run(lab):
        lab.produce()
        dies = Fault("crash", "PerformSideEffect", "after")
        victim = lab.start_consumer("victim", faults=[dies], max_messages=1)
        lab.wait_for(has_ended(victim), deadline=20, what="the victim to die")
        # Its first message takes it beyond the second at which a fault begins by the clock.
        slow = {"side_effect_delay_seconds": 2 * fault.at} if fault.at else {}
        deleting = lab.start_consumer("struck", faults=[fault], max_messages=1, **slow)
        if fault.kind == "deleted-resource":
            lab.wait_for(struck(deleting), deadline=20, what="the deletion")
            lab.start_consumer("another")
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


@pytest.mark.parametrize(("consumer", "fault", "broken"), CASES, ids=named(CASES))
def test_simulated(consumer, fault, broken):
    scenario = scenario_of(fault)
    plan = SimulationPlan(scenario, scenario.defaults, 1, consumer_class(consumer), queue=QUEUE)
    simulation = simulate(plan, ReplayedChoices(()))
    assert violated(simulation.verdict) == broken, simulation.counterexample()
    if not broken:
        assert simulation.verdict.outcome is Outcome.PASS, simulation.verdict.reason
    assert fault.kind in {strike.kind for strike in simulation.history.faults}


def check_deleted(verdict, history, fault, broken):
    """Check what follows on a deletion: nothing comes to its end, and that alone convicts no consumer."""
    assert violated(verdict) == broken, verdict.reason
    assert verdict.outcome is (Outcome.FAIL if broken else Outcome.INCONCLUSIVE)
    what = {"queue": "The queue", "store": "The tables"}[fault.reach]
    if broken:
        return  # it may have come to an end before another consumer asked
    assert any(f"{what} had been deleted for good" in item.why for item in verdict.excused)
    refused = [call for call in history.all_calls if call.process.startswith("another") and call.status == "fail"]
    assert refused, "what is deleted is gone for all"
    assert all(OPERATIONS[call.operation].mark.track == fault.reach for call in refused)


@pytest.mark.parametrize(("consumer", "fault", "broken"), DELETED, ids=named(DELETED))
def test_simulated_deletion(consumer, fault, broken):
    scenario = scenario_of(fault)
    plan = SimulationPlan(scenario, scenario.defaults, 1, consumer_class(consumer), queue=QUEUE)
    simulation = simulate(plan, ReplayedChoices(()))
    check_deleted(simulation.verdict, simulation.history, fault, broken)


@pytest.mark.processes
@pytest.mark.parametrize(
    "cases",
    [FEW, pytest.param([case for case in CASES if case not in FEW], marks=pytest.mark.thorough)],
    ids=["few", "rest"],
)
def test_on_real_processes(project, cases):
    with temporary_stack(["crash"]) as stack, fork_server("lasting") as spawner:
        for consumer, fault, broken in cases:
            scenario = scenario_of(fault)
            request = RunRequest("crash", consumer=consumer, runs=project / "runs")
            plan = RunPlan(request, scenario, scenario.defaults, 1)
            result = run_on(RunEnvironment(stack, fresh=False, spawner=spawner), plan, NoObserver())
            assert violated(result.verdict) == broken, result.verdict.reason
            if not broken:
                assert result.verdict.outcome is Outcome.PASS, result.verdict.reason


@pytest.mark.processes
@pytest.mark.parametrize(
    "cases", [DELETED[:1], pytest.param(DELETED[1:], marks=pytest.mark.thorough)], ids=["few", "rest"]
)
def test_deletion_on_real_processes(project, cases):
    with temporary_stack(["crash"]) as stack, fork_server("lasting") as spawner:
        for consumer, fault, broken in cases:
            scenario = scenario_of(fault)
            plan = RunPlan(
                RunRequest("crash", consumer=consumer, runs=project / "runs"), scenario, scenario.defaults, 1
            )
            # Each run needs what the last one deleted.
            result = run_on(RunEnvironment(stack, fresh=False, spawner=spawner), plan, NoObserver())
            check_deleted(result.verdict, result.history, fault, broken)
