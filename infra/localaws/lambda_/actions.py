"""What an event source mapping asks its driver to do, and what the driver answers about an invocation."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive from the queue, and hand what came to ``received``, an empty list at the latest after the wait.

    Attributes:
        poller: whose receive it is; it has one at a time.
        max_messages: 1 to 10.
        wait: seconds for which to wait for a first message.
    """

    poller: int
    max_messages: int
    wait: float


@dataclass(frozen=True, slots=True)
class StopReceiving:
    """End a receive that waits, and hand what it had received by then to ``received``."""

    poller: int


@dataclass(frozen=True, slots=True)
class Invoke:
    """Invoke the function, and answer with ``answered`` or ``throttled``.

    Attributes:
        batch: the batch's number.
        payload: the event, as JSON.
        message_ids: of the messages in it, in its order.
        attempt: 1, or more after a throttle.
    """

    batch: int
    payload: bytes
    message_ids: tuple[str, ...]
    attempt: int


class DeleteEntry(NamedTuple):
    """A message to delete; ``entry_id`` tells the entries of one call apart."""

    entry_id: str
    receipt_handle: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete up to ten messages by one DeleteMessageBatch, and answer with ``deleted``.

    Attributes:
        number: of the call.
        entries: the messages.
        attempt: 1, or more if the entries failed before.
    """

    number: int
    entries: tuple[DeleteEntry, ...]
    attempt: int


Action = Receive | StopReceiving | Invoke | Delete


class Failure(Enum):
    """Why an invocation failed; the queue's messages fare the same with each."""

    ERROR = "error"
    """The handler raised, or reported an error."""
    TIMEOUT = "timeout"
    """The function ran longer than its timeout, and was killed."""
    EXIT = "exit"
    """The function's process ended."""
    INIT = "init"
    """The function's process did not get to its first event."""
    TOO_LARGE = "too large"
    """The answer is larger than a synchronous invocation may return."""
    LOST = "lost"
    """The function answered, and the answer did not arrive."""


class Result(NamedTuple):
    """How an invocation ended.

    Attributes:
        payload: what the function returned, or the error's description, as JSON.
        failure: None if the function returned.
        request_id: of the invocation; empty where there is none.
    """

    payload: bytes = b"null"
    failure: Failure | None = None
    request_id: str = ""
