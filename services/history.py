"""The recorder: what a process did, one JSON line before each operation and one after it.

A line is a single unbuffered append, so it survives SIGKILL, and several processes may append to one directory of
files that are merged later. The record types, in the order in which they can follow one another:

    invoke   an operation is about to be performed
    ok       it was, with this result
    fail     it was not, or nobody knows, with this error
    fault    a fault was injected here (nothing follows a crash: the outcome of its operation is unknown)
    event    something that is no operation: started, signal, handled, stopped
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.operations import Operation, OperationFailed, plain

Record = dict[str, Any]
Sink = Callable[[Record], None]


class Recorder:
    """Write the records of one process.

    Args:
        sink: takes a record, and has made it last by the time it returns.
        process: the process's name in the history.
        clock: monotonic seconds, comparable between the processes of one machine.
        context: what every invoke record says besides, for example the queue's name.
    """

    def __init__(
        self, sink: Sink, process: str, clock: Callable[[], float], context: Mapping[str, Any] | None = None
    ) -> None:
        self.process = process
        self._sink = sink
        self._clock = clock
        self._context = dict(context or {})
        self._index = 0
        self._lock = threading.Lock()

    def invoke(self, operation: Operation) -> int:
        """Record that an operation is about to be performed; return the record's index."""
        return self._write(
            "invoke", operation=type(operation).__name__, arguments=operation.arguments(), **self._context
        )

    def ok(self, invocation: int, operation: Operation, result: Any) -> None:
        """Record an operation's result."""
        kept = operation.kept_result(result)
        self._write("ok", invocation=invocation, operation=type(operation).__name__, result=kept)

    def fail(self, invocation: int, operation: Operation, error: OperationFailed) -> None:
        """Record that an operation failed."""
        self._write(
            "fail",
            invocation=invocation,
            operation=type(operation).__name__,
            error=error.code,
            message=error.message,
            transient=error.transient,
        )

    def fault(self, invocation: int, operation: Operation, fault: Mapping[str, Any]) -> None:
        """Record that a fault is being injected, before it strikes."""
        self._write("fault", invocation=invocation, operation=type(operation).__name__, fault=dict(fault))

    def event(self, event: str, **details: Any) -> None:
        """Record something that is no operation."""
        self._write("event", event=event, **plain(details))

    def _write(self, kind: str, **rest: Any) -> int:
        with self._lock:
            index = self._index
            self._index += 1
            time = round(self._clock(), 6)
            self._sink({"time": time, "process": self.process, "index": index, "type": kind, **rest})
        return index


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
