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
from hashlib import blake2b
from itertools import accumulate, islice
from math import gcd
from typing import Any, NamedTuple, get_args

from scenarios.errors import BrokenProgramError, LabError
from scenarios.exploration.targets import Target, find
from scenarios.history import ENDPOINT, HEADER, Event, History
from scenarios.simulation.choices import ReplayedChoices
from scenarios.simulation.fault_injector import WITHOUT_AN_ANSWER
from scenarios.simulation.random_faults import SIZES, Kind, RandomFault, Role
from scenarios.simulation.run import simulate
from scenarios.simulation.world_faults import RULES
from services.operations.base import OPERATIONS

#: Messages, where the scenario can do with so few.
MESSAGES = 2
#: The sizes of each kind that differ in what they do; a kind that is not here has one.
SIZES_OF: Mapping[Kind, tuple[int, ...]] = {
    Kind.DELAY: (0, SIZES - 1),
    Kind.PAUSE: (SIZES - 2, SIZES - 1),
    Kind.PARTIAL_FAILURE: (0, 1),
    Kind.CLOCK_SKEW: (2 * SIZES - 2, 2 * SIZES - 1),
    Kind.PARTIAL_REPLY_LOST: (0, 1),
    # The longest of those that last for a while; see ``scenarios.simulation.lasting_faults``.
    Kind.PARTITION: (SIZES - 3,),
    Kind.EXPIRED_CREDENTIALS: (SIZES - 1,),
    Kind.MISSING_RESOURCE: (SIZES - 1,),
    Kind.FREEZE: (SIZES - 1,),
    # The calm choices have no brown-out, and others do here what these do. Nothing follows on a deletion for good.
    Kind.DELETED_RESOURCE: (),
    Kind.BROWN_OUT: (),
    Kind.THROTTLING: (),
    Kind.CLOCK_DRIFT: (),
    Kind.ATTRIBUTE_RAISED: (),
}

