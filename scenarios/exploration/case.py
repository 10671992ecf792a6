"""A case: one simulated history by all that decides it, so that it can happen again, and with less in it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from scenarios.errors import BrokenProgramError, LabError
from scenarios.exploration.bounded import Schedule, ScheduledFaults
from scenarios.exploration.campaign import SERVICE_FAILED, Campaign, Found, history_of, violated_by
from scenarios.exploration.targets import Target
from scenarios.simulation.choices import Choices, RecordedChoices, ReplayedChoices, SeededChoices
from scenarios.simulation.lab import Cut, NoFaults, RandomFaults
from scenarios.simulation.random_faults import RandomFault, Role
from scenarios.simulation.run import Simulation, draw_faults, simulate


@dataclass(frozen=True, slots=True)
class Case:
    """A history, by what it is made of.

    Attributes:
        choices: the numbers that decided it, but for its faults.
        violates: what it violates, of what was looked for.
        faults: what went wrong with which process, beyond the story.
        cut: what is left out of the story.
    """

    target: Target
    seed: int
    choices: tuple[int, ...]
    violates: frozenset[str]
    faults: Schedule = ()
    cut: Cut = field(default_factory=Cut)

    @property
    def messages(self) -> int:
        """How many messages its story sends, at most."""
        return self.target.count - len(self.cut.messages)

    def simulate(self, command: str = "") -> Simulation:
        """Let it happen again."""
        return self._run(ReplayedChoices(self.choices), command)

    def violated(self) -> frozenset[str]:
        """Let it happen again, and return what it violates; nothing, where its story lacks a part that it needs."""
        try:
            return violated_by(self.simulate().verdict)
        except BrokenProgramError:
            return frozenset()
        except LabError:
            return frozenset({SERVICE_FAILED})
        except (ValueError, LookupError, StopIteration):
            return frozenset()

    def recorded(self) -> tuple[int, ...]:
        """Let it happen again, and return the choices that it really takes."""
        choices = RecordedChoices(ReplayedChoices(self.choices))
        with suppress(LabError):
            self._run(choices)
        return tuple(choices.taken)

    def _run(self, choices: Choices, command: str = "") -> Simulation:
        return simulate(self.target.plan(self.seed, command), choices, ScheduledFaults(self.faults), self.cut)


def case_of(campaign: Campaign, found: Found) -> Case:
    """Return the case of what a campaign has found."""
    history = history_of(campaign, found.index)
    if history.schedule is not None:
        return Case(history.target, history.seed, (), found.invariants, history.schedule)
    return record_case(history.target, history.seed, found.invariants, history.choices)


def record_case(
    target: Target, seed: int, violates: frozenset[str] = frozenset(), source: Choices | None = None
) -> Case:
    """Return the case of a history that a seed made, or another source of choices."""
    source = source or SeededChoices(seed)
    plan = target.plan(seed)
    # Faults come from the same source as everything else, and are kept apart: without one, the rest stays as it was.
    faults = _Noted(draw_faults(plan, source) if plan.with_faults else NoFaults())
    choices = RecordedChoices(source)
    with suppress(LabError):
        simulate(plan, choices, faults)
    return Case(target, seed, tuple(choices.taken), violates, tuple(faults.schedule))


class _Noted:
    """Faults of another source, noted as they are drawn."""

    def __init__(self, inner: RandomFaults) -> None:
        self._inner = inner
        self.schedule: list[tuple[str, RandomFault]] = []

    def of(self, role: Role, name: str) -> tuple[RandomFault, ...]:
        """See :class:`scenarios.simulation.lab.RandomFaults`."""
        faults = tuple(self._inner.of(role, name))
        self.schedule += [(name, fault) for fault in faults]
        return faults
