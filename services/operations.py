"""The operations: every call that a producer or a consumer makes to the outside, as data.

A generator yields one of these and is sent its result. Nothing here does anything: a driver (see
``services.drivers``) performs operations, and in doing so records them. This is the seam that lets the same
consumer run on real AWS, on the embedded endpoint and in simulated time.

    queue       DescribeQueue  Receive  Delete  ChangeVisibility  Send  Purge
    store       CheckTables  Claim  RenewClaim  ReleaseClaim  Complete
    outbox      CommitChange  ReadOutbox  MarkSent
    payloads    PutObject  FetchObject  RemoveObject  ListObjects
    the world   LookUpSideEffect  PerformSideEffect  CallApi  WriteState  AppendToLog
    time        Sleep  ReadClock  ReadWallClock
    the log     Note

An operation that could not be done raises :class:`OperationFailed` at the ``yield``. An answer that is merely a "no"
(a claim held by another, an entry of a batch that failed) is a result, not an error.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias, TypeVar

Result = TypeVar("Result")


class OperationFailed(Exception):  # noqa: N818 - the history's own word for it: an operation ends ok or fails
    """Tell that an operation was not done, or that nobody knows whether it was.

    Attributes:
        code: the error's name as the service gave it, for example ``ThrottlingException``.
        transient: whether the same call may succeed later.
    """

    def __init__(self, code: str, message: str, *, transient: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Operation:
    """One call to the outside."""

    #: Whether the history keeps it. Reading a clock or waiting is no fact about the queue.
    recorded: ClassVar[bool] = True

    def arguments(self) -> dict[str, Any]:
        """Return what the history keeps of this operation: JSON values, no credentials."""
        return {name: plain(getattr(self, name)) for name in _field_names(type(self))}

    def kept_result(self, result: Any) -> Any:
        """Return what the history keeps of its result."""
        return plain(result)


#: A task of a producer or a consumer: yields operations, is sent their results, returns a value of its own.
Task: TypeAlias = Generator[Operation, Any, Result]


# --- the queue ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery of a message: the same message delivered again is another value, with another receipt handle.

    Attributes:
        receive_count: how often it was delivered, this time included (``ApproximateReceiveCount``).
        group: the MessageGroupId, None where it has none.
        sequence_number: SQS's own, on a FIFO queue; not the producer's ``sequence``.
    """

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int = 1
    group: str | None = None
    sequence_number: str | None = None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What a queue says of itself: its visibility timeout in seconds, and whether it keeps order."""

    visibility_timeout: int
    fifo: bool


@dataclass(frozen=True, slots=True)
class DescribeQueue(Operation):
    """Ask for the queue's visibility timeout and type. Result: :class:`QueueFacts`."""


@dataclass(frozen=True, slots=True)
class Receive(Operation):
    """Receive up to ``max_messages``, waiting up to ``wait_seconds`` for the first. Result: ``tuple[Message, ...]``."""

    max_messages: int
    wait_seconds: int


@dataclass(frozen=True, slots=True)
class EntryFailure:
    """An entry of a batch that the queue refused under an overall success.

    Attributes:
        entry: the index of the entry in the operation's tuple.
        sender_fault: True where sending the same again cannot help.
    """

    entry: int
    code: str
    message: str
    sender_fault: bool


@dataclass(frozen=True, slots=True)
class Delete(Operation):
    """Delete up to 10 messages as one batch. Result: ``tuple[EntryFailure, ...]``, empty where all went well."""

    messages: tuple[Message, ...]

    def arguments(self) -> dict[str, Any]:
        """Return the ids alone: the bodies stand with the receive."""
        return {"messages": [message.message_id for message in self.messages]}


