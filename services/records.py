"""The records of a history, by type: what a recorder writes, and what a reader may count on.

    invoke   an operation is about to be performed
    ok       it was, with this result
    fail     it was not, or that is unknown, with this error
    fault    a fault was injected here (nothing follows a crash: the outcome of its operation is unknown)
    event    anything but an operation: started, handled, stopped ...

In a file, and in memory, a record is one flat JSON object; its ``type`` says which of these it is. An event's details
stand beside its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import msgspec

#: A record as JSON has it.
Record: TypeAlias = dict[str, Any]


class Header(msgspec.Struct, frozen=True, tag_field="type"):
    """What all records have.

    Attributes:
        time: monotonic seconds, comparable between the processes of one machine.
        process: the process's name in the history.
        index: counts the process's records, from 0.
    """

    time: float
    process: str
    index: int


class Invoke(Header, frozen=True, tag="invoke"):
    """An operation is about to be performed.

    Attributes:
        queue: the name of the queue that the process works on; empty for none.
    """

    operation: str
    arguments: dict[str, Any]
    queue: str = ""

    def as_record(self) -> Record:
        """Return the record as JSON has it."""
        record = {
            "time": self.time,
            "process": self.process,
            "index": self.index,
            "type": "invoke",
            "operation": self.operation,
            "arguments": self.arguments,
        }
        if self.queue:
            record["queue"] = self.queue
        return record


class Ok(Header, frozen=True, tag="ok"):
    """An operation was done; ``invocation`` is the index of its ``invoke``."""

    invocation: int
    operation: str
    result: Any = None

    def as_record(self) -> Record:
        """Return the record as JSON has it."""
        return {
            "time": self.time,
            "process": self.process,
            "index": self.index,
            "type": "ok",
            "invocation": self.invocation,
            "operation": self.operation,
            "result": self.result,
        }


class Fail(Header, frozen=True, tag="fail"):
    """An operation failed; where that is ``transient``, it may have been done."""

    invocation: int
    operation: str
    error: str
    message: str
    transient: bool

    def as_record(self) -> Record:
        """Return the record as JSON has it."""
        return {
            "time": self.time,
            "process": self.process,
            "index": self.index,
            "type": "fail",
            "invocation": self.invocation,
            "operation": self.operation,
            "error": self.error,
            "message": self.message,
            "transient": self.transient,
        }


class FaultRecord(Header, frozen=True, tag="fault"):
    """A fault strikes an operation."""

    invocation: int
    operation: str
    fault: dict[str, Any]

    def as_record(self) -> Record:
        """Return the record as JSON has it."""
        return {
            "time": self.time,
            "process": self.process,
            "index": self.index,
            "type": "fault",
            "invocation": self.invocation,
            "operation": self.operation,
            "fault": self.fault,
        }


class Event(Header, frozen=True, tag="event"):
    """Anything but an operation."""

    #: What an event's details cannot be called.
    RESERVED: ClassVar[frozenset[str]] = frozenset({"time", "process", "index", "type", "event"})

    event: str
    details: dict[str, Any] = {}

    def as_record(self) -> Record:
        """Return the record as JSON has it."""
        return {
            "time": self.time,
            "process": self.process,
            "index": self.index,
            "type": "event",
            "event": self.event,
            **self.details,
        }


AnyRecord: TypeAlias = Invoke | Ok | Fail | FaultRecord | Event


def typed(record: Mapping[str, Any]) -> AnyRecord:
    """Return a record by its type.

    Raises:
        ValueError: it is none: a field is missing, or of another type.
    """
    found: AnyRecord = msgspec.convert(record, AnyRecord)
    if isinstance(found, Event):
        details = {name: value for name, value in record.items() if name not in Event.RESERVED}
        return msgspec.structs.replace(found, details=details)
    return found
