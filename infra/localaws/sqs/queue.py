"""What standard and FIFO queues share: visibility, delays, retention, receipt handles, redrive, purge.

A message's way through a queue::

    send ──▶ DELAYED ──▶ VISIBLE ◀──────────────┐ visibility timeout
              (delay)       │ receive           │
                            ▼                   │
                        IN_FLIGHT ──────────────┘
    GONE is reached from every state: delete, dead-letter move, retention, purge.

Nothing here reads a clock, sleeps or does I/O. Every method is handed ``now``, in seconds of the model's clock,
and first lets happen what is due by then.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

from infra.localaws.sqs.attributes import QueueAttributes
from infra.localaws.sqs.content import MessageDraft, attributes_md5, body_md5
from infra.localaws.sqs.errors import (
    InvalidParameterValue,
    ReceiptHandleIsInvalid,
)
from infra.localaws.sqs.eventual_consistency import Counts, EventualConsistency, PastCounts
from infra.localaws.sqs.limits import (
    MAX_IN_FLIGHT,
    MAX_RECEIVE_MESSAGES,
    MAX_RECEIVE_WAIT_SECONDS,
    MAX_VISIBILITY_SECONDS,
)
from infra.localaws.sqs.message import Delivery, Message, State
from infra.localaws.sqs.rates import DeliveryRates
from infra.localaws.sqs.timers import RetentionIndex, VisibilityTimers

Observer = Callable[[str, str, dict[str, Any]], None]
"""Is told of every change of state: the event's name, the queue's name, the event's own fields."""


class ReceiveRequest(NamedTuple):
    """A receive, as a consumer asks for it.

    Attributes:
        max_messages: 1 to 10.
        visibility_timeout: seconds; None for the queue's own.
        attempt_id: the ReceiveRequestAttemptId, for FIFO queues.
        long_poll: all servers are asked: a message that is available is not missed.
    """

    max_messages: int = 1
    visibility_timeout: int | None = None
    attempt_id: str | None = None
    long_poll: bool = False


class Sent(NamedTuple):
    """What a send answers."""

    message_id: str
    body_md5: str
    attributes_md5: str | None
    sequence_number: int | None


@dataclass(slots=True)
class Surroundings:
    """What a queue needs of the model around it.

    Attributes:
        new_message_id: draws an id.
        dead_letter_queue: finds the queue with this ARN if it is there and lets the source (second ARN) redrive to it.
        observer: is told of every change of state; None costs nothing.
        on_available: called with the queue whenever its ``next_visible_at`` may have become earlier.
        consistency: how long purges and counts take to settle.
    """

    new_message_id: Callable[[], str]
    dead_letter_queue: Callable[[str, str], "Queue | None"]
    observer: Observer | None = None
    on_available: Callable[["Queue"], None] | None = None
    consistency: EventualConsistency = field(default_factory=EventualConsistency)


@dataclass(slots=True)
class QueueIdentity:
    """What stays the same for a queue's whole life; ``number`` tells it from an earlier queue of the same name."""

    name: str
    arn: str
    number: int
    created_at: float


class PendingPurge(NamedTuple):
    """A purge that was asked for and has not struck yet.

    Attributes:
        strikes_at: seconds of the model's clock.
        doomed: the ids of the messages that were there at the call.
    """

    strikes_at: float
    doomed: frozenset[str]


