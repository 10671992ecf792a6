"""The processes of a program: the one that was started, and whatever it starts, each with its clock.

They come and go while the program computes. So each look at the program looks for new ones, and takes over their clocks
before virtual time goes on. A program is at rest only when all of its processes are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scenarios.errors import ServiceFailedError
from scenarios.lockstep.clock import ProgramClock, where_vdso_is
from scenarios.lockstep.orphans import descendants_of, orphans
from scenarios.lockstep.threads import Look, Threads, Wait, end_wait, halted, has_ended, have_run

#: Real seconds until a process whose clock cannot be taken over is given up: it may be about to end.
TAKING: Final = 5.0


@dataclass(slots=True)
class Member:
    """One process of a program."""

    threads: Threads
    clock: ProgramClock
    #: By thread: how often it had run when its wait was first seen, and the wait.
    waits: dict[int, tuple[str, Wait]] = field(default_factory=dict)
    #: The sockets, as the system calls them, that are known to lead to the lab alone.
    harmless: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Let go of what tells of it."""
        self.threads.close()
        self.clock.close()


class UntakenError(Exception):
    """A process of a program cannot be held still: a clause that says which, and why."""


class Members:
    """The processes of one program.

    Args:
        mark: what marks those that outlive what had started them.
    """

    def __init__(self, mark: str) -> None:
        self._pid, self._mark = 0, mark
        self._members: dict[int, Member] = {}
        #: By process and thread: how often it must have run before the program has heard; empty where nothing is due.
        self._expected: dict[int, dict[int, int]] = {}
        #: It has started others.
        self._has_company = False
        #: Those that have ended, and that their parents have not taken note of.
        self._ended: set[int] = set()
        #: When a process's clock could first not be taken over.
        self._untaken: dict[int, float] = {}

    @property
    def pids(self) -> list[int]:
        """The processes that are known, without the one that was started."""
        return [pid for pid in self._members if pid != self._pid]

    def items(self) -> Iterable[tuple[int, Member]]:
        """Return the processes that are known."""
        return tuple(self._members.items())

    def close(self) -> None:
        """Let go of what tells of them."""
        for member in self._members.values():
            member.close()
        self._members.clear()

    # --- who there is ------------------------------------------------------------------------------------------------

    def begin(self, pid: int) -> None:
        """Take over the clocks of all that there is.

        Args:
            pid: the process that was started.

        Raises:
            ServiceFailedError: its clock cannot be set.
        """
        self._pid = pid
        self._members[pid] = Member(Threads(pid), _take_clock(pid, None))
        self._find(descendants_of(pid))

    def at_rest(self) -> Mapping[int, Look] | None:
        """Return what the threads stand in where none computes; None where one does, or where one has come or gone.

        Raises:
            UntakenError: a process's clock cannot be set.
        """
        first = self._look()
        if first is None or self._find(self._company()):
            return None
        # What one process does wakes another: only if none has run between two looks at all of them, all rest.
        return first if first == self._look() else None

    def _look(self) -> Mapping[int, Look] | None:
        looks = {}
        for pid, member in tuple(self._members.items()):
            look = member.threads.look()
            if not look:
                if look is not None and pid != self._pid:
                    self._forget(pid)
                return None  # it computes, or is about to end, or its end is about to wake what waits for it
            looks[pid] = look
        return looks

    def _company(self) -> list[int]:
        found = [pid for member in self._members.values() for pid in member.threads.children()]
        if found or self._has_company:
            self._has_company = True
            found += orphans(self._mark)
        return [pid for pid in found if pid != self._pid]

    def _find(self, pids: Iterable[int]) -> bool:
        """Take over the clocks of new processes, and of those that have become other programs; tell of any change."""
        lost = [pid for pid, member in self._members.items() if member.clock.is_lost]
        new = [pid for pid in pids if pid not in self._members]
        ended = {pid for pid in (*lost, *new) if has_ended(pid)}
        alive = [pid for pid in (*lost, *new) if pid not in ended]
        for pid in alive:
            self._take(pid)
        # What one that has just ended had started is listed elsewhere now: it takes another look to find that.
        changed = bool(alive) or not ended <= self._ended
        self._ended = ended
        return changed

    def _take(self, pid: int) -> None:
        first = self._members[self._pid].clock
        try:
            clock = _take_clock(pid, first)
        except ServiceFailedError as error:
            if time.monotonic() < self._untaken.setdefault(pid, time.monotonic()) + TAKING:
                return
            name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
            raise UntakenError(f"has started {name}, which cannot be held still: {error}") from None
        known = self._members.get(pid)
        if known is None:
            self._members[pid] = Member(Threads(pid), clock)
        else:
            known.clock.close()
            known.clock = clock
            known.waits.clear()

    def _forget(self, pid: int) -> None:
        self._members.pop(pid).close()
        # What had started it may have ended before; it is this process's own then.
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    # --- time --------------------------------------------------------------------------------------------------------

    def show(self, elapsed: float, wall: float) -> None:
        """Set their clocks.

        Args:
            elapsed: seconds of virtual time.
            wall: seconds since the epoch.
        """
        for member in self._members.values():
            member.clock.set(elapsed, wall)

    @property
    def next_due(self) -> float | None:
        """When the next of their waits is over, in seconds since their clocks were taken over; None for never."""
        due = [wait.due - member.clock.began for member in self._members.values() for _, wait in member.waits.values()]
        return min(due, default=None)

    def note_waits(self, looks: Mapping[int, Look]) -> bool:
        """Keep the waits that have not changed, and take down new ones; return whether a thread only looks for work."""
        spins = False
        for pid, look in looks.items():
            member = self._members[pid]
            known, member.waits = member.waits, {}
            for tid, wait in member.threads.waits(look, member.clock).items():
                runs = look[tid][1]
                spins = spins or wait.spins
                before = known.get(tid)
                member.waits[tid] = before if before is not None and before[0] == runs else (runs, wait)
        return spins

    def end_waits(self, elapsed: float) -> None:
        """End the waits whose time has come."""
        for pid, member in self._members.items():
            over = [tid for tid, (_, wait) in member.waits.items() if wait.due - member.clock.began <= elapsed]
            runs = member.threads.runs() if over else {}
            for tid in over:
                if end_wait(tid, member.waits.pop(tid)[1]) and tid in runs:
                    # Once to be told that it is over, and once to go on.
                    self._expected.setdefault(pid, {})[tid] = runs[tid] + 2

    # --- what is on its way to them ----------------------------------------------------------------------------------

    def expect_answer(self) -> None:
        """Take note that an answer is about to be sent: a thread that listens has to run."""
        for pid, member in self._members.items():
            self._expected[pid] = {tid: runs + 1 for tid, runs in member.threads.runs(listening=True).items()}

    def expect_signal(self) -> None:
        """Take note that the first process is about to be sent a signal."""
        if self._pid in self._members:
            threads = self._members[self._pid].threads
            self._expected[self._pid] = {tid: runs + 1 for tid, runs in threads.runs().items()}

    def expect_write(self, thread: int) -> None:
        """Take note that a thread that is held at a write is about to go on."""
        for pid, member in self._members.items():
            if thread in member.threads.held:
                member.threads.held.discard(thread)
                self._expected[pid] = {thread: member.threads.runs().get(thread, 0) + 1}

    def hold(self, threads: Iterable[int]) -> None:
        """Take note of all threads that are held at a write."""
        for pid, member in self._members.items():
            member.threads.held = {thread for thread in threads if Path(f"/proc/{pid}/task/{thread}").exists()}

    def has_heard(self, looks: Mapping[int, Look]) -> bool:
        """Tell whether what was on its way has reached a thread: the system may take a moment for that."""
        expected = {pid: runs for pid, runs in self._expected.items() if runs and pid in self._members}
        return not expected or any(have_run(runs, looks.get(pid, {})) for pid, runs in expected.items())

    def expect_nothing(self) -> None:
        """Take note that all have heard what there was to hear."""
        self._expected.clear()


def _take_clock(pid: int, like: ProgramClock | None) -> ProgramClock:
    """Take over a process's clock while it is stopped, and no thread is reading it.

    Raises:
        ServiceFailedError: its memory cannot be written.
    """
    until = time.monotonic() + TAKING
    while True:
        with halted(pid, TAKING) as places:
            vdso = where_vdso_is(pid)
            if not any(place in vdso for place in places) or time.monotonic() > until:
                return ProgramClock(pid, vdso, like)
