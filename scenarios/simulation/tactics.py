"""Tactics: how the faults of one history are chosen, over the list of kinds that a process can meet.

Each history draws its tactic, so a campaign rotates through them:

    plain      any kind at any operation, with one rate for all histories
    swarm      a random subset of the kinds, at rates that the history draws (Groce et al., "Swarm Testing", ISSTA 2012)
    aimed      a fault at the n-th operation of one kind of operation, which is chosen uniformly
    laggard    one consumer is slow, and at d - 1 change points another one takes its place
               (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees", ASPLOS 2010);
               in half of these histories a swarm strikes all of them besides
    starved    one consumer meets the same fault at several operations in a row

A rare kind of operation is struck as often as a frequent one only when it is aimed at, and two kinds of fault that
hide each other are told apart only in a history that lacks one of them. Two consumers are at work on one message only
where one of them is slow and the queue delivers meanwhile; most bugs of that make need one more fault.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, get_args

from scenarios.simulation.choices import Choices
from scenarios.simulation.lab import RandomFaults
from scenarios.simulation.random_faults import (
    SIZES,
    SKEWED_ONE_IN,
    Kind,
    RandomFault,
    Role,
    draw_random_faults,
    kinds_of,
)
from services.consumer.assumptions import ALL


class Tactic(StrEnum):
    """How a history's faults are chosen; the tamest first."""

    PLAIN = "plain"
    SWARM = "swarm"
    AIMED = "aimed"
    LAGGARD = "laggard"
    STARVED = "starved"


#: One history in so many uses a tactic, as often as it stands here.
ROTATION: Final = (
    Tactic.SWARM,
    Tactic.SWARM,
    Tactic.SWARM,
    Tactic.AIMED,
    Tactic.PLAIN,
    Tactic.LAGGARD,
    Tactic.LAGGARD,
    Tactic.STARVED,
)
#: What processes meet on a standard queue, within all assumptions.
USUAL_KINDS: Final[Mapping[Role, Sequence[Kind]]] = {role: kinds_of(role, ALL, fifo=False) for role in get_args(Role)}
#: How many operations may lie between two faults of a consumer, for each message; and the fewest.
SPREAD = (1.5, 12)
#: How many may lie between two of a producer, which sends ten messages at once.
PRODUCER_SPREAD = 3
#: How many faults a process of a swarm meets, as likely as they stand here often: a history draws one of the rows.
RATES = (
    (0, 0, 0, 0, 0, 1, 1, 2),
    (0, 0, 0, 1, 1, 1, 2, 3),
    (0, 1, 1, 2, 2, 3, 4, 6),
    (1, 2, 3, 4, 5, 6, 8, 10),
)
#: How many faults a producer meets at most: it offers a batch five times, and is not started again.
MOST_OF_A_PRODUCER = 3
#: By which part of the usual spread the faults of a swarm lie apart.
SPREADS = (1.0, 0.5, 0.25, 0.1)
#: How many kinds of operation an aimed fault chooses among: those that a process performs first.
AIMS = 8
#: An aimed fault strikes one of the first so many operations of its kind.
AIMED_AT = 4
#: The consumers that may lag or starve, by the order in which they start, as likely as they stand here often. Most
#: scenarios have two at a time.
VICTIMS = (1, 2, 1, 2, 3)
#: How many consumers lag one after the other, at most: the depth of a bug that needs them.
DEPTH = 3
#: For how many operations in a row a consumer starves at most; and for how many it lags: the way of two messages.
IN_A_ROW = 8
LAGS_IN_A_ROW = 16
#: What a consumer can meet again and again without dying of it.
STARVING = (Kind.DELAY, Kind.THROTTLE, Kind.SERVER_ERROR, Kind.REPLY_LOST, Kind.PAUSE)


def tactical_faults(
    tactic: Tactic, choices: Choices, count: int, kinds: Mapping[Role, Sequence[Kind]] = USUAL_KINDS
) -> RandomFaults:
    """Return what goes wrong in one history beyond its story.

    Args:
        tactic: how the faults are chosen.
        choices: where they come from.
        count: how many messages the history has.
        kinds: what a process of each role can meet.
    """
    return _TACTICS[tactic](choices, count, kinds)


