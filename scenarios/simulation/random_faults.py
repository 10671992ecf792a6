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
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scenarios.simulation.choices import Choices


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


#: What can happen to a producer. It is not started again: a scenario that sends counts on its sends.
PRODUCER_KINDS = (Kind.DELAY, Kind.THROTTLE, Kind.SERVER_ERROR, Kind.PARTIAL_FAILURE, Kind.REPLY_LOST, Kind.PAUSE)
#: What can happen to a producer that finds in its table what it had begun; it is started again.
STATEFUL_PRODUCER_KINDS = (*PRODUCER_KINDS, Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.CRASH_DURING)
#: What can happen to a consumer; a wrong clock is drawn by itself, once a process.
CONSUMER_KINDS = tuple(kind for kind in Kind if kind is not Kind.CLOCK_SKEW)

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