@dataclass(eq=False)
class Queue(ABC):
    """One queue; use it through ``SqsModel``."""

    identity: QueueIdentity
    attributes: QueueAttributes
    surroundings: Surroundings
    rng: Random
    rates: DeliveryRates
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = self.identity.name
        self.modified_at = self.identity.created_at
        self.purged_at: float | None = None
        self.purge_seconds = self.surroundings.consistency.purge
        self._purge: PendingPurge | None = None
        consistency = self.surroundings.consistency.counts
        self._past = PastCounts(consistency) if consistency else None
        self.in_flight = 0
        self.delayed = 0
        self._messages: dict[str, Message] = {}
        self._timers = VisibilityTimers()
        self._retention = RetentionIndex()
        self._deliveries = 0
        self._places = 0
        self._now = 0.0
        # Nothing is due before this moment, as far as is known: an earlier one only costs a look.
        self._quiet_until = 0.0

    # What a client sees

    @property
    def visible(self) -> int:
        """How many messages are visible."""
        return len(self._messages) - self.in_flight - self.delayed

    def counts(self, now: float) -> Counts:
        """Return how many messages are in each state, or were a while ago where counts are to settle slowly."""
        self.advance(now)
        present = self._counts()
        return self._past.at_random(present, now, self.rng) if self._past else present

    @abstractmethod
    def send(self, draft: MessageDraft, now: float) -> Sent:
        """Enqueue a message whose content has been checked."""

    @abstractmethod
    def check_batch(self, drafts: Sequence[MessageDraft]) -> None:
        """Raise the error of a whole batch for what one of its messages lacks."""

    @abstractmethod
    def receive(self, request: ReceiveRequest, now: float) -> list[Delivery]:
        """Deliver what is available now, nothing if nothing is."""

    def delete(self, receipt_handle: str, now: float) -> None:
        """Delete the message that was delivered with this handle.

        Raises:
            ReceiptHandleIsInvalid: the handle was not given by this queue.
            InvalidParameterValue: FIFO only: the handle has expired.
        """
        self.advance(now)
        number, message_id = self._parse(receipt_handle)
        message = self._messages.get(message_id)
        if message is None:
            self._observe_ignored_delete(message_id)
        elif not self._may_delete(message, number):
            self._observe_ignored_delete(message_id)
            self._refuse_stale_delete(receipt_handle)
        else:
            self._void_attempt(message)
            self._forget(message)
            if observer := self.surroundings.observer:
                observer("deleted", self.name, {"message_id": message_id})

    def change_visibility(self, receipt_handle: str, timeout: int, now: float) -> None:
        """Make a message in flight visible ``timeout`` seconds from now.

        Raises:
            ReceiptHandleIsInvalid: the handle was not given by this queue.
            MessageNotInflight: FIFO: the message is not in flight by this handle.
            InvalidParameterValue: the message is gone, or the total would exceed 12 hours.
        """
        self.advance(now)
        number, message_id = self._parse(receipt_handle)
        message = self._messages.get(message_id)
        if message is None:
            raise InvalidParameterValue.of("ReceiptHandle", receipt_handle, NOT_AVAILABLE)
        self._check_change(message, number, receipt_handle)
        if now + timeout > message.received_at + MAX_VISIBILITY_SECONDS:
            raise InvalidParameterValue.of(
                "VisibilityTimeout",
                timeout,
                f"Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY_SECONDS} seconds]",
            )
        self._void_attempt(message)
        if message.state is State.VISIBLE:
            self._hide(message)
        message.visible_at = now + timeout
        self._start_timer(message)
        if observer := self.surroundings.observer:
            observer("visibility-changed", self.name, {"message_id": message_id, "timeout": timeout})
        self.advance(now)
        self._announce()

    def purge(self, now: float) -> int:
        """Forget every message, those in flight too, at once or in a while; return how many there are now."""
        self.advance(now)
        count = len(self._messages)
        self.purged_at = now
        self._forget_windows()
        within = self.purge_seconds
        if within:
            self._quiet_until = 0.0
            takes = self.rng.uniform(_QUICKEST_PURGE * within, within)
            self._purge = PendingPurge(now + takes, frozenset(self._messages))
        else:
            doomed = list(self._messages)
            self._clear()
            self._observe_purge(doomed)
        return count

    def expire(self, message_id: str, now: float) -> None:
        """Forget a message as if its retention ended now; one that is not there any more is none to forget."""
        self.advance(now)
        message = self._messages.get(message_id)
        if message is not None:
            self._void_attempt(message)
            self._forget(message)
            if observer := self.surroundings.observer:
                observer("expired", self.name, {"message_id": message_id})

    def purge_in_progress(self, now: float) -> bool:
        """Return whether a purge began less than 60 seconds ago."""
        return self.purged_at is not None and now < self.purged_at + self.surroundings.consistency.purge_interval

    # Time

    def advance(self, now: float) -> None:
        """Let happen what is due by ``now``: messages expire, delays and visibility timeouts end, a purge strikes."""
        self._now = now
        if now < self._quiet_until:
            return
        if self._past is not None:
            self._past.note(self._counts(), now)
        if self._purge is not None and self._purge.strikes_at <= now:
            self._strike(self._purge)
        retention = self._retention
        while message := retention.pop_older(now - self.attributes.retention):
            self._forget(message)
            if observer := self.surroundings.observer:
                observer("expired", self.name, {"message_id": message.message_id})
        timers = self._timers
        while message := timers.pop_due(now):
            if message.state is State.DELAYED:
                self.delayed -= 1
                message.state = State.VISIBLE
                self._on_delay_over(message)
            else:
                self.in_flight -= 1
                message.state = State.VISIBLE
                self._on_visible_again(message)
        self._quiet_until = self._next_event()

    def set_attributes(self, attributes: QueueAttributes, now: float) -> None:
        """Change what the queue is set to."""
        self.advance(now)
        self.attributes = attributes
        self.modified_at = now
        self._quiet_until = 0.0

    def has_available(self) -> bool:
        """Return whether a receive would find something to deliver now."""
        return self.in_flight < MAX_IN_FLIGHT and self._has_next()

    def next_visible_at(self, now: float) -> float | None:
        """Return when a receive can next find something, in seconds of the model's clock.

        That is ``now`` if something is available already, and None if nothing is on its way.
        """
        self.advance(now)
        return now if self.has_available() else self._timers.next_due()

    # What the model and dead-letter moves use

    def reset(self, rng: Random | None, rates: DeliveryRates, purge_seconds: float | None = None) -> None:
        """Forget every message and the windows of deduplication and purge; take what is given for the present ways."""
        self._clear()
        self._purge = None
        self._forget_windows()
        self.purged_at = None
        self.rates = rates
        if rng is not None:
            self.rng = rng
        if purge_seconds is not None:
            self.purge_seconds = purge_seconds

    @abstractmethod
    def accept_dead_letter(self, message: Message, source_arn: str, now: float) -> None:
        """Take over a message of another queue, which has let go of it."""

    @abstractmethod
    def first_visible(self) -> Message | None:
        """Return the message that a move task takes next, None if no message can be taken."""

    def move(self, message: Message, target: "Queue", now: float) -> None:
        """Hand a visible message over to another queue, where it is a new message with the same content.

        A FIFO queue that remembers its deduplication id swallows it.
        """
        moved = self._renewed(message, now)
        self._forget(message)
        target.advance(now)
        earlier_id = target._remembered_as(moved, now)  # noqa: SLF001 - another queue, the same class
        if observer := self.surroundings.observer:
            fields = {"message_id": message.message_id, "to": target.name}
            fields["new_message_id"] = earlier_id or moved.message_id
            observer("moved", self.name, fields | {"deduplicated": True} if earlier_id else fields)
        if earlier_id is None:
            target._take_over(moved, target.attributes.delay, now)  # noqa: SLF001 - another queue, the same class

    @abstractmethod
    def _remembered_as(self, message: Message, now: float) -> str | None:
        """Return the id of the earlier message that a moved one duplicates; None, and remember it, if there is none."""

    @abstractmethod
    def _take_over(self, message: Message, delay: int, now: float) -> None:
        """Enqueue a message that no producer sent."""

    # What the two types of queue share

    @abstractmethod
    def _has_next(self) -> bool: ...

    @abstractmethod
    def _on_delay_over(self, message: Message) -> None: ...

    @abstractmethod
    def _on_visible_again(self, message: Message) -> None: ...

    @abstractmethod
    def _on_gone(self, message: Message, before: State) -> None: ...

    @abstractmethod
    def _may_delete(self, message: Message, handle: int) -> bool: ...

    @abstractmethod
    def _check_change(self, message: Message, handle: int, receipt_handle: str) -> None:
        """Raise the error with which this handle's change of visibility is refused, if it is."""

    @abstractmethod
    def _hide(self, message: Message) -> None:
        """Put a visible message in flight without a receive."""

    @abstractmethod
    def _refuse_stale_delete(self, receipt_handle: str) -> None: ...

    @abstractmethod
    def _forget_windows(self) -> None: ...

    def _new_message(self, draft: MessageDraft, now: float) -> Message:
        attributes = draft.attributes
        return Message(
            self.surroundings.new_message_id(),
            draft.body,
            body_md5(draft.body),
            now,
            attributes or None,
            attributes_md5(attributes) if attributes else None,
            draft.trace_header,
            draft.group,
        )

    def _renewed(self, message: Message, now: float) -> Message:
        """Return a message's content as a new message, never received, with an id and an enqueue time of its own."""
        message_id = self.surroundings.new_message_id()
        return Message(
            message_id,
            message.body,
            message.body_md5,
            now,
            message.attributes,
            message.attributes_md5,
            message.trace_header,
            message.group,
            None if message.deduplication_id is None else message.message_id,
        )

    def _counts(self) -> Counts:
        return Counts(self.visible, self.in_flight, self.delayed)

    def _strike(self, purge: "PendingPurge") -> None:
        """Let a purge happen: what was there at the call goes, and by chance what came since."""
        self._purge = None
        messages = self._messages.values()
        doomed = [m for m in messages if m.message_id in purge.doomed or self.rng.random() < _CAUGHT]
        for message in doomed:
            self._void_attempt(message)
            self._forget(message)
        self._observe_purge([message.message_id for message in doomed])

    def _observe_purge(self, doomed: list[str]) -> None:
        if observer := self.surroundings.observer:
            observer("purged", self.name, {"count": len(doomed), "message_ids": doomed})

    def _next_event(self) -> float:
        """Return a moment before which nothing is due."""
        if self._past is not None or self._purge is not None:
            return 0.0
        expires = self._retention.oldest() + self.attributes.retention
        becomes_visible = self._timers.next_entry()
        return min(expires, becomes_visible)

    def _hold(self, message: Message, delay: int, now: float) -> None:
        """Take a message into the books; it is visible after ``delay`` seconds."""
        self._messages[message.message_id] = message
        self._places += 1
        message.place = self._places
        if not message.enqueued_at:
            message.enqueued_at = message.sent_at
        self._retention.add(message, len(self._messages))
        expires = message.enqueued_at + self.attributes.retention
        self._quiet_until = min(self._quiet_until, expires)
        if delay:
            message.state = State.DELAYED
            message.visible_at = now + delay
            self.delayed += 1
            self._start_timer(message)

    def _start_timer(self, message: Message) -> None:
        self._timers.start(message, self.in_flight + self.delayed)
        self._quiet_until = min(self._quiet_until, message.visible_at)

    def _forget(self, message: Message) -> None:
        self._void_attempt(message)
        before = message.state
        message.state = State.GONE
        del self._messages[message.message_id]
        if before is State.IN_FLIGHT:
            self.in_flight -= 1
            if self.in_flight == MAX_IN_FLIGHT - 1:
                self._announce()
        elif before is State.DELAYED:
            self.delayed -= 1
        self._on_gone(message, before)

    def _deliver(self, message: Message, timeout: int, now: float) -> Delivery:
        """Count a receive and hand out a new receipt handle; the visibility timeout starts."""
        self._deliveries += 1
        message.latest_handle = self._deliveries
        message.receive_count += 1
        message.received_at = now
        if message.first_received_at is None:
            message.first_received_at = now
        if message.state is State.IN_FLIGHT:
            # The second delivery within one visibility period: both handles stay current, neither period is cut short.
            message.visible_at = max(message.visible_at, now + timeout)
        else:
            message.state = State.IN_FLIGHT
            message.oldest_handle = self._deliveries
            message.visible_at = now + timeout
            self.in_flight += 1
        self._start_timer(message)
        handle = f"{_HANDLE_PREFIX}{self.identity.number:x}-{self._deliveries:x}-{message.message_id}"
        return Delivery(message, handle, message.receive_count)

    def _dead_letter_if_spent(self, message: Message, now: float) -> bool:
        """Move a message whose receive count would exceed the maximum; tell whether it was moved.

        Without a dead-letter queue that exists and allows it, the message stays.
        """
        policy = self.attributes.redrive_policy
        if policy is None or not self._is_spent(message):
            return False
        target = self.surroundings.dead_letter_queue(policy.dead_letter_target_arn, self.identity.arn)
        if target is None or target is self:
            return False
        self._forget(message)
        if observer := self.surroundings.observer:
            observer(
                "dead-lettered",
                self.name,
                {"message_id": message.message_id, "receive_count": message.receive_count, "to": target.name},
            )
        target.accept_dead_letter(message, self.identity.arn, now)
        return True

    def _is_spent(self, message: Message) -> bool:
        policy = self.attributes.redrive_policy
        return policy is not None and message.receive_count - message.earlier_receives >= policy.max_receive_count

    def _observe_delivery(self, delivery: Delivery, timeout: int, extra: dict[str, Any] | None = None) -> None:
        if observer := self.surroundings.observer:
            fields: dict[str, Any] = {
                "message_id": delivery.message.message_id,
                "receive_count": delivery.receive_count,
                "visible_until_in": timeout,
            }
            if extra:
                fields |= extra
            observer("delivered", self.name, fields)

    def _observe_sent(self, message_id: str, group: str | None, *, deduplicated: bool = False) -> None:
        if observer := self.surroundings.observer:
            fields: dict[str, Any] = {"message_id": message_id}
            if group is not None:
                fields["group"] = group
            if deduplicated:
                fields["deduplicated"] = True
            observer("sent", self.name, fields)

    def _announce(self) -> None:
        if on_available := self.surroundings.on_available:
            on_available(self)

    def _observe_ignored_delete(self, message_id: str) -> None:
        if observer := self.surroundings.observer:
            observer("delete-ignored", self.name, {"message_id": message_id, "reason": "stale receipt handle"})

    def _void_attempt(self, message: Message) -> None:
        if message.attempt is not None:
            message.attempt.void = True
            message.attempt = None

    def _parse(self, receipt_handle: str) -> tuple[int, str]:
        match = _HANDLE(receipt_handle)
        if match is None or int(match[1], 16) != self.identity.number:
            raise ReceiptHandleIsInvalid(f'The input receipt handle "{receipt_handle}" is not a valid receipt handle.')
        return int(match[2], 16), match[3]

    def _clear(self) -> None:
        for message in self._messages.values():
            message.state = State.GONE
            message.attempt = None
        self._messages.clear()
        self._timers.clear()
        self._retention.clear()
        self.in_flight = 0
        self.delayed = 0


