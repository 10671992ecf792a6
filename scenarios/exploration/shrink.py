"""Shrinking: from a history that violates a promise to the simplest one that Hypothesis can find.

First smaller scenarios are tried: fewer messages make the shortest tale. Then the numbers that the history was made of
are handed to Hypothesis, which makes them fewer and smaller, as long as the same promise is violated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scenarios.errors import LabError
from scenarios.exploration.campaign import SERVICE_FAILED, violated_by
from scenarios.exploration.targets import Target, find, history_seed
from scenarios.simulation.choices import DrawnChoices, RecordedChoices, ReplayedChoices, SeededChoices
from scenarios.simulation.run import Simulation, simulate

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

#: How many histories of each smaller story are tried before a larger one is.
TRIES = 300
#: How many messages the smaller scenarios have.
COUNTS = (1, 2, 3, 4, 6, 9, 14, 20)
#: How many histories Hypothesis may look at.
MOST_EXAMPLES = 4_000
#: How many histories pass between two words on how the shrinking goes.
SAY_EVERY = 200
#: The key of the one entry in Hypothesis's database, which lives as long as the shrinking.
_KEY = b"violation"


@dataclass(frozen=True, slots=True)
class Case:
    """A history, by what it is made of.

    Attributes:
        choices: the numbers that decided it.
        violates: what it violates, of what was looked for.
    """

    target: Target
    seed: int
    choices: tuple[int, ...]
    violates: frozenset[str]

    def simulate(self, command: str = "") -> Simulation:
        """Let it happen again."""
        return simulate(self.target.plan(self.seed, command), ReplayedChoices(self.choices))


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The simplest case, how many histories it took to find it, and for how many seconds."""

    case: Case
    histories: int
    seconds: float


def record_case(target: Target, seed: int, violates: frozenset[str]) -> Case:
    """Return the case of a history that a seed made."""
    choices = RecordedChoices(SeededChoices(seed))
    _violated(target, seed, choices)
    return Case(target, seed, tuple(choices.taken), violates)


def shrink(case: Case, watch: Callable[[str], None] = lambda _: None) -> Shrunk:
    """Return the simplest case that violates one of the same promises; without Hypothesis, a simpler one."""
    began = time.monotonic()
    smaller, tried = _smaller_story(case, watch)
    simplest, more = _simplest(smaller, watch)
    return Shrunk(simplest, tried + more, time.monotonic() - began)


def _smaller_story(case: Case, watch: Callable[[str], None]) -> tuple[Case, int]:
    scenario, _, _ = find(case.target.name)
    tried = 0
    for count in COUNTS:
        if not scenario.least.count <= count < case.target.count:
            continue
        watch(f"looking for it among {count} messages")
        target = replace(case.target, count=count)
        for index in range(TRIES):
            seed = history_seed(case.seed, index)
            tried += 1
            violated = _violated(target, seed, SeededChoices(seed)) & case.violates
            if violated:
                return record_case(target, seed, violated), tried
    return case, tried


def _simplest(case: Case, watch: Callable[[str], None]) -> tuple[Case, int]:
    try:
        from hypothesis import HealthCheck, Phase, Verbosity, find, settings  # noqa: PLC0415 - a development tool
        from hypothesis import strategies as st  # noqa: PLC0415 - likewise
        from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes  # noqa: PLC0415 - likewise
        from hypothesis.errors import NoSuchExample  # noqa: PLC0415 - likewise
    except ImportError:
        watch("Hypothesis, which would make it simpler, is not installed: pip install -e '.[dev]'")
        return case, 0

    tried = 0

    @st.composite
    def histories(draw: DrawFn) -> tuple[tuple[int, ...], frozenset[str]]:
        nonlocal tried
        tried += 1
        if tried % SAY_EVERY == 0:
            watch(f"shrinking: {tried} histories")
        choices = RecordedChoices(DrawnChoices(lambda bound: draw(st.integers(0, bound - 1))))
        violated = _violated(case.target, case.seed, choices)
        return tuple(choices.taken), violated

    # Hypothesis begins with what its database remembers: the history that was found. (It would not look into it if it
    # were given a source of randomness, so two shrinkings of one history may differ in what does not matter.)
    database = InMemoryExampleDatabase()
    # An entry that it can repeat to the last number it takes for the shrunk one of an earlier time; hence one more.
    database.save(_KEY, choices_to_bytes((*case.choices, 0)))
    try:
        choices, violated = find(
            histories(),
            lambda found: bool(found[1] & case.violates),
            settings=settings(
                database=database,
                max_examples=MOST_EXAMPLES,
                deadline=None,
                phases=(Phase.reuse, Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.quiet,
                derandomize=False,
            ),
            database_key=_KEY,
        )
    except NoSuchExample:
        # More numbers than Hypothesis takes: the scenario stays as long as it is.
        return case, tried
    return Case(case.target, case.seed, _without_simplest_end(choices), violated & case.violates), tried


def _without_simplest_end(choices: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out the zeros at the end, which a replay answers by itself."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return choices[:end]


def _violated(target: Target, seed: int, choices: Any) -> frozenset[str]:
    try:
        return violated_by(simulate(target.plan(seed), choices).verdict)
    except LabError:
        return frozenset({SERVICE_FAILED})
