"""The typed records of a history: calls, messages, deliveries, deletions, effects, claims, faults and exits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

Record: TypeAlias = Mapping[str, Any]

#: The process name under which the embedded endpoint records its own side.
ENDPOINT = "endpoint"
#: The process name under which the lab records what it does; its clients add a word of their own: ``lab-dead-letters``.
LAB = "lab"

Status = Literal["ok", "fail", "unknown"]
#: What a record tells of.
Moment = Literal["invoke", "ok", "fail", "fault", "event"]


class Facts(NamedTuple):
    """What the lab says of a run before it begins; without it, a history's queues cannot be told apart.

    Attributes:
        queue: the name of the queue under study.
        dead_letter_queue: the name of its dead-letter queue.
        visibility_timeout: seconds.
        max_receive_count: receives after which the next one dead-letters a message.
        business_field: the payload field by which a side effect is known; empty for the message's own id.
        parameters: what the user may change about the run.
        follows: the patterns that the consumer declares; None for all.
        assumes: the assumptions that the faults keep to; None for all.
        program: whether the consumers are programs, whose own books are not seen.
        naive: whether the run is of a naive twin, which has to violate its invariant on a busy machine as well.
    """

    queue: str = ""
    dead_letter_queue: str = ""
    fifo: bool = False
    visibility_timeout: float = 0.0
    max_receive_count: int = 0
    business_field: str = ""
    parameters: Mapping[str, float] = MappingProxyType({})
    follows: tuple[str, ...] | None = None
    assumes: tuple[str, ...] | None = None
    program: bool = False
    naive: bool = False


#: What names an operation: its process, and the index of its first record.
Pointer: TypeAlias = tuple[str, int]


def identity_of(record: Record) -> Pointer:
    """Return what names a record: its process, and its index there."""
    return record["process"], record["index"]


def pointer_of(record: Record) -> Pointer:
    """Return what names the operation that a record is about; of an event, the event itself."""
    return record["process"], record.get("invocation", record["index"])


#: What all events have, besides their details.
HEADER = frozenset({"time", "process", "index", "type", "event"})


class Event(dict[str, Any]):
    """An event as the history tells it: what all records have by attribute, its details by name."""

    __slots__ = ()

    @property
    def time(self) -> float:
        """When it happened, in seconds."""
        return float(self["time"])

    @property
    def process(self) -> str:
        """The process that recorded it."""
        return str(self["process"])

    @property
    def name(self) -> str:
        """What happened."""
        return str(self["event"])


class Call:
    """An operation as the history tells it.

    Attributes:
        invoke: the record before it.
        started: the time of that record, in seconds.
        outcome: the record after it; None where the process died first.
        faults: the faults that struck it.
    """

    __slots__ = ("faults", "invoke", "operation", "outcome", "process", "started")

    def __init__(self, invoke: Record) -> None:
        self.invoke = invoke
        self.started = float(invoke["time"])
        self.outcome: Record | None = None
        self.faults: list[Record] = []
        self.operation: str = invoke["operation"]
        self.process: str = invoke["process"]

    @property
    def pointer(self) -> Pointer:
        """What names it in the history."""
        return self.process, self.invoke["index"]

    @property
    def error(self) -> str:
        """The code of its failure; empty where it did not fail, or no record tells."""
        return "" if self.outcome is None else str(self.outcome.get("error", ""))

    @property
    def may_be_done(self) -> bool:
        """Whether it failed in a way that tells nothing: it may have been done."""
        return self.outcome is not None and bool(self.outcome.get("transient"))

    @property
    def ended(self) -> float:
        """The time of the outcome; infinite where there is none."""
        return float("inf") if self.outcome is None else float(self.outcome["time"])

    @property
    def over(self) -> float:
        """The time from which on it surely has no effect any more: a late request has one after its outcome."""
        return float("inf") if self.struck_by("late-request") else self.ended

    def struck_by(self, kind: str) -> bool:
        """Return whether a fault of a kind struck it."""
        return any(item["fault"]["kind"] == kind for item in self.faults)

    @property
    def status(self) -> Status:
        """``ok``: it was done. ``fail``: it was not. ``unknown``: no record tells.

        A failure means "not done" where a fault stood in for the operation or the service refused it for good. After
        a passing failure (a lost connection, an internal error) the operation may have been done.
        """
        if self.outcome is None:
            struck = [(item["fault"]["kind"], item["fault"].get("point")) for item in self.faults]
            crashed_before = ("crash", "before") in struck
            return "fail" if crashed_before else "unknown"
        if self.outcome["type"] == "ok":
            return "ok"
        injected = self.struck_by("error")
        return "unknown" if self.may_be_done and not injected else "fail"

    @property
    def result(self) -> Any:
        """The result of an operation that is ``ok``, else None."""
        return self.outcome.get("result") if self.outcome is not None else None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the operation was asked to do."""
        arguments: Mapping[str, Any] = self.invoke["arguments"]
        return arguments

    @property
    def queue(self) -> str:
        """The name of the queue that the process works on."""
        return str(self.invoke.get("queue", ""))

    @property
    def records(self) -> tuple[Record, ...]:
        """The call's records, as evidence."""
        return (self.invoke, *self.faults, *(() if self.outcome is None else (self.outcome,)))


