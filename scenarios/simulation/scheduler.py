"""Virtual time: a heap of wake-ups, and the strands that wake.

A strand is a generator that does something and yields the time at which it wants to go on, in seconds of virtual
time, or None to sleep until it is woken. Between two yields no other strand runs, and no time passes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Protocol, TypeAlias

#: Yields when to go on.
Strand: TypeAlias = Generator[float | None, None, None]


class Standstill(Protocol):
    """Whatever can make strands stand still for a while: a process that is paused."""

    paused_until: float


class Sleeper:
    """A strand, and the one wake-up that is valid for it.

    Attributes:
        ticket: the number of the valid wake-up; an older one on the heap is void.
        wakes_at: when that is, in seconds of virtual time.
    """

    __slots__ = ("_process", "strand", "ticket", "wakes_at")

    def __init__(self, process: Standstill | None = None) -> None:
        self._process = process
        self.strand: Strand = _nothing()
        self.ticket = 0
        self.wakes_at = 0.0

    def resume(self, scheduler: Scheduler) -> None:
        """Let the strand go on, and see when it wants to again; a process that is paused goes on after its pause."""
        process = self._process
        if process is not None and process.paused_until > scheduler.now:
            scheduler.wake(self, process.paused_until)
            return
        at = next(self.strand, None)
        if at is not None:
            scheduler.wake(self, at)


class Scheduler:
    """The clock of a simulation, and what wakes when.

    Attributes:
        now: seconds of virtual time since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Sleeper]] = []
        self._tickets = 0

    def time(self) -> float:
        """Return the virtual time, in seconds; it stands still while anybody runs."""
        return self.now

    def start(self, strand: Strand, at: float) -> Sleeper:
        """Let a strand begin at a time."""
        sleeper = Sleeper()
        sleeper.strand = strand
        self.wake(sleeper, at)
        return sleeper

    def wake(self, sleeper: Sleeper, at: float) -> None:
        """Let a strand go on at a time, and not at the one that it had asked for before."""
        self._tickets = sleeper.ticket = ticket = self._tickets + 1
        sleeper.wakes_at = at
        heappush(self._heap, (at, ticket, sleeper))

    def silence(self, sleeper: Sleeper) -> None:
        """Let a strand never go on."""
        self._tickets += 1
        sleeper.ticket = self._tickets

    def run_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Let time pass until the condition holds, asked after each step; return whether it does by the deadline.

        Whoever wakes at the same moment runs in the order in which the wake-ups were asked for.
        """
        heap = self._heap
        while not condition():
            if not heap or heap[0][0] > deadline:
                self.now = max(self.now, deadline)
                return False
            at, ticket, sleeper = heappop(heap)
            if sleeper.ticket == ticket:
                self.now = max(self.now, at)
                sleeper.resume(self)
        return True


def _nothing() -> Strand:
    yield from ()
