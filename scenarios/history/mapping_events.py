"""What the endpoint says of a mapping and its function, as the records that a consumer leaves of itself.

    mapping-received                     Receive
    batch-sent, -succeeded, -failed      InvokeFunction, and how it ended
    batch-throttled                      its end by a throttle
    mapping-deleted                      Delete
    fault-struck                         a fault of the invocation, or of the delete

All else that the endpoint says of the function becomes an event of the consumer's. The translation keeps no clock of
its own: a record bears the time of what it tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenarios.history.records import Record
from services.records import Event, Fail, FaultRecord, Invoke, Ok

#: The records that a recording proxy writes for the same consumer count from 0 on.
FIRST_INDEX = 1_000_000_000
#: What the endpoint calls a fault, as the history has it.
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "crash-before": {"kind": "crash", "point": "before"},
    "crash-during": {"kind": "crash", "point": "during"},
    "crash-after": {"kind": "crash", "point": "after"},
    "hang": {"kind": "timeout", "point": "during"},
    "answer-lost": {"kind": "reply-lost", "point": "after"},
    "throttle": {"kind": "throttle", "point": "before"},
    "cold-start": {"kind": "cold-start", "point": "before"},
}
THROTTLED = "TooManyRequestsException"


class MappingEvents:
    """Translates the events of the functions of one run.

    Args:
        queue: the name of the queue that they read.

    Attributes:
        ended: the consumers whose mapping has ended.
    """

    def __init__(self, queue: str) -> None:
        self.ended: set[str] = set()
        self._queue = queue
        self._consumers: dict[str, str] = {}
        self._index = FIRST_INDEX
        self._open: dict[tuple[str, int], int] = {}
        self._sent: dict[tuple[str, int], list[str]] = {}
        self._failing: dict[str, Record] = {}

    def add(self, function: str, consumer: str) -> None:
        """Know a function by its consumer's name."""
        self._consumers[function] = consumer

    def knows(self, record: Record) -> bool:
        """Return whether a record is about one of these functions."""
        return record.get("function") in self._consumers

    def translate(self, record: Record) -> list[dict[str, Any]]:
        """Return the records that an event of the endpoint comes to."""
        consumer = self._consumers[record["function"]]
        time, event = record["time"], record["event"]
        match event:
            case "mapping-received":
                arguments = {"max_messages": record["asked"], "wait_seconds": 0}
                return self._done(time, consumer, "Receive", arguments, record["messages"])
            case "mapping-deleted":
                return self._deleted(time, consumer, record)
            case "batch-sent":
                invoked = self._invoke(
                    time, consumer, "InvokeFunction", {"messages": record["messages"], "attempt": record["attempt"]}
                )
                self._open[consumer, record["batch"]] = invoked["index"]
                self._sent[consumer, record["batch"]] = record["messages"]
                return [invoked]
            case "batch-succeeded" | "batch-failed" | "batch-throttled":
                return [self._answered(time, consumer, record)]
            case "fault-struck":
                return self._struck(time, consumer, record)
            case "mapping-ended":
                self.ended.add(consumer)
        details = {name: value for name, value in record.items() if name not in Event.RESERVED}
        return [Event(time, consumer, self._next(), event, details).as_record()]

    def _answered(self, time: float, consumer: str, record: Record) -> dict[str, Any]:
        invocation = self._open.pop((consumer, record["batch"]))
        index, operation = self._next(), "InvokeFunction"
        if record["event"] == "batch-succeeded":
            return Ok(time, consumer, index, invocation, operation, {"failed": record["failed"]}).as_record()
        if record["event"] == "batch-throttled":
            return Fail(time, consumer, index, invocation, operation, THROTTLED, "Rate Exceeded.", False).as_record()
        said = str(record.get("detail") or "")
        return Fail(time, consumer, index, invocation, operation, record["reason"], said, False).as_record()

    def _deleted(self, time: float, consumer: str, record: Record) -> list[dict[str, Any]]:
        failures = [
            {
                "entry": item["entry"],
                "code": "InternalError" if item["transient"] else "ReceiptHandleIsInvalid",
                "message": "",
                "sender_fault": not item["transient"],
            }
            for item in record["failed"]
        ]
        invoked, answered = self._done(time, consumer, "Delete", {"messages": record["messages"]}, failures)
        struck = self._failing.pop(consumer, None)
        if struck is None:
            return [invoked, answered]
        fault = {"kind": "partial-failure", "operation": "Delete", "entries": struck["entries"], **_scripted(struck)}
        told = FaultRecord(time, consumer, self._next(), invoked["index"], "Delete", fault).as_record()
        return [invoked, told, answered]

    def _struck(self, time: float, consumer: str, record: Record) -> list[dict[str, Any]]:
        if record["kind"] == "delete-failed":
            self._failing[consumer] = record  # its delete is told next
            return []
        invocation = self._open.get((consumer, record["batch"] or 0))
        if invocation is None:
            details = {name: value for name, value in record.items() if name not in Event.RESERVED}
            return [Event(time, consumer, self._next(), record["event"], details).as_record()]
        fault = {**FAULTS[record["kind"]], "operation": "InvokeFunction", **_scripted(record)}
        if record["seconds"]:
            fault["seconds"] = record["seconds"]
        return [FaultRecord(time, consumer, self._next(), invocation, "InvokeFunction", fault).as_record()]

    def _done(
        self, time: float, consumer: str, operation: str, arguments: dict[str, Any], result: Any
    ) -> list[dict[str, Any]]:
        invoked = self._invoke(time, consumer, operation, arguments)
        return [invoked, Ok(time, consumer, self._next(), invoked["index"], operation, result).as_record()]

    def _invoke(self, time: float, consumer: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return Invoke(time, consumer, self._next(), operation, arguments, self._queue).as_record()

    def _next(self) -> int:
        self._index += 1
        return self._index


def _scripted(record: Record) -> dict[str, int]:
    """Return which operation a scenario's own fault strikes; nothing of a fault by chance."""
    return {} if record["at"] is None else {"nth": record["at"]}
