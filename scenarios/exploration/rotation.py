"""All scenarios and workloads in turn: a campaign each, some histories at a time, until the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from scenarios.catalog import all_scenarios
from scenarios.checks.functions import Handler
from scenarios.errors import ScenarioError
from scenarios.exploration.campaign import Campaign, Chunk, Explored, Tally, run_chunk
from scenarios.exploration.executors import Died, Pool, in_order, pool_of
from scenarios.exploration.targets import Target, make_target
from scenarios.mutants.workloads import ALL as WORKLOADS
from scenarios.runs.plan import applicable

#: Histories of a turn.
TURN = 25


def every_name(consumer: str = "", handler: Handler | None = None) -> Sequence[str]:
    """Return what can be explored with a consumer, or with ours: workloads, then scenarios.

    Args:
        consumer: a class in the place of ours, as ``module:Class``.
        handler: a Lambda handler in the place of ours; the workloads take none.
    """
    scenarios = [scenario.name for scenario in applicable(consumer, handler)]
    if consumer:
        scenarios = [name for name in scenarios if all_scenarios()[name].function is None]
    workloads = [] if handler is not None else [workload.scenario.name for workload in WORKLOADS]
    return (*workloads, *scenarios)


@dataclass(slots=True)
class _Turn:
    campaign: Campaign
    tally: Tally = field(default_factory=Tally)
    lost: list[str] = field(default_factory=list)
    over: bool = False


class Rotation:
    """Campaigns that take turns.

    Args:
        names: of what is explored.
        histories: how many for each, at most.
        seconds: after so many no further turn begins; None for no limit.
        seed: what all histories follow from: those of each name are those of a campaign of its own.
        jobs: how many processes share the work.
        who: who consumes, as :func:`make_target` takes it; our own consumers where nothing is said.
    """

    def __init__(
        self, names: Sequence[str], histories: int, seconds: float | None, seed: int, jobs: int, **who: Any
    ) -> None:
        self._turns = [_Turn(Campaign(make_target(name, **who), histories, seed, jobs)) for name in names]
        self.seed = seed
        self._seconds = seconds
        self._jobs = jobs
        self._began = 0.0

    @property
    def targets(self) -> Sequence[Target]:
        """What takes turns."""
        return [turn.campaign.target for turn in self._turns]

    def run(self, watch: Callable[[str], None], pool: Pool | None = None) -> Sequence[Explored]:
        """Return what each campaign came to; simulated by a pool, or by as many processes as there are jobs."""
        self._began = time.monotonic()
        turns = {id(turn.campaign): turn for turn in self._turns}
        with pool_of(self._jobs) if pool is None else pool as workers:
            for chunk, told in in_order(workers, run_chunk, self._chunks()):
                turn = turns[id(chunk.campaign)]
                if isinstance(told, Died):
                    turn.lost.append(str(chunk))
                    turn.over = True
                elif isinstance(told, ScenarioError):
                    raise told
                elif turn.tally.found is None:
                    turn.tally.add(told)
                    turn.over = turn.tally.found is not None
                done = sum(turn.tally.histories for turn in self._turns)
                violated = sum(turn.tally.found is not None for turn in self._turns)
                watch(f"{done:,} histories of {len(self._turns)} campaigns, {violated} of them violate something")
        took = time.monotonic() - self._began
        return [Explored(turn.campaign, turn.tally, took, lost=tuple(turn.lost)) for turn in self._turns]

    def _chunks(self) -> Iterator[Chunk]:
        first = 0
        while any(not turn.over and first < turn.campaign.histories for turn in self._turns):
            for turn in self._turns:
                if self._seconds is not None and time.monotonic() - self._began >= self._seconds:
                    return
                if not turn.over and first < turn.campaign.histories:
                    yield Chunk(turn.campaign, first, min(first + TURN, turn.campaign.histories))
            first += TURN
