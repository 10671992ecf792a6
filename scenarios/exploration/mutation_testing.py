"""Mutation testing of the judge: each mutant is explored in its workload until it is killed, or has survived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from scenarios.errors import LabError, ScenarioError
from scenarios.exploration.campaign import Campaign, Found, explore
from scenarios.exploration.executors import Died, Pool, in_order, pool_of
from scenarios.exploration.targets import find_mutant, make_target
from scenarios.mutants.catalogue import Mutant


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


class _Hunt(NamedTuple):
    """A mutant by its name, which travels to another machine, and its campaign's bound and seed."""

    name: str
    bound: int
    seed: int


def kill_mutants(
    mutants: Iterable[Mutant],
    bound: int,
    seed: int,
    jobs: int,
    watch: Callable[[str], None] = lambda _: None,
    *,
    pool: Pool | None = None,
) -> Iterator[MutantResult]:
    """Yield the result of each mutant within a bound of histories, the same wherever it is hunted.

    Args:
        mutants: of the catalogue.
        bound: histories of each.
        seed: what all histories follow from.
        jobs: processes of this machine, where there is no pool.
        watch: is told of each result.
        pool: who hunts: each mutant is one task.

    Raises:
        ScenarioError: a mutant's campaign cannot go on, or its process died, and the one that tried again.
    """
    hunts = (_Hunt(mutant.name, bound, seed) for mutant in mutants)
    with pool_of(jobs) if pool is None else pool as workers:
        for hunt, told in in_order(workers, _hunt, hunts):
            if isinstance(told, Died):
                raise LabError(f"The process that hunted {hunt.name} died, and so did the one that tried again.")
            if isinstance(told, ScenarioError):
                raise told
            found, histories, seconds = told
            result = MutantResult(find_mutant(hunt.name), found, histories, seconds)
            watch(f"{hunt.name}: {'killed' if result.found else 'SURVIVED'} after {result.histories}")
            yield result


def _hunt(hunt: _Hunt) -> tuple[Found | None, int, float] | ScenarioError:
    """Explore a mutant in this process until it is killed."""
    mutant = find_mutant(hunt.name)
    target = make_target(mutant.workload.scenario.name, mutant=mutant.name)
    try:
        explored = explore(Campaign(target, hunt.bound, hunt.seed, 1, mutant.breaks))
    except ScenarioError as error:
        return error
    return explored.tally.found, explored.tally.histories, explored.seconds