class SentMessage(NamedTuple):
    """A message that exists: its send was acknowledged, or it was delivered and so must have been sent.

    Attributes:
        key: by which its side effect is known.
        sequence: the producer's own number, from 0.
        poison: it asks to be rejected, or its body is nothing that could be worked on.
        position: its place in the order of sends; on a FIFO queue SQS's sequence number, which is that order.
        acknowledged: the producer knows that it was sent.
    """

    message_id: str
    key: str
    sequence: int | None
    group: str | None
    poison: bool
    position: int
    acknowledged: bool
    call: Call


class Delivery(NamedTuple):
    """A message as one receive brought it."""

    message_id: str
    receive_count: int
    process: str
    body: str
    group: str | None
    sequence_number: str | None
    call: Call

    @property
    def time(self) -> float:
        """When the receive had ended, in seconds."""
        return self.call.ended


class Deletion(NamedTuple):
    """A message that a process asked to be deleted; on a standard queue a stale handle's delete is ``ok`` as well."""

    message_id: str
    process: str
    status: Status
    call: Call


class Effect(NamedTuple):
    """A side effect that a process set out to cause.

    Attributes:
        executions: how often the external system had done it by then, this time included; None unless ``ok``. Where
            the answer did not say, the history's own count.
        recognised: the external system knew the call by its idempotency key, and did nothing a second time.
    """

    key: str
    message_id: str
    sequence: int | None
    group: str | None
    process: str
    status: Status
    executions: int | None
    call: Call
    recognised: bool = False


class ClaimAnswer(NamedTuple):
    """A claim: ``Claimed``, ``AlreadyCompleted``, ``HeldByAnother``, or empty where it was not answered."""

    key: str
    process: str
    answer: str
    fencing_token: int | None
    call: Call


class Completion(NamedTuple):
    """A Complete: accepted, refused because a newer claim exists, or None where it was not answered."""

    key: str
    process: str
    fencing_token: int
    accepted: bool | None
    call: Call


class FaultStrike(NamedTuple):
    """A fault that struck, and the operation it struck."""

    kind: str
    operation: str
    point: str
    process: str
    time: float
    call: Call
    record: Record

    @property
    def fault(self) -> Mapping[str, Any]:
        """The fault as it was asked for, or drawn."""
        fault: Mapping[str, Any] = self.record["fault"]
        return fault

    @property
    def seconds(self) -> float:
        """How long it lasts, 0 for a fault without a length."""
        return float(self.fault.get("seconds", 0.0))

    @property
    def planned(self) -> bool:
        """Whether the scenario asked for it; what the simulation adds says nothing of how many operations it counts."""
        return "nth" in self.fault


class Exit(NamedTuple):
    """The end of a process; a negative code is the signal that ended it."""

    process: str
    code: int
    time: float
    record: Record
