"""RandomFaults: the faults of a simulation that no scenario asks for, as data.

A scenario's own faults (``services.faults``) strike in every tier. A random fault comes on top, at an operation that
the source of choices picks, and it can do what cannot be done to a real process at will:

    crash             before the operation, after it, or in between: done, and unanswered
    error             throttling, or an error of the service's own; the operation is not done
    reply-lost        the operation is done, and its caller is told of a timeout
    late-request      the caller is told of a timeout, and the operation is done afterwards
    delay             the operation takes long
    pause             the whole process stands still, and wakes as if nothing had been
    sigterm           the process is asked to end
    partial-failure   some entries of a batch are not done, under an overall success
    clock-skew        the process's wall clock is wrong
    outage            every consumer dies, and for a while there is none
    retention-end     the queue forgets a message in hand at the end of its retention

Those of the world around a process, some of which last for a while, are in ``world_faults``:

    partial-reply-lost    some entries of a batch are not done, the others are, and the caller is told of a timeout
    partition             one consumer cannot reach the queue, the tables or the external system for a while
    throttling            the queue, the tables or the external system refuse what any consumer asks, for a while
    brown-out             for a while they answer slowly, with errors, or not at all, as chance has it
    expired-credentials   all that a consumer asks for is refused for good, until it ends or an operator helps
    missing-resource      the queue or the tables are not found by any consumer, until an operator restores them
    deleted-resource      the queue or the tables are deleted for good, and no operator restores them
    freeze                the process stands still, and its monotonic clock with it
    clock-jump            the process's wall clock is set to another time
    clock-drift           the process's wall clock goes too fast or too slowly
    copy-after-delete     a standard queue delivers a message once more after its delete
    deduplication-over    a producer repeats a send when a FIFO queue has forgotten its deduplication id
    attribute-raised      an operator raises the visibility timeout, or the maximum of receives

These break what most patterns assume, so they strike only where nobody declares the assumption:

    attribute-lowered     an operator lowers the visibility timeout, or the maximum of receives
    undone-expiry         the retention of a message ends that no consumer has worked on
    record-expiry         a time to live removes a status record, or an idempotency key that the external system had
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

from scenarios.simulation.choices import Choices
from services.consumer.assumptions import Assumption


class Kind(StrEnum):
    """What a random fault does; the tamest first."""

    DELAY = "delay"
    THROTTLE = "throttle"
    SERVER_ERROR = "server-error"
    PARTIAL_FAILURE = "partial-failure"
    REPLY_LOST = "reply-lost"
    LATE_REQUEST = "late-request"
    CRASH_BEFORE = "crash-before"
    CRASH_AFTER = "crash-after"
    CRASH_DURING = "crash-during"
    PAUSE = "pause"
    SIGTERM = "sigterm"
    OUTAGE = "outage"
    RETENTION_END = "retention-end"
    CLOCK_SKEW = "clock-skew"
    PARTIAL_REPLY_LOST = "partial-reply-lost"
    PARTITION = "partition"
    THROTTLING = "throttling"
    BROWN_OUT = "brown-out"
    EXPIRED_CREDENTIALS = "expired-credentials"
    MISSING_RESOURCE = "missing-resource"
    FREEZE = "freeze"
    CLOCK_JUMP = "clock-jump"
    CLOCK_DRIFT = "clock-drift"
    COPY_AFTER_DELETE = "copy-after-delete"
    DEDUPLICATION_OVER = "deduplication-over"
    ATTRIBUTE_RAISED = "attribute-raised"
    DELETED_RESOURCE = "deleted-resource"
    ATTRIBUTE_LOWERED = "attribute-lowered"
    UNDONE_EXPIRY = "undone-expiry"
    RECORD_EXPIRY = "record-expiry"


#: What a process is: a producer is not started again, one that keeps its state in a table and a consumer are.
Role = Literal["producer", "stateful producer", "consumer"]

#: Kinds that strike only where nobody declares an assumption.
BEYOND: Mapping[Kind, Assumption] = {
    Kind.ATTRIBUTE_LOWERED: Assumption.FIXED_ATTRIBUTES,
    Kind.UNDONE_EXPIRY: Assumption.LONG_RETENTION,
    Kind.RECORD_EXPIRY: Assumption.KEPT_RECORDS,
}
#: What can happen to a producer. It is not started again: a scenario that sends counts on its sends.
PRODUCER_KINDS = (
    Kind.DELAY,
    Kind.THROTTLE,
    Kind.SERVER_ERROR,
    Kind.PARTIAL_FAILURE,
    Kind.REPLY_LOST,
    Kind.PAUSE,
    Kind.PARTIAL_REPLY_LOST,
    Kind.DEDUPLICATION_OVER,
)
#: What can happen to a producer that finds in its table what it had begun; it is started again.
STATEFUL_PRODUCER_KINDS = (*PRODUCER_KINDS, Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.CRASH_DURING)
#: What can happen to a consumer within any assumptions; a wrong clock is drawn by itself, once a process.
CONSUMER_KINDS = tuple(
    kind for kind in Kind if kind not in BEYOND and kind not in (Kind.CLOCK_SKEW, Kind.DEDUPLICATION_OVER)
)
_KINDS: Mapping[Role, tuple[Kind, ...]] = {
    "producer": PRODUCER_KINDS,
    "stateful producer": STATEFUL_PRODUCER_KINDS,
    "consumer": (*CONSUMER_KINDS, *BEYOND),
}


#: What goes beyond an assumption: where it is dropped, these are met more often than the others.
GOES_BEYOND: Mapping[Assumption, tuple[Kind, ...]] = {
    Assumption.NO_LATE_REQUESTS: (Kind.LATE_REQUEST,),
    Assumption.SHORT_PAUSES: (Kind.PAUSE, Kind.FREEZE),
    Assumption.CLOSE_CLOCKS: (Kind.CLOCK_JUMP, Kind.CLOCK_DRIFT),
    **{assumption: (kind,) for kind, assumption in BEYOND.items()},
}
#: How often each of them stands among the others.
FAVOURED = 8


@cache
def kinds_of(
    role: Role, assumes: frozenset[Assumption], *, fifo: bool, dropped: frozenset[Assumption] = frozenset()
) -> tuple[Kind, ...]:
    """Return what a process can meet, the tamest first; a kind that is met more often stands there more often.

    Args:
        role: what the process is.
        assumes: what the faults keep to.
        fifo: whether the queue keeps order.
        dropped: what they would keep to, and do not.
    """
    strange = Kind.COPY_AFTER_DELETE if fifo else Kind.DEDUPLICATION_OVER
    usual = tuple(kind for kind in _KINDS[role] if kind is not strange and BEYOND.get(kind) not in assumes)
    beyond = tuple(kind for assumption in sorted(dropped) for kind in GOES_BEYOND.get(assumption, ()) if kind in usual)
    return usual + beyond * (FAVOURED - 1)


#: How large a random fault is, in steps: 0 is the smallest.
SIZES = 8
#: How many random faults a process draws, as likely as they stand here often.
COUNTS = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3)
#: One process in so many has a wrong clock.
SKEWED_ONE_IN = 4


@dataclass(frozen=True, slots=True)
class RandomFault:
    """One fault that is to strike a process, if it stays within the budget (see ``budget``).

    Attributes:
        kind: what.
        at: it strikes at the first operation from this one on that it fits; the process's operations count from 1.
        size: how large it is, from 0 to ``SIZES`` - 1: how long, how many entries, how wrong.
        aim: it strikes one kind of operation alone, and ``at`` counts the operations of this kind: the kind that stands
            at this place, from 0, in the order in which the process first performs them. None for any operation.
    """

    kind: Kind
    at: int
    size: int = 0
    aim: int | None = None


def draw_random_faults(choices: Choices, kinds: tuple[Kind, ...], spread: int) -> tuple[RandomFault, ...]:
    """Return a process's random faults, in the order of their operations.

    Args:
        choices: where they come from.
        kinds: what may happen to the process.
        spread: how many operations may lie between one and the next.
    """
    found: list[RandomFault] = []
    at = 0
    if Kind.SIGTERM in kinds and choices.below(SKEWED_ONE_IN) == SKEWED_ONE_IN - 1:
        found.append(RandomFault(Kind.CLOCK_SKEW, 1, choices.below(2 * SIZES)))
    for _ in range(choices.pick(COUNTS)):
        at += 1 + choices.below(spread)
        found.append(RandomFault(choices.pick(kinds), at, choices.below(SIZES)))
    return tuple(found)