class _Drawn(ABC):
    """Faults from the run's own source of choices, drawn when a process starts."""

    def __init__(self, choices: Choices, count: int, kinds: Mapping[Role, Sequence[Kind]]) -> None:
        per_message, least = SPREAD
        self.choices = choices
        self.kinds = kinds
        self._spread = max(least, round(per_message * count))

    @abstractmethod
    def of(self, role: Role, name: str) -> Sequence[RandomFault]:
        """See :class:`scenarios.simulation.lab.RandomFaults`."""

    def spread(self, role: Role) -> int:
        """Return how many operations may lie between two faults."""
        return self._spread if role == "consumer" else PRODUCER_SPREAD


class _Plain(_Drawn):
    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - the role alone decides
        return draw_random_faults(self.choices, tuple(self.kinds[role]), self.spread(role))


class _Swarm(_Drawn):
    def __init__(self, choices: Choices, count: int, kinds: Mapping[Role, Sequence[Kind]]) -> None:
        super().__init__(choices, count, kinds)
        self._chosen = frozenset(kind for kind in Kind if choices.below(2))
        self._counts = choices.pick(RATES)
        self._part = choices.pick(SPREADS)

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - the role alone decides
        choices, found = self.choices, list(self._skew(role))
        kinds = tuple(kind for kind in self.kinds[role] if kind in self._chosen)
        if not kinds:
            return found
        spread = max(1, round(self._part * self.spread(role)))
        at = 0
        count = choices.pick(self._counts)
        for _ in range(count if role == "consumer" else min(count, MOST_OF_A_PRODUCER)):
            at += 1 + choices.below(spread)
            found.append(RandomFault(choices.pick(kinds), at, choices.below(SIZES)))
        return found

    def _skew(self, role: Role) -> Sequence[RandomFault]:
        """Return the error of a consumer's clock: more often than elsewhere, where the swarm has it at all."""
        if role != "consumer" or Kind.CLOCK_SKEW not in self._chosen or not self.choices.below(2):
            return ()
        return (RandomFault(Kind.CLOCK_SKEW, 1, self.choices.below(2 * SIZES)),)


class _Aimed(_Drawn):
    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - the role alone decides
        choices = self.choices
        found: list[RandomFault] = []
        if role == "consumer" and choices.below(SKEWED_ONE_IN) == SKEWED_ONE_IN - 1:
            found.append(RandomFault(Kind.CLOCK_SKEW, 1, choices.below(2 * SIZES)))
        for _ in range(choices.below(3)):
            aim, at = choices.below(AIMS), 1 + choices.below(AIMED_AT)
            found.append(RandomFault(choices.pick(self.kinds[role]), at, choices.below(SIZES), aim))
        return found


class _Victims(_Drawn):
    """Faults of one consumer, or of few, by the order in which they start."""

    def __init__(self, choices: Choices, count: int, kinds: Mapping[Role, Sequence[Kind]]) -> None:
        super().__init__(choices, count, kinds)
        self._started = 0
        self._faults: dict[int, list[RandomFault]] = {}

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - their order alone counts
        if role != "consumer":
            return ()
        self._started += 1
        return sorted(self._faults.get(self._started, ()), key=_at)

    def strike(self, kind: Kind, *, sized: int, most: int = IN_A_ROW) -> None:
        """Draw who meets a fault again and again, from when on, and how often."""
        choices = self.choices
        victim, first = choices.pick(VICTIMS), 1 + choices.below(self._spread)
        again = range(first, first + 1 + choices.below(most))
        self._faults.setdefault(victim, []).extend(RandomFault(kind, at, sized) for at in again)


class _Laggard(_Victims):
    def __init__(self, choices: Choices, count: int, kinds: Mapping[Role, Sequence[Kind]]) -> None:
        super().__init__(choices, count, kinds)
        for _ in range(1 + choices.below(DEPTH)):
            self.strike(Kind.DELAY, sized=choices.below(SIZES), most=LAGS_IN_A_ROW)
        self._beside = _Swarm(choices, count, kinds) if choices.below(2) else None

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:
        lagging = super().of(role, name)
        if self._beside is None:
            return lagging
        return sorted((*lagging, *self._beside.of(role, name)), key=_at)


class _Starved(_Victims):
    def __init__(self, choices: Choices, count: int, kinds: Mapping[Role, Sequence[Kind]]) -> None:
        super().__init__(choices, count, kinds)
        self.strike(choices.pick(STARVING), sized=choices.below(SIZES))


def _at(fault: RandomFault) -> int:
    return fault.at


_TACTICS: Mapping[Tactic, type[_Drawn]] = {
    Tactic.PLAIN: _Plain,
    Tactic.SWARM: _Swarm,
    Tactic.AIMED: _Aimed,
    Tactic.LAGGARD: _Laggard,
    Tactic.STARVED: _Starved,
}
