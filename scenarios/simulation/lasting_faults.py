"""Faults that last: a partition, throttling, a brown-out, credentials that have expired, a missing resource.

Each is a series of single faults at the operations that it reaches, one after the other. Every one of them stays within
the fault budget. The first that could not ends the whole series: what was cut off is reached again, and an operator
has helped, before a message pays for it.

A queue, or tables, that were deleted for good stay away whatever it costs, and no process can start on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from scenarios.simulation.random_faults import Kind, RandomFault
from services.faults import REACHES
from services.injection import DYNAMODB_ERRORS, EXPIRED, NOT_REACHED, SQS_ERRORS
from services.operations import CheckTables, DescribeQueue, Operation, Track

if TYPE_CHECKING:
    from scenarios.simulation.process import SimulatedProcess

#: A lasting fault goes on for this part of the visibility timeout, for each step of its size.
LASTING_STEP = 0.25
#: What a consumer cannot reach, as the size picks: the queue, the tables, the external system, or anything at all.
_REACHES: Sequence[tuple[frozenset[Track], str]] = (
    (frozenset({"queue"}), REACHES["queue"]),
    (frozenset({"store"}), REACHES["store"]),
    (frozenset({"world"}), REACHES["world"]),
    (frozenset({"queue", "store", "world"}), REACHES[""]),
)
#: What may be missing: an external system is another's, and has no operator here.
_MAY_BE_MISSING = _REACHES[:2]
#: What an operation meets in a brown-out, as likely as it stands here often; the tamest first.
_IN_A_BROWN_OUT = (None, None, Kind.SERVER_ERROR, Kind.REPLY_LOST)


@dataclass(frozen=True, slots=True)
class Hit(RandomFault):
    """A single fault that a lasting one brings to an operation.

    Attributes:
        during: the lasting one.
        code: the error's code; empty for the kind's own.
        for_good: no fault budget ends the lasting one.
    """

    during: str = ""
    code: str = ""
    for_good: bool = False


@dataclass(slots=True, eq=False)
class LastingFault:
    """A fault that goes on.

    Attributes:
        kind: what it is.
        size: as the random fault's.
        until: when it is over, in virtual seconds.
    """

    kind: Kind
    size: int
    until: float

    @property
    def for_good(self) -> bool:
        """Whether it never ends."""
        return self.until == inf

    @property
    def reaches(self) -> frozenset[Track]:
        """What cannot be reached, or refuses."""
        return _reach(self.kind, self.size)[0]

    def meets(self, process: SimulatedProcess, operation: Operation) -> Hit | None:
        """Return what an operation meets; None where it is spared."""
        if operation.mark.track not in self.reaches:
            return None
        kind: Kind | None = Kind.SERVER_ERROR
        code = ""
        match self.kind:
            case Kind.PARTITION if self.size >= len(_REACHES):
                kind = Kind.REPLY_LOST  # requests arrive, and no reply comes back
            case Kind.PARTITION:
                code = NOT_REACHED
            case Kind.THROTTLING:
                kind = Kind.THROTTLE
            case Kind.EXPIRED_CREDENTIALS:
                code = EXPIRED
            case Kind.MISSING_RESOURCE | Kind.DELETED_RESOURCE:
                code = (SQS_ERRORS if operation.mark.track == "queue" else DYNAMODB_ERRORS).missing
            case Kind.BROWN_OUT:
                kind = process.world.choices.pick(_IN_A_BROWN_OUT)
        if kind is None:
            return None
        return Hit(kind, 0, during=str(self.kind), code=code, for_good=self.for_good)


def what_it_reaches(kind: Kind, size: int) -> str:
    """Return what a lasting fault cuts off, in words."""
    return _reach(kind, size)[1]


def _reach(kind: Kind, size: int) -> tuple[frozenset[Track], str]:
    if kind is Kind.EXPIRED_CREDENTIALS:
        return _REACHES[-1]
    reaches = _MAY_BE_MISSING if kind in (Kind.MISSING_RESOURCE, Kind.DELETED_RESOURCE) else _REACHES
    return reaches[size % len(reaches)]


class LastingFaults:
    """The lasting faults of one process, or of all consumers."""

    __slots__ = ("going_on",)

    def __init__(self) -> None:
        self.going_on: list[LastingFault] = []

    def __bool__(self) -> bool:
        return bool(self.going_on)

    @property
    def will_pass(self) -> bool:
        """Whether there are some, and all of them end."""
        return bool(self.going_on) and not any(fault.for_good for fault in self.going_on)

    def begin(self, fault: LastingFault) -> None:
        """Have a fault go on."""
        self.going_on.append(fault)

    def end(self) -> None:
        """End all of them but those that are for good."""
        self.going_on[:] = [fault for fault in self.going_on if fault.for_good]

    def meet(self, process: SimulatedProcess, operation: Operation) -> Hit | None:
        """Return what an operation meets, after those that are over by now have ended."""
        if not self.going_on:
            return None
        now = process.world.scheduler.now
        self.going_on[:] = [fault for fault in self.going_on if fault.until > now]
        beginning = isinstance(operation, DescribeQueue | CheckTables)
        hits = (fault.meets(process, operation) for fault in self.going_on if fault.for_good or not beginning)
        return next((hit for hit in hits if hit), None)
