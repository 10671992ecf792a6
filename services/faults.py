"""Faults as data: what goes wrong on purpose, at which operation, and how often.

A fault names a kind of operation and strikes at the n-th one that matches. ``FAULTS`` holds a JSON list of them:

    [{"kind": "crash", "operation": "Claim", "point": "after", "nth": 2},
     {"kind": "delay", "operation": "PerformSideEffect", "nth": 0, "seconds": 2.5},
     {"kind": "error", "operation": "PerformSideEffect", "where": {"sequence": 3}, "code": "ThrottlingException"},
     {"kind": "crash", "operation": "Complete", "point": "during"},
     {"kind": "reply-lost", "operation": "CallApi"},
     {"kind": "late-request", "operation": "PerformSideEffect", "seconds": 3},
     {"kind": "partial-failure", "operation": "Delete", "entries": [0, 2]},
     {"kind": "partition", "operation": "Receive", "nth": 2, "seconds": 5, "reach": "queue"},
     {"kind": "brown-out", "at": 10, "seconds": 5},
     {"kind": "deleted-resource", "operation": "Claim", "reach": "store"}]

A fault at ``PerformSideEffect`` strikes whatever causes the side effect, also a ``CallApi`` or a transaction with it;
and so does a fault at ``CallApi``.

A fault that lasts begins with the operation that it names, or ``at`` a second of its process, and goes on for its
seconds. The process's clock starts with its first operation. Meanwhile each operation of the process that it reaches
meets the same: ``partition`` (not reached; at the point ``during`` done, and no reply comes back), ``throttling``,
``expired-credentials``. In a ``brown-out`` the first one fails, and of the others a share fails, is slow, or hears no
reply. A ``deleted-resource`` has no end: the queue or the tables are gone for all. The history holds the beginning, and
each operation that it struck as a fault with ``during``, as in the simulation.

``nth`` 0 means every one. ``where`` narrows to operations about a message with those facts (``key``, ``message_id``,
``sequence``, ``group``). A receive that brings no message does not count.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Final, Literal, get_args

from services.batches import BATCHES
from services.errors import ConfigurationError
from services.injection import DYNAMODB_ERRORS, EXPIRED, NOT_REACHED, SQS_ERRORS, ServiceErrors
from services.operations import OPERATIONS, CheckTables, DescribeQueue, Operation, Receive, Track
from services.variables import MAX_SECONDS

LastingKind = Literal["partition", "throttling", "brown-out", "expired-credentials", "deleted-resource"]
ProcessKind = Literal[
    "crash",
    "error",
    "delay",
    "reply-lost",
    "late-request",
    "partial-failure",
    "partial-reply-lost",
    "partition",
    "throttling",
    "brown-out",
    "expired-credentials",
    "deleted-resource",
]
#: What can happen to the function of an event source mapping besides; no process has it injected.
FunctionKind = Literal["timeout", "throttle", "cold-start"]
Kind = ProcessKind | FunctionKind
Point = Literal["before", "during", "after"]
#: Before an operation, when it is done and its caller has not heard of it, and after it.
Stage = Literal["before", "reply", "after"]

#: The kinds that go on for a while, and the one that never ends.
LASTING = frozenset(get_args(LastingKind))
DELETED = "deleted-resource"
#: In a brown-out each operation fails with this probability, or is slow with the same; a reply is lost likewise.
BROWN_OUT_SHARE = 0.25
#: How long a slow operation takes, as a part of the brown-out's seconds.
SLOW_PART = 0.1
#: What a fault that lasts can keep a process from, in words; all of it where it names nothing.
REACHES: Mapping[str, str] = {
    "queue": "the queue",
    "store": "the tables",
    "world": "the external system",
    "": "everything",
}
#: The kinds that can reach one system alone.
_OF_ONE_SYSTEM = ("partition", "throttling", "brown-out")
#: What a process does before its first message: it gives up if that fails.
_BEGINNING = (DescribeQueue, CheckTables)

#: The operations that a fault can name.
FAULTABLE = tuple(sorted(name for name, kind in OPERATIONS.items() if kind.recorded))
#: The operations that always cause a side effect; which one does is the consumer's own affair.
EFFECTS = frozenset({"PerformSideEffect", "CallApi"})
#: The one that may.
_TRANSACTION = "Transact"
#: How many operations after a receive a random crash may fall at the latest: the length of a message's whole path.
PATH_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: ``crash`` (SIGKILL), ``error`` (the operation is not done and fails), ``delay`` (it is done later),
            ``reply-lost`` (it is done, and its caller is told of a timeout),
            ``late-request`` (its caller is told of a timeout at once, and it is done afterwards),
            ``partial-failure`` (some entries of a batch are not done, under an overall success);
            ``partition``, ``throttling``, ``brown-out``, ``expired-credentials`` (for a while, see the module),
            ``deleted-resource`` (for good);
            of an invocation also ``timeout`` (the function stands still until it is killed), ``throttle`` (it cannot be
            invoked for a while), ``cold-start`` (the environments that wait for it are gone).
        operation: the operation's class name; empty where the fault begins by the clock.
        point: for a crash, whether the operation is not begun (``before``), done without a record of it (``during``),
            or done and recorded (``after``). For a delay ``during`` means that the operation is done at once, and its
            caller hears so later; any other point delays the operation itself.
        nth: counts the operations that match, from 1; 0 for every one.
        where: facts that a message of the operation must have.
        seconds: how long a delay lasts, or what goes on; or how long after its timeout a late request takes effect.
        code: the error's code.
        entries: the indices of the entries that fail in part; those beyond the batch are ignored.
        reach: what a fault that lasts keeps the process from: ``queue``, ``store``, ``world``, or empty for everything.
        during: the kind of the fault that lasts, where this one is a part of it.
        at: seconds from the process's first operation to the beginning of a fault that lasts; 0 where an operation
            begins it.
    """

    kind: Kind
    operation: str = ""
    point: Point = "after"
    nth: int = 1
    where: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    code: str = "ServiceUnavailable"
    entries: tuple[int, ...] = ()
    reach: Track | Literal[""] = ""
    during: str = ""
    at: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the fault as a history holds it."""
        told = {name: getattr(self, name) for name in _FIELDS} | {"where": dict(self.where)}
        return {name: value for name, value in told.items() if value not in ({}, 0.0, (), "") or name == "nth"}

    def reaches(self, operation: Operation) -> bool:
        """Return whether this fault, while it lasts, has to do with an operation."""
        return self.reach in ("", operation.mark.track) and not isinstance(operation, _BEGINNING)

    def meets(self, operation: Operation) -> Fault | None:
        """Return what an operation meets while this fault lasts, but for a brown-out; None where it is spared."""
        if not self.reaches(operation) or self.kind == "brown-out":
            return None
        if self.kind == "partition" and self.point == "during":
            return self._part("reply-lost", operation)
        errors = _errors_of(operation)
        codes = {
            "partition": NOT_REACHED,
            "throttling": errors.throttled,
            "expired-credentials": EXPIRED,
            DELETED: errors.missing,
        }
        return self._part("error", operation, code=codes[self.kind])

    def fails(self, operation: Operation) -> Fault:
        """Return the error of its own that a service answers in a brown-out."""
        return self._part("error", operation, code=_errors_of(operation).failed)

    def slows(self, operation: Operation) -> Fault:
        """Return by what an operation is slow in a brown-out."""
        return self._part("delay", operation, seconds=round(SLOW_PART * self.seconds, 3))

    def loses_reply_to(self, operation: Operation) -> Fault:
        """Return the loss of a reply."""
        return self._part("reply-lost", operation)

    def _part(self, kind: Kind, operation: Operation, **details: Any) -> Fault:
        return Fault(kind, type(operation).__name__, nth=0, during=self.kind, **details)


_FIELDS: Final = tuple(each.name for each in fields(Fault))


class FaultPlan:
    """Decides which faults strike an operation. It counts in memory, so it lives as long as its process.

    Args:
        faults: what to inject.
        crash_rate: the probability, per received message, of a crash somewhere on that message's way.
        rng: where chance comes from.
        now: the process's clock, in seconds; faults that last ask for it.
    """

    def __init__(
        self,
        faults: Sequence[Fault] = (),
        *,
        crash_rate: float = 0.0,
        rng: random.Random | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)
        self._crash_rate = crash_rate
        self._rng = rng or random.Random(0)  # noqa: S311 - chance in a lab must be reproducible, not secret
        self._operations_to_crash: int | None = None
        self._now = now
        #: What goes on, each with the time of its end.
        self._going_on: list[tuple[Fault, float]] = []
        #: What begins by the clock, and has not begun; and when the first operation was.
        self._by_clock = [fault for fault in self._faults if fault.at]
        self._started: float | None = None
        named = frozenset(fault.operation for fault in self._faults if not fault.at)
        self._operations = named | EFFECTS | {_TRANSACTION} if named & EFFECTS else named

    def may_strike(self, operation: Operation) -> bool:
        """Return whether an operation of this kind can be struck at all; one that cannot need not be asked about."""
        lasting = bool(self._going_on or self._by_clock)
        return lasting or type(operation).__name__ in self._operations or self._crash_rate > 0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What it injects, but for random crashes."""
        return self._faults

    def before(self, operation: Operation) -> Iterable[Fault]:
        """Return the faults that strike before this operation, in their order; the call counts."""
        begun = self._begin_by_clock()
        due = self._due(operation, "before")
        begun += [fault for fault in due if fault.kind in LASTING]
        self._going_on += [(fault, _end(fault, self._now())) for fault in due if fault.kind in LASTING]
        yield from (fault for fault in begun if fault.at)
        yield from due
        yield from self._met(operation, "before", begun)

    def on_reply(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """Return the faults that strike when this operation is done, and its caller has not heard of it."""
        begun = self._begin_by_clock()
        yield from begun
        # The network was cut while the reply was on its way.
        yield from (
            fault.loses_reply_to(operation) for fault in begun if fault.kind == "partition" and fault.reaches(operation)
        )
        if not (isinstance(operation, Receive) and not result):
            yield from self._due(operation, "reply", result)
        yield from self._met(operation, "reply")

    def _begin_by_clock(self) -> list[Fault]:
        """Return the faults whose second has come, and have them go on; one that is over by now strikes nothing."""
        if not self._by_clock:
            return []
        now = self._now()
        if self._started is None:
            self._started = now
        started = self._started
        due = [fault for fault in self._by_clock if started + fault.at <= now]
        self._by_clock = [fault for fault in self._by_clock if fault not in due]
        ends = [(fault, _end(fault, started + fault.at)) for fault in due]
        begun = [(fault, end) for fault, end in ends if end > now]
        self._going_on += begun
        return [fault for fault, _ in begun]

    def _met(self, operation: Operation, stage: Stage, begun: Sequence[Fault] = ()) -> Sequence[Fault]:
        """Return what the first fault that goes on brings to an operation."""
        if not self._going_on:
            return ()
        now = self._now()
        self._going_on = [(fault, end) for fault, end in self._going_on if end > now]
        met = (self._brings(fault, operation, stage, first=fault in begun) for fault, _ in self._going_on)
        return [hit for hit in met if hit is not None and _stage(hit) == stage][:1]

    def _brings(self, fault: Fault, operation: Operation, stage: Stage, *, first: bool) -> Fault | None:
        """Return what a fault that goes on brings to an operation; in a brown-out, as chance has it."""
        if fault.kind != "brown-out" or not fault.reaches(operation):
            return fault.meets(operation)
        drawn = self._rng.random()
        if stage == "reply":
            return fault.loses_reply_to(operation) if drawn < BROWN_OUT_SHARE else None
        if first or drawn < BROWN_OUT_SHARE:
            return fault.fails(operation)
        return fault.slows(operation) if drawn < 2 * BROWN_OUT_SHARE else None

    def after(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """Return the faults that strike after this operation was done; the call counts."""
        if isinstance(operation, Receive) and not result:
            return
        yield from self._due(operation, "after", result)
        if self._random_crash(operation, result):
            yield Fault("crash", type(operation).__name__, nth=0)

    def _due(self, operation: Operation, stage: Stage, result: Any = None) -> Sequence[Fault]:
        # All of them count before the first strikes: after an error the caller does not ask for the next.
        due = []
        for place, fault in enumerate(self._faults):
            if fault.at or _stage(fault) != stage:
                continue
            if not is_struck(fault.operation, type(operation).__name__, operation.arguments):
                continue
            if fault.where and not any(fault.where.items() <= facts.items() for facts in operation.subjects(result)):
                continue
            self._seen[place] += 1
            if fault.nth in (0, self._seen[place]):
                due.append(fault)
        return due

    def _random_crash(self, operation: Operation, result: Any) -> bool:
        """Draw once for each received message; the crash strikes one of the operations that follow."""
        if not self._crash_rate:
            return False
        if isinstance(operation, Receive):
            hit = sum(self._rng.random() < self._crash_rate for _ in result)
            self._operations_to_crash = self._rng.randrange(PATH_LENGTH) if hit else None
        elif self._operations_to_crash is not None:
            self._operations_to_crash -= 1
        return self._operations_to_crash == 0


def is_struck(named: str, performed: str, arguments: Callable[[], Mapping[str, Any]]) -> bool:
    """Tell whether a fault that names one kind of operation strikes one of another kind: both cause the side effect.

    Args:
        named: what the fault names.
        performed: the operation's class name.
        arguments: returns what the operation is about; a transaction with a side effect has its key.
    """
    if named == performed:
        return True
    return named in EFFECTS and (performed in EFFECTS or (performed == _TRANSACTION and "key" in arguments()))


def _errors_of(operation: Operation) -> ServiceErrors:
    return SQS_ERRORS if operation.mark.track == "queue" else DYNAMODB_ERRORS


def _end(fault: Fault, since: float) -> float:
    """Return when a fault that lasts is over."""
    return inf if fault.kind == DELETED else since + fault.seconds


def _stage(fault: Fault) -> Stage:
    if fault.kind == "reply-lost" or (fault.kind in ("crash", "delay") and fault.point == "during"):
        return "reply"
    return "after" if fault.kind == "crash" and fault.point == "after" else "before"


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Read the JSON list of faults.

    Raises:
        ConfigurationError: it is no such list, or a fault in it names something that does not exist.
    """
    try:
        listed = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"FAULTS is not JSON ({error}); give a list such as {_EXAMPLE}.") from None
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ConfigurationError(f"FAULTS must be a JSON list of objects such as {_EXAMPLE}.")
    return tuple(_parse_fault(item) for item in listed)


_EXAMPLE = '[{"kind": "crash", "operation": "Claim"}]'


def _parse_fault(item: dict[str, Any]) -> Fault:
    names = {known.name for known in fields(Fault)}
    checks: list[tuple[bool, str]] = [
        (item.keys() <= names, f"knows only {', '.join(sorted(names))}"),
        (item.get("kind") in get_args(ProcessKind), f"needs a kind: {', '.join(get_args(ProcessKind))}"),
        (_number(item.get("at", 0)) and item.get("at", 0) <= MAX_SECONDS, f"needs at from 0 to {MAX_SECONDS} seconds"),
        (
            not item.get("at") or (item.get("kind") in LASTING and _names_no_operation(item)),
            "begins at a second, which a fault that lasts can, without an operation, an nth and a where",
        ),
        (item.get("at") or item.get("operation") in FAULTABLE, f"needs an operation: {', '.join(FAULTABLE)}"),
        (item.get("point", "after") in get_args(Point), "needs a point: before, during or after"),
        (_number(item.get("nth", 1)) and isinstance(item.get("nth", 1), int), "needs a whole number as its nth"),
        (
            _number(item.get("seconds", 0)) and item.get("seconds", 0) <= MAX_SECONDS,
            f"needs seconds from 0 to {MAX_SECONDS}",
        ),
        (
            item.get("kind") != "late-request" or item.get("seconds", 0) > 0,
            "needs seconds above 0: how long after its timeout the request takes effect",
        ),
        (
            item.get("kind") not in LASTING - {DELETED} or item.get("seconds", 0) > 0,
            "needs seconds above 0: for how long it goes on",
        ),
        (item.get("kind") != DELETED or not item.get("seconds"), "needs no seconds: what is deleted stays deleted"),
        (
            item.get("kind") not in LASTING or item.get("nth", 1) != 0,
            "needs an nth from 1: it begins once, and goes on",
        ),
        (
            item.get("kind") == DELETED
            or item.get("reach", "") in (REACHES if item.get("kind") in _OF_ONE_SYSTEM else ("",)),
            "needs a reach of queue, store or world, which a partition, throttling and a brown-out have",
        ),
        (
            item.get("kind") != DELETED or item.get("reach", "") in ("queue", "store"),
            "needs a reach: queue or store, whichever is deleted",
        ),
        ("during" not in item, "says during, which only a history does"),
        (isinstance(item.get("where", {}), dict), "needs an object as its where"),
        (isinstance(item.get("code", ""), str), "needs a text as its code"),
        (_indices(item.get("entries", [])), "needs a list of whole numbers from 0 as its entries"),
        (
            item.get("kind") not in ("partial-failure", "partial-reply-lost") or item.get("operation") in _BATCH_NAMES,
            f"fails in part, which only a batch can: {', '.join(sorted(_BATCH_NAMES))}",
        ),
    ]
    for fine, complaint in checks:
        if not fine:
            raise ConfigurationError(f"FAULTS: the fault {json.dumps(item)} {complaint}.")
    return Fault(**{**item, "entries": tuple(item.get("entries", ()))})


def _names_no_operation(item: Mapping[str, Any]) -> bool:
    return "operation" not in item and "where" not in item and item.get("nth", 1) == 1


_BATCH_NAMES = frozenset(kind.__name__ for kind in BATCHES)


def _indices(value: Any) -> bool:
    return isinstance(value, list) and all(_number(item) and isinstance(item, int) for item in value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
