"""The recorder: what a process did, one record before each operation and one after it (see ``services.records``).

A record is a line of a file, by a single unbuffered append, so it survives SIGKILL; several processes may append to one
directory of files that are merged later.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.operations import Operation, OperationFailed, plain
from services.records import Event, Fail, FaultRecord, Invoke, Ok, Record

#: The event that tells of the wall clock, and what it says: seconds since the epoch, less monotonic ones.
CLOCK, OFFSET = "clock", "wall_minus_monotonic"
#: Seconds. A smaller change is no step, but drift, or the time between two readings.
CLOCK_STEP = 0.005
#: Seconds that two readings may lie apart.
CLOCK_NOISE = 0.001

Sink = Callable[[Record], None]


class Recorder:
    """Write the records of one process.

    Args:
        sink: takes a record, and has made it last by the time it returns.
        process: the process's name in the history.
        clock: monotonic seconds, comparable between the processes of one machine.
        queue: the name of the queue that the process works on; empty for none.
        wall_clock: seconds since the epoch. Leases compare it, so the history says when it was stepped: by an event
            ``clock`` at the beginning and after each step. None for a process without one.
    """

    def __init__(
        self,
        sink: Sink,
        process: str,
        clock: Callable[[], float],
        queue: str = "",
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        self.process = process
        self._sink = sink
        self._clock = clock
        self._queue = queue
        self._wall_clock = wall_clock
        self._offset: float | None = None
        self._index = 0
        self._lock = threading.Lock()

    def invoke(self, operation: Operation, *, at: float | None = None) -> int:
        """Record that an operation is about to be performed; return the record's index.

        Args:
            operation: what is about to be performed.
            at: when it began at the earliest, where that is known only afterwards; None for now.
        """
        name, arguments = type(operation).__name__, operation.arguments()
        with self._lock:
            now, index = self._next()
            time = now if at is None else round(at, 6)
            self._sink(Invoke(time, self.process, index, name, arguments, self._queue).as_record())
        return index

    def ok(self, invocation: int, operation: Operation, result: Any) -> None:
        """Record an operation's result."""
        name, kept = type(operation).__name__, operation.kept_result(result)
        with self._lock:
            time, index = self._next()
            self._sink(Ok(time, self.process, index, invocation, name, kept).as_record())

    def fail(self, invocation: int, operation: Operation, error: OperationFailed) -> None:
        """Record that an operation failed."""
        name, said = type(operation).__name__, (error.code, error.message, error.transient)
        with self._lock:
            time, index = self._next()
            self._sink(Fail(time, self.process, index, invocation, name, *said).as_record())

    def fault(self, invocation: int, operation: Operation, fault: Mapping[str, Any]) -> None:
        """Record that a fault is being injected, before it strikes."""
        name = type(operation).__name__
        with self._lock:
            time, index = self._next()
            self._sink(FaultRecord(time, self.process, index, invocation, name, dict(fault)).as_record())

    def event(self, event: str, **details: Any) -> None:
        """Record anything but an operation."""
        kept = plain(details)
        with self._lock:
            time, index = self._next()
            self._sink(Event(time, self.process, index, event, kept).as_record())

    def look_at_clock(self) -> None:
        """Record that the wall clock was stepped, if it was since the last record."""
        if self._wall_clock is not None:
            with self._lock:
                self._check(self._wall_clock)

    def _next(self) -> tuple[float, int]:
        """Return the time and the index of a new record; the lock is held."""
        if self._wall_clock is not None:
            self._check(self._wall_clock)
        return self._stamp()

    def _stamp(self) -> tuple[float, int]:
        index = self._index
        self._index = index + 1
        return round(self._clock(), 6), index

    def _check(self, wall_clock: Callable[[], float]) -> None:
        """Record by how much the wall clock is ahead of the monotonic one, if that has changed."""
        before, wall, after = self._clock(), wall_clock(), self._clock()
        if after - before > CLOCK_NOISE:
            return  # the process stood still in between; the next record looks again
        offset = wall - before
        if self._offset is None or abs(offset - self._offset) > CLOCK_STEP:
            self._offset = offset
            time, index = self._stamp()
            self._sink(Event(time, self.process, index, CLOCK, {OFFSET: round(offset, 6)}).as_record())


def nowhere(_record: Record) -> None:
    """Keep no history: the sink of a process that runs outside a lab."""


def append_to(path: Path) -> Sink:
    """Return a sink that appends to a file with one ``write`` a line; the file is open for as long as the sink is used.

    Raises:
        OSError: the file cannot be opened for appending.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(record: Record) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        while line:  # a disk that is nearly full takes a part; the next write then raises
            line = line[os.write(descriptor, line) :]

    # Not on request: a thread that is late would write into whatever has the number by then.
    weakref.finalize(write, os.close, descriptor)
    return write
