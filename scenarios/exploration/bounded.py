"""Bounded exhaustive search: every single fault, then every pair, in the smallest history and with the calmest choices.

Most bugs need few messages and one or two faults. A history of two messages takes a millisecond, and what it violates
is minimal from the start. The histories have numbers, in this order:

    0              nothing goes wrong
    1 .. S         one fault: each kind that a process can meet, at each of its operations
    S + 1 .. S+P   two faults: the second anywhere after the first, in an order that visits all parts alike

Which history a number means follows from the target alone, so any part of them can be simulated anywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from math import gcd
from typing import Any

from scenarios.errors import LabError
from scenarios.exploration.targets import Target, find
from scenarios.history import History
from scenarios.simulation.choices import ReplayedChoices
from scenarios.simulation.lab import Role
from scenarios.simulation.random_faults import SIZES, Kind, RandomFault
from scenarios.simulation.run import simulate
from scenarios.simulation.tactics import KINDS

#: Messages, where the scenario can do with so few.
MESSAGES = 2
#: The sizes of each kind that differ in what they do; a kind that is not here has one.
SIZES_OF: Mapping[Kind, tuple[int, ...]] = {
    Kind.DELAY: (0, SIZES - 1),
    Kind.PAUSE: (SIZES - 2, SIZES - 1),
    Kind.PARTIAL_FAILURE: (0, 1),
    Kind.CLOCK_SKEW: (2 * SIZES - 2, 2 * SIZES - 1),
}

#: Faults by the name of the process that meets them.
Schedule = tuple[tuple[str, RandomFault], ...]


class ScheduledFaults:
    """Faults that are given, by the name of the process.

    Attributes:
        roles: the role of each process that has started.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.roles: dict[str, Role] = {}

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:
        """See :class:`scenarios.simulation.lab.RandomFaults`."""
        self.roles[name] = role
        return tuple(sorted((fault for who, fault in self._schedule if who == name), key=lambda fault: fault.at))


@dataclass(frozen=True, slots=True)
class Space:
    """The histories with one fault and with two.

    Attributes:
        target: the smallest history of what is explored.
        singles: each fault alone.
        kinds: the kinds of fault that there are; empty for all.
    """

    target: Target
    singles: tuple[Schedule, ...]
    kinds: frozenset[Kind] = frozenset()

    @property
    def with_one(self) -> int:
        """How many histories have one fault or none."""
        return 1 + len(self.singles)

    def schedule(self, number: int) -> Schedule | None:
        """Return the faults of a history; None beyond the last one."""
        if number == 0:
            return ()
        if number < self.with_one:
            return self.singles[number - 1]
        return _pairs(self.target, self.kinds).schedule(number - self.with_one)

    def total(self) -> int:
        """Return how many histories there are; this simulates those with one fault."""
        return self.with_one + _pairs(self.target, self.kinds).total


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The pairs, by the first fault.

    Attributes:
        firsts: the first faults, each that made a difference.
        seconds: for each of them, what may follow.
        ends: the number of pairs up to and with each of them.
    """

    firsts: tuple[Schedule, ...]
    seconds: tuple[Schedule, ...]
    ends: tuple[int, ...]

    @property
    def total(self) -> int:
        return self.ends[-1] if self.ends else 0

    def schedule(self, number: int) -> Schedule | None:
        """Return a pair; neighbours in number are far apart."""
        total = self.total
        if number >= total:
            return None
        place = number * _stride(total) % total
        first = bisect_right(self.ends, place)
        second = place - (self.ends[first - 1] if first else 0)
        return (*self.firsts[first], self.seconds[first][second])


def smallest(target: Target) -> Target:
    """Return a target with as few messages as the scenario can do with, two at least."""
    scenario, _, _ = find(target.name)
    return replace(target, count=min(target.count, max(MESSAGES, scenario.least.count)))


@lru_cache(maxsize=4)
def space_of(target: Target, kinds: frozenset[Kind] = frozenset()) -> Space:
    """Return the bounded histories of a target, with faults of some kinds alone where they are given."""
    small = smallest(target)
    faults = ScheduledFaults(())
    try:
        history = simulate(small.plan(0), ReplayedChoices(()), faults).history
    except LabError:
        # It violates something with nothing gone wrong: the one history is enough.
        return Space(small, (), kinds)
    return Space(small, tuple((single,) for single in _faults(history, faults.roles, kinds, after=-1.0)), kinds)


@lru_cache(maxsize=4)
def _pairs(small: Target, kinds: frozenset[Kind]) -> _Pairs:
    firsts: list[Schedule] = []
    seconds: list[Schedule] = []
    seen: set[tuple[object, ...]] = set()
    for single in space_of(small, kinds).singles:
        faults = ScheduledFaults(single)
        try:
            history = simulate(small.plan(0), ReplayedChoices(()), faults).history
        except LabError:
            continue  # it violates something already
        strike = next(iter(history.faults), None)
        if strike is None:
            continue
        where = (*strike.call.pointer, *sorted(map(str, strike.fault.items())))
        if where in seen:
            continue  # it came to the same as one before
        seen.add(where)
        following = tuple(_faults(history, faults.roles, kinds, after=strike.time))
        if following:
            firsts.append(single)
            seconds.append(following)
    return _Pairs(tuple(firsts), tuple(seconds), tuple(accumulate(map(len, seconds))))


def _faults(
    history: History, roles: Mapping[str, Role], kinds: frozenset[Kind], after: float
) -> Iterable[tuple[str, RandomFault]]:
    """Yield each fault that a process can meet at an operation that it begins after a moment."""
    begun: dict[str, int] = {}
    for call in history.all_calls:
        process = call.process
        if process not in roles:
            continue
        at = begun[process] = begun.get(process, 0) + 1
        if call.started <= after:
            continue
        role = roles[process]
        skew = (Kind.CLOCK_SKEW,) if role == "consumer" and at == 1 else ()
        for kind in (*KINDS[role], *skew):
            if not kinds or kind in kinds:
                for size in SIZES_OF.get(kind, (0,)):
                    yield process, RandomFault(kind, at, size)


def _stride(total: int) -> int:
    """Return a step that visits every number below a total once, and leads far each time."""
    step = max(1, round(total * 0.6180339887))
    while gcd(step, total) != 1:
        step += 1
    return step


def schedule_as_json(schedule: Schedule) -> list[list[Any]]:
    """Return faults as files hold them."""
    return [[name, fault.kind, fault.at, fault.size, fault.aim] for name, fault in schedule]


def schedule_of_json(content: list[list[Any]]) -> Schedule:
    """Return faults that a file holds.

    Raises:
        ValueError: there is no such kind.
    """
    return tuple((name, RandomFault(Kind(kind), at, size, aim)) for name, kind, at, size, aim in content)
