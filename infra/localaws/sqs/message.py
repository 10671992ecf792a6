"""A message inside the state machine, and one delivery of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from infra.localaws.sqs.content import MessageAttribute


class State(Enum):
    """Where a message is. It is in exactly one of these."""

    DELAYED = "delayed"
    VISIBLE = "visible"
    IN_FLIGHT = "in flight"
    GONE = "gone"
    """Deleted, dead-lettered, expired or purged. What still points at it is dropped when it is next met."""


@dataclass(slots=True, eq=False)
class Message:
    """A message in a queue. All times are seconds of the model's clock.

    Attributes:
        message_id: given at the send, kept when the message is dead-lettered.
        sent_at: when it was sent, or moved as a new message.
        enqueued_at: retention counts from here: ``sent_at``, but the time of a dead-letter move on a FIFO queue.
        place: its number in the order of the queue's messages, from 1 on.
        visible_at: when a delayed message or one in flight becomes visible.
        received_at: when it was last received.
        receive_count: receives in all queues.
        earlier_receives: those of them that other queues count (before a dead-letter move).
        oldest_handle: the number of the first delivery whose receipt handle is still current.
        latest_handle: the number of the last delivery, 0 before the first.
        queued: the queue's line has an entry of it.
        also_visible: in flight, and a second delivery within this visibility period waits in the queue.
        attempt: the receive request attempt that took it, None once the attempt is void.
        timer: the number of its present entry among the visibility timers.
    """

    message_id: str
    body: str
    body_md5: str
    sent_at: float
    attributes: Mapping[str, MessageAttribute] | None = None
    attributes_md5: str | None = None
    trace_header: str | None = None
    group: str | None = None
    deduplication_id: str | None = None
    sequence_number: int = 0
    enqueued_at: float = 0.0
    place: int = 0
    dead_letter_source: str | None = None
    state: State = State.VISIBLE
    visible_at: float = 0.0
    received_at: float = 0.0
    first_received_at: float | None = None
    receive_count: int = 0
    earlier_receives: int = 0
    oldest_handle: int = 0
    latest_handle: int = 0
    queued: bool = False
    also_visible: bool = False
    attempt: "ReceiveAttempt | None" = None
    timer: int = 0


@dataclass(slots=True, eq=False)
class Delivery:
    """One receive of one message; later changes of the message do not reach it."""

    message: Message
    receipt_handle: str
    receive_count: int

    @property
    def message_id(self) -> str:
        """The message's id."""
        return self.message.message_id

    @property
    def body(self) -> str:
        """The message's text."""
        return self.message.body


@dataclass(slots=True, eq=False)
class ReceiveAttempt:
    """The answer to a ReceiveRequestAttemptId, repeatable until one of its messages is changed.

    Attributes:
        made_at: seconds of the model's clock.
        deliveries: what was answered.
        void: a message was deleted or its visibility changed, so the answer cannot be repeated.
    """

    made_at: float
    deliveries: list[Delivery]
    void: bool = False
