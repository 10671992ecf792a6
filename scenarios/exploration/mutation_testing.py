"""Mutation testing of the judge: each mutant is explored in its workload until it is killed, or has survived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scenarios.exploration.campaign import Campaign, Found, explore
from scenarios.exploration.targets import make_target
from scenarios.mutants.catalogue import Mutant

#: Histories that are tried in one process before several are asked.
QUICK = 300


@dataclass(frozen=True, slots=True)
class MutantResult:
    """What became of a mutant.

    Attributes:
        found: the history that killed it; None where it survived.
        histories: how many it took.
    """

    mutant: Mutant
    found: Found | None
    histories: int
    seconds: float

    @property
    def violated(self) -> list[str]:
        """All that the history that killed it violates."""
        return sorted(self.found.invariants) if self.found else []

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON holds it."""
        return {
            "mutant": self.mutant.name,
            "change": self.mutant.change,
            "workload": self.mutant.workload.scenario.name,
            "found": self.found is not None,
            "histories": self.histories,
            "violated": self.violated,
            "seed": self.found.seed if self.found else None,
            "seconds": round(self.seconds, 3),
        }


def kill_mutants(
    mutants: Iterable[Mutant], bound: int, seed: int, jobs: int, watch: Callable[[str], None] = lambda _: None
) -> Iterator[MutantResult]:
    """Yield the result of each mutant within a bound of histories."""
    for mutant in mutants:
        target = make_target(mutant.workload.scenario.name, mutant=mutant.name)
        # Most are found out at once, and a pool of processes takes longer to start than that.
        explored = explore(Campaign(target, min(bound, QUICK), seed, 1, mutant.breaks))
        if explored.tally.found is None and bound > QUICK:
            explored = explore(Campaign(target, bound, seed, jobs, mutant.breaks))
        result = MutantResult(mutant, explored.tally.found, explored.tally.histories, explored.seconds)
        watch(f"{mutant.name}: {'killed' if result.found else 'SURVIVED'} after {result.histories}")
        yield result
