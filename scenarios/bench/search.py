"""How much a campaign takes to kill the hard mutants: histories and CPU seconds, over several seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from scenarios.exploration.campaign import Campaign, explore
from scenarios.exploration.targets import make_target
from scenarios.mutants.catalogue import Mutant

#: Histories of each campaign.
BOUND = 2_000
#: Seeds of each mutant.
SEEDS = 10


@dataclass(frozen=True, slots=True)
class SearchFigure:
    """What one mutant took, by seed.

    Attributes:
        histories: until it was killed; those of the whole campaign where it survived.
        seconds: of one core.
        survived: with how many seeds it survived.
    """

    mutant: Mutant
    histories: tuple[int, ...]
    seconds: tuple[float, ...]
    survived: int

    def as_json(self) -> dict[str, Any]:
        """Return the figure as JSON holds it."""
        return {
            "mutant": self.mutant.name,
            "histories": {"median": median(self.histories), "p90": p90(self.histories)},
            "cpu_seconds": {"median": round(median(self.seconds), 3), "p90": round(p90(self.seconds), 3)},
            "survived": self.survived,
            "seeds": len(self.histories),
        }


def measure_search(
    mutants: Iterable[Mutant], seeds: int = SEEDS, bound: int = BOUND, watch: Callable[[str], None] = lambda _: None
) -> Iterator[SearchFigure]:
    """Yield what each mutant takes; the histories depend on seeds alone, the seconds on this machine."""
    for mutant in mutants:
        target = make_target(mutant.workload.scenario.name, mutant=mutant.name)
        histories: list[int] = []
        seconds: list[float] = []
        survived = 0
        for seed in range(seeds):
            began = time.process_time()
            tally = explore(Campaign(target, bound, seed, looking_for=mutant.breaks)).tally
            seconds.append(time.process_time() - began)
            histories.append(tally.histories)
            survived += tally.found is None
        watch(f"{mutant.name}: {median(histories):,.0f} histories")
        yield SearchFigure(mutant, tuple(histories), tuple(seconds), survived)


def p90(values: Iterable[float]) -> float:
    """Return the value that nine of ten do not exceed."""
    ordered = sorted(values)
    return ordered[-(-9 * len(ordered) // 10) - 1]
