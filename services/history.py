"""The recorder: what a process did, one record before each operation and one after it (see ``services.records``).

A record is a line of a file, by a single unbuffered append, so it survives SIGKILL; several processes may append to one
directory of files that are merged later.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.operations import Operation, OperationFailed, plain
from services.records import AnyRecord, Event, Fail, FaultRecord, Invoke, Ok, Record

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

    def invoke(self, operation: Operation) -> int:
        """Record that an operation is about to be performed; return the record's index."""
        name, arguments = type(operation).__name__, operation.arguments()
        return self._write(lambda time, index: Invoke(time, self.process, index, name, arguments, self._queue))

    def ok(self, invocation: int, operation: Operation, result: Any) -> None:
        """Record an operation's result."""
        name, kept = type(operation).__name__, operation.kept_result(result)
        self._write(lambda time, index: Ok(time, self.process, index, invocation, name, kept))

    def fail(self, invocation: int, operation: Operation, error: OperationFailed) -> None:
        """Record that an operation failed."""
        name, said = type(operation).__name__, (error.code, error.message, error.transient)
        self._write(lambda time, index: Fail(time, self.process, index, invocation, name, *said))

    def fault(self, invocation: int, operation: Operation, fault: Mapping[str, Any]) -> None:
        """Record that a fault is being injected, before it strikes."""
        name = type(operation).__name__
        self._write(lambda time, index: FaultRecord(time, self.process, index, invocation, name, dict(fault)))

    def event(self, event: str, **details: Any) -> None:
        """Record anything but an operation."""
        kept = plain(details)
        self._write(lambda time, index: Event(time, self.process, index, event, kept))

    def _write(self, make: Callable[[float, int], AnyRecord]) -> int:
        with self._lock:
            self._check_wall_clock()
            return self._append(make)

    def _append(self, make: Callable[[float, int], AnyRecord]) -> int:
        index = self._index
        self._index += 1
        self._sink(make(round(self._clock(), 6), index).as_record())
        return index

    def _check_wall_clock(self) -> None:
        """Record by how much the wall clock is ahead of the monotonic one, if that has changed."""
        if self._wall_clock is None:
            return
        before, wall, after = self._clock(), self._wall_clock(), self._clock()
        if after - before > CLOCK_NOISE:
            return  # the process stood still in between; the next record looks again
        offset = wall - before
        if self._offset is None or abs(offset - self._offset) > CLOCK_STEP:
            self._offset = offset
            details = {OFFSET: round(offset, 6)}
            self._append(lambda time, index: Event(time, self.process, index, CLOCK, details))


def nowhere(_record: Record) -> None:
    """Keep no history: the sink of a process that runs outside a lab."""


def append_to(path: Path) -> Sink:
    """Return a sink that appends to a file with one ``write`` a line.

    Raises:
        OSError: the file cannot be opened for appending.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(record: Record) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        while line:  # a disk that is nearly full takes a part; the next write then raises
            line = line[os.write(descriptor, line) :]

    return write