@dataclass(frozen=True, slots=True)
class ChangeVisibility(Operation):
    """Set the visibility timeout of up to 10 messages in flight. Result: ``tuple[EntryFailure, ...]``.

    ``timeout`` is in seconds from now; 0 makes them visible at once.
    """

    messages: tuple[Message, ...]
    timeout: int

    def arguments(self) -> dict[str, Any]:
        """Return the ids alone: the bodies stand with the receive."""
        return {"messages": [message.message_id for message in self.messages], "timeout": self.timeout}


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send: its body, and on a FIFO queue its group and deduplication id."""

    body: str
    group: str | None = None
    deduplication_id: str | None = None
    delay_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class SentEntry:
    """An entry of a batch that the queue took."""

    entry: int
    message_id: str
    sequence_number: str | None = None


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of a batch: each entry stands in exactly one of the two."""

    sent: tuple[SentEntry, ...]
    failed: tuple[EntryFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class Send(Operation):
    """Send up to 10 messages as one batch. Result: :class:`SendResult`."""

    messages: tuple[OutgoingMessage, ...]


@dataclass(frozen=True, slots=True)
class Purge(Operation):
    """Ask the queue to delete all that is in it; it takes its time, see ``Producer.purge``. Result: None."""


# --- the store: our own bookkeeping --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckTables(Operation):
    """Make sure, before the first message, that the tables can be read. Result: None."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The claim is ours.

    Attributes:
        fencing_token: counts the claims there ever were of this key; what completes must show the newest.
    """

    fencing_token: int

    @property
    def first_attempt(self) -> bool:
        """Tell whether nobody has ever claimed this key before."""
        return self.fencing_token == 1


@dataclass(frozen=True, slots=True)
class AlreadyCompleted:
    """The key's work is done; there is nothing left but to delete the message."""


@dataclass(frozen=True, slots=True)
class HeldByAnother:
    """Somebody else's claim is alive for another ``seconds_left``."""

    owner: str
    seconds_left: float


ClaimResult: TypeAlias = Claimed | AlreadyCompleted | HeldByAnother


@dataclass(frozen=True, slots=True)
class Claim(Operation):
    """Claim a key for ``lease_seconds``. Result: :data:`ClaimResult`."""

    key: str
    owner: str
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class RenewClaim(Operation):
    """Let the lease end ``lease_seconds`` from now. Result: True, or False where the claim is no longer ours."""

    key: str
    fencing_token: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class ReleaseClaim(Operation):
    """End a claim early, so that the next attempt need not wait for the lease. Result: as :class:`RenewClaim`."""

    key: str
    fencing_token: int


@dataclass(frozen=True, slots=True)
class Complete(Operation):
    """Mark a key's work as done, if the claim is still ours. Result: True, or False where a newer claim exists.

    Attributes:
        outcome: what it came to, in a word, for whoever asks later.
    """

    key: str
    fencing_token: int
    outcome: str = "done"


# --- the outbox: our own state, and what is to be sent because of it ------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A message that was committed and not yet marked as sent: what it tells of, and its body."""

    key: str
    body: str


@dataclass(frozen=True, slots=True)
class CommitChange(Operation):
    """Change our own state, and put a message that tells of it into the outbox, in one transaction.

    Result: True, or False where this change was made before; then nothing is written.

    Attributes:
        key: what is changed.
        change: the new state.
        message: the body of the message; None to tell nobody.
    """

    key: str
    change: str
    message: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return whether a message goes with the change: its body stands with the send."""
        return {"key": self.key, "message": self.message is not None}


@dataclass(frozen=True, slots=True)
class ReadOutbox(Operation):
    """Read what is still to be sent, up to ``limit`` entries. Result: ``tuple[OutboxEntry, ...]``."""

    limit: int


@dataclass(frozen=True, slots=True)
class MarkSent(Operation):
    """Take entries out of the outbox. Result: None."""

    keys: tuple[str, ...]


# --- payloads: what is too large for a message ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutObject(Operation):
    """Store a text under a key. Result: None."""

    key: str
    body: str

    def arguments(self) -> dict[str, Any]:
        """Return the text's length in its place."""
        return {"key": self.key, "characters": len(self.body)}


@dataclass(frozen=True, slots=True)
class FetchObject(Operation):
    """Ask for the text under a key. Result: the text, or None where there is none."""

    key: str

    def kept_result(self, result: Any) -> Any:
        """Return the text's length in its place."""
        return None if result is None else {"characters": len(result)}


@dataclass(frozen=True, slots=True)
class RemoveObject(Operation):
    """Remove what is under a key, if anything is. Result: None."""

    key: str


@dataclass(frozen=True, slots=True)
class ListObjects(Operation):
    """Ask for all keys. Result: ``tuple[str, ...]``."""


# --- the world ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookUpSideEffect(Operation):
    """Ask the external system whether it has already done this. Result: bool."""

    key: str


@dataclass(frozen=True, slots=True)
class PerformSideEffect(Operation):
    """Cause the side effect. Result: how often the external system has now done it for this key.

    The ledger counts executions and refuses none: a duplicate that is refused could never be seen.

    Attributes:
        sequence: the payload's own ``sequence``, by which order is judged.
        group: the message group, None on a standard queue.
    """

    key: str
    message_id: str
    sequence: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class StateWritten:
    """What became of a :class:`WriteState`.

    Attributes:
        took: whether the state is what this write made it.
        version: the version that is there now.
    """

    took: bool
    version: int


@dataclass(frozen=True, slots=True)
class WriteState(Operation):
    """Set the state of an entity to what it is in a version. Result: :class:`StateWritten`.

    Attributes:
        key: by which the update is known.
        only_if_newer: leave the state alone where it has this version or a newer one.
    """

    entity: str
    version: int
    key: str
    message_id: str
    only_if_newer: bool = True


#: How a system refuses a known idempotency key with another call's contents: AWS's own code; Stripe says
#: ``idempotency_error``. https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
KEY_REUSED = "IdempotentParameterMismatch"


def key_reused(idempotency_key: str) -> OperationFailed:
    """Return the refusal of a known idempotency key that comes with other contents."""
    said = f"the idempotency key {idempotency_key} came with other contents before"
    return OperationFailed(KEY_REUSED, said, transient=False)


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What a system that honours idempotency keys answers: the same to a key's second call as to its first.

    Attributes:
        executions: how often the side effect has now been done.
        recognised: the key had been seen before; this call did nothing.
    """

    executions: int
    recognised: bool


@dataclass(frozen=True, slots=True)
class CallApi(Operation):
    """Cause the side effect in a system that does it once for each idempotency key. Result: :class:`ApiAnswer`.

    A known idempotency key with another ``key`` is refused for good, with the code ``KEY_REUSED``, and nothing is done.

    Attributes:
        key: what the side effect is about, by which executions are counted: the contents of the call.
        idempotency_key: what the system knows a call by, whoever makes it; what has the same is the same call.
    """

    key: str
    message_id: str
    idempotency_key: str
    sequence: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class AppendToLog(Operation):
    """Append one line to a file that several consumers may share. Result: None."""

    path: str
    line: str


# --- time --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sleep(Operation):
    """Wait for ``seconds``. Result: True, or False where shutdown cut the wait short.

    Attributes:
        uninterrupted: shutdown does not cut it short.
    """

    recorded: ClassVar[bool] = False
    seconds: float
    uninterrupted: bool = False


@dataclass(frozen=True, slots=True)
class ReadClock(Operation):
    """Read a monotonic clock. Result: seconds, as a float that only differences give a meaning to."""

    recorded: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class ReadWallClock(Operation):
    """Read the wall clock. Result: seconds since the epoch, as far as this machine's clock is right."""

    recorded: ClassVar[bool] = False


# --- the log -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Note(Operation):
    """Say something to whoever reads the log and the history. Result: None.

    Attributes:
        event: what happened, in a word or two with hyphens.
        details: JSON values.
        level: one of ``logging``'s levels.
    """

    recorded: ClassVar[bool] = False
    event: str
    details: Mapping[str, Any]
    level: int = logging.INFO


_SCALARS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dataclasses as objects, tuples as lists."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is tuple or kind is list:
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        named = {name: plain(getattr(value, name)) for name in _field_names(kind)}
        return {"type": kind.__name__, **named} if isinstance(value, ClaimResult) else named
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


_known_fields: dict[type[Any], tuple[str, ...]] = {}


def _field_names(kind: type[Any]) -> tuple[str, ...]:
    """Return a dataclass's fields; ``dataclasses.fields`` would look for them anew at each record."""
    names = _known_fields.get(kind)
    if names is None:
        names = _known_fields[kind] = tuple(item.name for item in fields(kind))
    return names
