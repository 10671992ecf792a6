"""The AWS driver: performs operations through boto3, on real AWS or on any endpoint that speaks its protocols.

Each of its parts has a method for each operation that is its own; see ``services.operations.base``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from services.drivers.aws_errors import as_operation_failed
from services.drivers.outbox import Outbox
from services.drivers.payloads import Payloads
from services.drivers.queue import Queue
from services.drivers.store import Store
from services.errors import ServiceError, Unusable
from services.machine import machine_error
from services.operations import (
    AppendToLog,
    Note,
    Operation,
    OperationFailed,
    Part,
    ReadClock,
    ReadWallClock,
    Sleep,
    methods_of,
)

log = logging.getLogger("services")

#: The variable that a process lacks where it lacks a part of its driver.
_VARIABLES: Mapping[Part, str] = {
    "queue": "QUEUE_URL",
    "store": "MESSAGE_STATUS_TABLE or MESSAGE_SIDE_EFFECTS_TABLE",
    "outbox": "MESSAGE_STATUS_TABLE",
    "payloads": "PAYLOAD_BUCKET",
}


class AwsDriver:
    """Perform operations for real.

    Args:
        queue: the one queue of this process; None for one that has no business with it.
        store: the tables; None for a process that has none (a producer).
        wake: set at shutdown; it cuts every Sleep short.
        payloads: the bucket; None for a process that has none.
        outbox: a service's own state with its outbox; None for a process that has none.
    """

    def __init__(
        self,
        queue: Queue | None,
        store: Store | None = None,
        wake: threading.Event | None = None,
        payloads: Payloads | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        process = Process(wake or threading.Event())
        parts: dict[Part, Any] = {
            "queue": queue,
            "store": store,
            "outbox": outbox,
            "payloads": payloads,
            "process": process,
        }
        self._methods = methods_of({name: part for name, part in parts.items() if part is not None})

    def perform(self, operation: Operation) -> Any:
        """Perform an operation; see :class:`services.drivers.base.Driver`.

        Raises:
            Unusable: this process has no such part.
        """
        method = self._methods.get(type(operation))
        if method is None:
            name, variable = type(operation).__name__, _VARIABLES[operation.part]
            raise Unusable(f"{name} cannot be done without {variable}; set it, or choose another class.")
        try:
            return method(operation)
        except (OperationFailed, ServiceError):
            raise
        except Exception as error:
            raise machine_error(error) or as_operation_failed(error) from error


class Process:
    """What a process does by itself.

    Args:
        wake: set at shutdown; it cuts every Sleep short.
    """

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def sleep(self, operation: Sleep) -> bool:
        """Wait; return whether it was for the whole time."""
        if operation.uninterrupted:
            time.sleep(operation.seconds)
            return True
        return not self._wake.wait(operation.seconds)

    def read_clock(self, _operation: ReadClock) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def read_wall_clock(self, _operation: ReadWallClock) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def note(self, note: Note) -> None:
        """Log a line."""
        details = " ".join(f"{name}={value}" for name, value in note.details.items())
        log.log(note.level, "%s %s", note.event, details)

    def append_to_log(self, operation: AppendToLog) -> None:
        """Append a line by one write to a file opened for appending: lines of several processes do not mix."""
        descriptor = os.open(operation.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, operation.line.encode() + b"\n")
        finally:
            os.close(descriptor)
