"""The tiers agree: the same scenario under the same faults has the same verdict, simulated and on real processes.

The faults are such as both tiers know (``services.faults``), and fall on whichever consumer starts first, second and so
on. Some are within what the pattern promises, some are beyond it, so there are verdicts of either kind.
"""

import random
from dataclasses import replace
from datetime import datetime

import pytest

from infra.stack.stacks import temporary_stack
from scenarios.catalog import find_scenario
from scenarios.exploration.campaign import violated_by
from scenarios.local.lab import Setup
from scenarios.local.observer import NoObserver
from scenarios.local.spawner import fork_server
from scenarios.runs.directory import new_run_directory
from scenarios.runs.run import RunEnvironment, _stage
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.lab import consumer_class
from scenarios.simulation.run import SimulationPlan, simulate
from scenarios.verdict import Conditions, Outcome, judge
from services.faults import Fault

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

SCHEDULES = 20
ATTEMPTS = 3
#: The operations that a schedule may have fail, by scenario: where one failed receive more or less decides nothing.
OPERATIONS = {
    "crash": ("Receive", "Claim", "LookUpSideEffect", "Complete", "Delete", "ReleaseClaim"),
    "duplicates": ("Receive", "Claim", "Complete", "Delete"),
    "fifo-order": ("Receive", "Claim", "Complete", "Delete", "ReleaseClaim"),
    "happy": ("Receive", "Delete"),
    "poison": ("Receive", "Complete", "Delete"),
}
#: Faults beyond what any pattern survives, where the queue gives up soon enough to wait for it.
BEYOND = {
    "poison": (Fault("error", "Claim", nth=0), Fault("error", "Complete", nth=0)),
    "fifo-order": (Fault("error", "Claim", nth=0), Fault("error", "PerformSideEffect", nth=0)),
}


class Scheduled:
    """A lab of any tier whose consumers meet more faults than their scenario asks for."""

    def __init__(self, lab, schedule):
        self._lab = lab
        self._schedule = iter(schedule)

    def __getattr__(self, name):
        return getattr(self._lab, name)

    def start_consumer(self, name=None, *, faults=(), **settings):
        return self._lab.start_consumer(name, faults=(*faults, *next(self._schedule, ())), **settings)


def draw_schedule(name, number):
    """Return the faults of each consumer, in the order of their starts; and whether the twin consumes."""
    rng = random.Random(f"{name}/{number}")
    if name in BEYOND and number < len(BEYOND[name]):
        return [(BEYOND[name][number],)] * 5, False
    schedule = []
    for _ in range(5):
        operation, nth = rng.choice(OPERATIONS[name]), rng.randint(1, 3)
        schedule.append(
            rng.choice(
                [
                    (),
                    (Fault("error", operation, nth=nth),),
                    (Fault("delay", operation, nth=nth, seconds=0.1),),
                ]
            )
        )
    return schedule, number % 5 == 4


@pytest.fixture(scope="module")
def ground():
    with fork_server("agreement of tiers") as spawner, temporary_stack(sorted(OPERATIONS)) as made:
        yield RunEnvironment(made, False, spawner)


def staged_for_real(plan, consumer, ground, tmp_path):
    """Return the verdict of real processes; on a busy machine a witness may miss its moment, so that is tried again."""
    for _ in range(ATTEMPTS):
        told, stack = plan.scenario, ground.stack
        directory = new_run_directory(tmp_path, told.name, plan.seed, datetime.now().astimezone())
        history, missed = _stage(
            Setup(
                told,
                plan.parameters,
                plan.seed,
                plan.naive,
                consumer,
                stack,
                stack.scenario(told.name),
                ground.fresh,
                directory,
                ground.spawner,
            ),
            NoObserver(),
        )
        verdict = judge(told, history, Conditions(plan.seed, plan.parameters, "local", plan.naive, missed=missed))
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            break
    return verdict


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_both_tiers_come_to_the_same_verdict(name, ground, tmp_path):
    scenario = find_scenario(name)
    parameters = replace(scenario.defaults, count=max(scenario.least.count, 6))
    seen = set()
    for number in range(SCHEDULES):
        schedule, naive = draw_schedule(name, number)
        told = replace(scenario, run=lambda lab, schedule=schedule: scenario.run(Scheduled(lab, schedule)))
        consumer = scenario.naive_twin.consumer if naive else ""

        plan = SimulationPlan(told, parameters, number, consumer_class(consumer), naive=naive)
        simulated = simulate(plan, SeededChoices(number))
        real = staged_for_real(plan, consumer, ground, tmp_path)

        evidence = f"schedule {number} of {name}: {schedule}\nlocal: {real.reason}\n{simulated.counterexample()}"
        assert (simulated.verdict.outcome, violated_by(simulated.verdict)) == (real.outcome, violated_by(real)), (
            evidence
        )
        seen.add(real.outcome)
    assert len(seen) > 1, "schedules that all come to one verdict compare nothing"