#: The bounded histories of so many targets are remembered: of all scenarios and workloads, which may take turns.
TARGETS = 64
#: The kinds of fault that find most bugs of programs, in their order; all others stand after them.
_PROGRAMS_FIRST = {
    kind: place
    for place, kind in enumerate(
        (Kind.CRASH_AFTER, Kind.REPLY_LOST, Kind.THROTTLE, Kind.PARTIAL_FAILURE, Kind.PAUSE, Kind.SERVER_ERROR)
    )
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


@lru_cache(maxsize=TARGETS)
def space_of(target: Target, kinds: frozenset[Kind] = frozenset()) -> Space:
    """Return the bounded histories of a target, with faults of some kinds alone where they are given."""
    small = smallest(target)
    faults = ScheduledFaults(())
    try:
        history = simulate(small.plan(0), ReplayedChoices(()), faults).history
    except BrokenProgramError:
        raise
    except LabError:
        # It violates something with nothing gone wrong: the one history is enough.
        return Space(small, (), kinds)
    placed = list(_placed_faults(history, faults.roles, _offered(small, kinds), after=-1.0))
    if target.is_program:
        # Not all of them may be tried: a kind that finds most stands first.
        placed.sort(key=lambda each: _turn_of(each[1].kind, each[2]))
    return Space(small, tuple(((name, fault),) for name, fault, _ in placed), kinds)


def _turn_of(kind: Kind, operation: str) -> int:
    """Return the turn of a fault of a program's: before a side effect that is no request a crash finds most."""
    if kind is Kind.CRASH_BEFORE and not _asks(operation):
        return -1
    return _PROGRAMS_FIRST.get(kind, len(_PROGRAMS_FIRST))


def _asks(operation: str) -> bool:
    return operation not in OPERATIONS or OPERATIONS[operation].asks


@lru_cache(maxsize=TARGETS)
def _pairs(small: Target, kinds: frozenset[Kind]) -> _Pairs:
    """Return the pairs of which no two are known to come to the same.

    A first fault is left out where another one tells the same history but for names and times. Of the second faults of
    a kind of operation one is left out where it never struck there alone, since it then strikes a later operation, at
    which it is tried as well, and where another kind always told the same history there.
    """
    runs: dict[bytes, _Run] = {}
    classes = _Classes()
    struck: set[tuple[object, ...]] = set()
    for single in space_of(small, kinds).singles:
        run = _run_of(small, single, classes)
        if run is None:
            continue
        where = run.where
        if where not in struck:  # else it came to the same as one before
            struck.add(where)
            runs.setdefault(run.trace, run)
    firsts: list[Schedule] = []
    seconds: list[Schedule] = []
    offered = _offered(small, kinds)
    for run in runs.values():
        following = tuple(
            (name, fault)
            for name, fault, operation in _placed_faults(run.history, run.roles, offered, after=run.struck_at)
            if classes.stands_for_itself(run.roles[name], operation, fault)
        )
        if following:
            firsts.append(run.single)
            seconds.append(following)
    return _Pairs(tuple(firsts), tuple(seconds), tuple(accumulate(map(len, seconds))))


class _Run(NamedTuple):
    """What a single fault came to.

    Attributes:
        struck_at: when it struck, in seconds.
        where: the process, the operation and the fault, as they stand in the history.
        trace: the history but for names, times and the fault itself.
    """

    single: Schedule
    history: History
    roles: Mapping[str, Role]
    struck_at: float
    where: tuple[object, ...]
    trace: bytes


def _run_of(small: Target, single: Schedule, classes: _Classes) -> _Run | None:
    """Let a single fault strike; None where it does not, or violates something at once."""
    faults = ScheduledFaults(single)
    try:
        history = simulate(small.plan(0), ReplayedChoices(()), faults).history
    except LabError:
        return None
    ((name, fault),) = single
    begun = (call for call in history.all_calls if call.process == name)
    aimed_at = next(islice(begun, fault.at - 1, None), None)
    if aimed_at is not None:
        classes.aimed(faults.roles[name], aimed_at.operation)
    strike = next(iter(history.faults), None)
    if strike is None:
        return None
    trace = _trace(history) + _timing(fault)
    if aimed_at is not None and strike.call is aimed_at:
        classes.struck(faults.roles[name], aimed_at.operation, fault, trace)
    where = (*strike.call.pointer, *sorted(map(str, strike.fault.items())))
    return _Run(single, history, faults.roles, strike.time, where, trace)


def _timing(fault: RandomFault) -> bytes:
    """Return what a fault changes that a history without times does not show."""
    return f"{fault.kind}/{fault.size}".encode() if fault.kind in _TIMING else b""


#: Kinds of fault that change when something happens, or the world; what happens may be the same until a second strikes.
_TIMING = frozenset({Kind.DELAY, Kind.PAUSE, Kind.CLOCK_SKEW, Kind.LATE_REQUEST, *RULES}) - {Kind.PARTIAL_REPLY_LOST}


class _Classes:
    """Which faults come to the same at a kind of operation, by what each of them came to alone."""

    def __init__(self) -> None:
        self._traces: dict[tuple[Role, str], dict[tuple[Kind, int], list[bytes]]] = {}

    def aimed(self, role: Role, operation: str) -> None:
        """Take in that a fault was aimed at a kind of operation."""
        self._traces.setdefault((role, operation), {})

    def struck(self, role: Role, operation: str, fault: RandomFault, trace: bytes) -> None:
        """Take in what a fault came to that struck the operation at which it was aimed."""
        self._traces[role, operation].setdefault((fault.kind, fault.size), []).append(trace)

    def stands_for_itself(self, role: Role, operation: str, fault: RandomFault) -> bool:
        """Return whether a fault should be tried at a kind of operation."""
        traces = self._traces.get((role, operation))
        if traces is None:
            return True  # no fault was ever aimed at it: it comes only after another one
        mine = traces.get((fault.kind, fault.size))
        if mine is None:
            return False
        return next(kind for kind, found in traces.items() if found == mine) == (fault.kind, fault.size)


def _trace(history: History) -> bytes:
    """Return a digest of a history without names, times and faults: equal for two that tell the same."""
    names: dict[str, int] = {}

    def plain(value: Any) -> Any:
        """Put the place of its first appearance for each text, which names a process, a message or a receipt."""
        if isinstance(value, str):
            return names.setdefault(value, len(names))
        if isinstance(value, Mapping):
            return [(name, plain(item)) for name, item in value.items() if name not in _TIMED]
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    digest = blake2b(digest_size=16)
    for moment, told in history.moments():
        if isinstance(told, Event):
            if told.process == ENDPOINT:
                continue
            said: tuple[Any, ...] = (told.name, plain({name: told[name] for name in sorted(told.keys() - HEADER)}))
        elif moment == "fault":
            continue
        elif moment == "invoke":
            said = (told.operation, plain(told.arguments))
        else:
            said = (told.operation, told.may_be_done, plain(told.result))
        digest.update(repr((moment, plain(told.process), *said)).encode())
    return digest.digest()


#: What is a time, or follows from one.
_TIMED = frozenset({"lease_seconds", "seconds_left", "owner", "receipt_handle"})


def _offered(small: Target, wanted: frozenset[Kind]) -> Mapping[Role, Sequence[Kind]]:
    """Return the kinds of fault that a process of each role can meet; a wrong clock at its first operation alone."""
    plan = small.plan(0)
    skew: Mapping[Role, tuple[Kind, ...]] = {"consumer": (Kind.CLOCK_SKEW,)}
    return {
        role: [
            kind for kind in dict.fromkeys((*plan.kinds_of(role), *skew.get(role, ()))) if not wanted or kind in wanted
        ]
        for role in get_args(Role)
    }


def _placed_faults(
    history: History, roles: Mapping[str, Role], offered: Mapping[Role, Sequence[Kind]], after: float
) -> Iterable[tuple[str, RandomFault, str]]:
    """Yield each fault that a process can meet at an operation that it begins after a moment.

    Each comes with the process and the kind of operation at which it is aimed.
    """
    begun: dict[str, int] = {}
    for call in history.all_calls:
        process = call.process
        if process not in roles:
            continue
        at = begun[process] = begun.get(process, 0) + 1
        if call.started <= after:
            continue
        for kind in offered[roles[process]]:
            if kind is Kind.CLOCK_SKEW and at > 1:
                continue
            if kind not in WITHOUT_AN_ANSWER and not _asks(call.operation):
                continue  # it would strike a later operation, where it is tried as well
            for size in SIZES_OF.get(kind, (0,)):
                yield process, RandomFault(kind, at, size), call.operation


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