def dead_letter(message: Message, source_arn: str) -> Message:
    """Return the message as it arrives in a dead-letter queue: the same id and content, all receives counted."""
    return Message(
        message.message_id,
        message.body,
        message.body_md5,
        message.sent_at,
        message.attributes,
        message.attributes_md5,
        message.trace_header,
        message.group,
        message.deduplication_id,
        dead_letter_source=source_arn,
        first_received_at=message.first_received_at,
        receive_count=message.receive_count,
        earlier_receives=message.receive_count,
    )


def check_receive(request: ReceiveRequest) -> None:
    """Raise InvalidParameterValue if a receive asks for what SQS does not give."""
    if not 1 <= request.max_messages <= MAX_RECEIVE_MESSAGES:
        raise InvalidParameterValue.of(
            "MaxNumberOfMessages", request.max_messages, f"Must be between 1 and {MAX_RECEIVE_MESSAGES}, if provided."
        )
    if request.visibility_timeout is not None:
        check_visibility(request.visibility_timeout)


def check_visibility(timeout: int) -> None:
    """Raise InvalidParameterValue if a visibility timeout, in seconds, is out of range."""
    if not 0 <= timeout <= MAX_VISIBILITY_SECONDS:
        raise InvalidParameterValue.of(
            "VisibilityTimeout", timeout, f"Must be between 0 and {MAX_VISIBILITY_SECONDS}, if provided."
        )


def check_wait(seconds: int) -> None:
    """Raise InvalidParameterValue if a long poll, in seconds, is longer than SQS makes it, or negative."""
    if not 0 <= seconds <= MAX_RECEIVE_WAIT_SECONDS:
        raise InvalidParameterValue.of(
            "WaitTimeSeconds", seconds, f"Must be >= 0 and <= {MAX_RECEIVE_WAIT_SECONDS}, if provided."
        )


_CAUGHT: Final = 0.5
"""The probability that a message sent while a purge is under way goes with the others; AWS gives no figure."""
_QUICKEST_PURGE: Final = 0.1
"""The part of its longest time that a purge takes at the least: it is never over when its call is."""
_HANDLE_PREFIX: Final = "AQEB-"
_HANDLE: Final = re.compile(
    _HANDLE_PREFIX + r"([0-9a-f]{1,16})-([0-9a-f]{1,16})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
).fullmatch
NOT_AVAILABLE: Final = "Message does not exist or is not available for visibility timeout change."
