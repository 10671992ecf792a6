"""How fast the simulation is: histories a second, and how their cost grows with messages and with consumers.

Measured in CPU seconds of one core, judging included, so that what else this machine does hardly shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab, QueueInfo, has_ended
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.collector import no_collection
from scenarios.simulation.run import SimulationPlan, simulate
from services.faults import Fault

#: What is measured: messages and consumers.
SIZES = ((20, 2), (200, 2), (2_000, 2), (200, 4), (200, 8))
#: CPU seconds that each figure may take, at least.
AT_LEAST = 1.0
#: The best of so many measurements counts: whatever disturbs one only ever makes it slower.
ROUNDS = 3


class Figure(NamedTuple):
    """What one size costs."""

    messages: int
    consumers: int
    histories_per_second: float

    @property
    def microseconds_per_message(self) -> float:
        """CPU time for each message of a history."""
        return 1e6 / self.histories_per_second / self.messages


@dataclass(frozen=True, slots=True)
class _Crash:
    """The crash of one consumer of several, at its first side effect."""

    consumers: int

    def __call__(self, lab: Lab) -> None:
        lab.produce()
        doomed = lab.start_consumer("doomed", faults=[Fault("crash", "PerformSideEffect")], max_messages=10)
        others = [lab.start_consumer(max_messages=10) for _ in range(self.consumers - 1)]
        lab.wait_for(has_ended(doomed), deadline=30, what="the doomed consumer to die")
        lab.settle(deadline=600)
        lab.stop(*others)


def measure(sizes: tuple[tuple[int, int], ...] = SIZES, *, at_least: float = AT_LEAST) -> Iterator[Figure]:
    """Yield a figure for each size."""
    for messages, consumers in sizes:
        best = max(_histories_per_second(messages, consumers, at_least) for _ in range(ROUNDS))
        yield Figure(messages, consumers, best)


def _histories_per_second(messages: int, consumers: int, at_least: float) -> float:
    plan = SimulationPlan(
        scenario=Scenario(
            name="crash-of-one",
            summary="one of several consumers dies at its first side effect",
            pace="fast",
            run=_Crash(consumers),
            invariants=STANDARD,
            witnesses=(),
            naive_twin=NaiveTwin("scenarios.catalog.happy.naive:WithoutGuard", "claims", "duplicated-side-effect"),
            defaults=Parameters(messages, 10),
        ),
        parameters=Parameters(messages, 10),
        seed=0,
        queue=QueueInfo(visibility_timeout=2, max_receive_count=5, fifo=False),
        with_faults=True,
    )
    began, histories = time.process_time(), 0
    while (spent := time.process_time() - began) < at_least:
        with no_collection():
            simulate(plan, SeededChoices(histories))
        histories += 1
    return histories / spent
