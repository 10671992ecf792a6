"""A FIFO queue: message groups in strict order, deduplication, repeatable receive attempts.

Each group is a line of its own::

    taken (in flight, or visible again while another of them is in flight)  │  waiting (visible, or still delayed)

A group gives out nothing while a taken message is in flight. When the last of them is deleted or visible again,
what is left of ``taken`` goes back to the front of ``waiting``, so that order survives every failure.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
"""

import re
from collections import deque
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from infra.localaws.sqs.attributes import PER_GROUP
from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.errors import InvalidParameterValue, MissingParameter
from infra.localaws.sqs.limits import (
    DEDUPLICATION_SECONDS,
    MAX_ATTEMPT_ID_LENGTH,
    MAX_DEDUPLICATION_ID_LENGTH,
    MAX_GROUP_ID_LENGTH,
    MAX_IN_FLIGHT,
    RECEIVE_ATTEMPT_SECONDS,
)
from infra.localaws.sqs.memory import TimedMemory
from infra.localaws.sqs.message import Delivery, Message, ReceiveAttempt, State
from infra.localaws.sqs.queue import Queue, ReceiveRequest, Sent, check_receive, dead_letter
from infra.localaws.sqs.standard import NOT_FOR_THIS_TYPE


@dataclass(slots=True, eq=False)
class MessageGroup:
    """One group's line; ``offered`` while it stands in the queue's line of groups that can deliver."""

    name: str
    waiting: deque[Message] = field(default_factory=deque)
    taken: list[Message] = field(default_factory=list)
    in_flight: int = 0
    offered: bool = False


class FifoQueue(Queue):
    """A FIFO queue."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._groups: dict[str, MessageGroup] = {}
        self._offers: deque[MessageGroup] = deque()
        self._sent: TimedMemory[tuple[str | None, str], Sent] = TimedMemory(DEDUPLICATION_SECONDS)
        self._attempts: TimedMemory[str, ReceiveAttempt] = TimedMemory(RECEIVE_ATTEMPT_SECONDS)
        self._sequence = 0

    def send(self, draft: MessageDraft, now: float) -> Sent:
        """Enqueue a message, or answer the earlier one that had the same deduplication id within 5 minutes.

        Raises:
            MissingParameter: no message group.
            InvalidParameterValue: a malformed id, no deduplication id, or a delay for this message alone.
        """
        group, deduplication_id = self._check(draft)
        self.advance(now)
        per_group = self.attributes.deduplication_scope == PER_GROUP
        key = (group if per_group else None, deduplication_id)
        earlier = self._sent.get(key, now)
        if earlier is not None:
            self._observe_sent(earlier.message_id, group, deduplicated=True)
            return earlier
        message = self._new_message(draft, now)
        message.deduplication_id = deduplication_id
        self._enqueue(message, group, self.attributes.delay, now)
        self._observe_sent(message.message_id, group)
        sent = Sent(message.message_id, message.body_md5, message.attributes_md5, message.sequence_number)
        self._sent.put(key, sent, now)
        return sent

    def receive(self, request: ReceiveRequest, now: float) -> list[Delivery]:
        """Deliver from as few groups as possible, each in order.

        Raises:
            InvalidParameterValue: a parameter is out of range.
        """
        check_receive(request)
        if request.attempt_id is not None:
            _check_id("ReceiveRequestAttemptId", request.attempt_id, MAX_ATTEMPT_ID_LENGTH)
        self.advance(now)
        timeout = request.visibility_timeout
        if timeout is None:
            timeout = self.attributes.visibility_timeout
        if request.attempt_id is not None:
            attempt = self._attempts.get(request.attempt_id, now)
            if attempt is not None and _is_repeatable(attempt):
                return self._repeat(attempt, timeout, now)
        deliveries = self._take(min(request.max_messages, MAX_IN_FLIGHT - self.in_flight), timeout, now)
        if request.attempt_id is not None and deliveries:
            attempt = ReceiveAttempt(now, deliveries)
            for delivery in deliveries:
                delivery.message.attempt = attempt
            self._attempts.put(request.attempt_id, attempt, now)
        if deliveries:
            self._announce()
        return deliveries

    def accept_dead_letter(self, message: Message, source_arn: str, now: float) -> None:
        """Take over a message; its enqueue time is now, and its deduplication id becomes its message id."""
        self.advance(now)
        moved = dead_letter(message, source_arn)
        moved.sent_at = now
        moved.deduplication_id = moved.message_id
        self._take_over(moved, 0, now)

    def first_visible(self) -> Message | None:
        """Return the first message of the first group that can deliver."""
        return self._offers[0].waiting[0] if self._has_next() else None

    def _take_over(self, message: Message, delay: int, now: float) -> None:
        self._enqueue(message, message.group or message.message_id, delay, now)

    def _check(self, draft: MessageDraft) -> tuple[str, str]:
        """Return the message group and the deduplication id."""
        if draft.delay:
            raise InvalidParameterValue.of("DelaySeconds", draft.delay, NOT_FOR_THIS_TYPE)
        if not draft.group:
            raise MissingParameter.named("MessageGroupId")
        check_group(draft.group)
        if draft.deduplication_id is not None:
            _check_id("MessageDeduplicationId", draft.deduplication_id, MAX_DEDUPLICATION_ID_LENGTH)
            return draft.group, draft.deduplication_id
        if self.attributes.content_based_deduplication:
            return draft.group, sha256(draft.body.encode()).hexdigest()
        raise InvalidParameterValue(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )

    def _enqueue(self, message: Message, group_name: str, delay: int, now: float) -> None:
        self._sequence += 1
        message.sequence_number = self._sequence
        self._hold(message, delay, now)
        group = self._groups.get(group_name)
        if group is None:
            group = self._groups[group_name] = MessageGroup(group_name)
        group.waiting.append(message)
        if not delay:
            self._offer(group)
        self._announce()

    def _take(self, limit: int, timeout: int, now: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        while len(deliveries) < limit and self._offers:
            group = self._offers.popleft()
            group.offered = False
            if group.in_flight:
                # A dead-letter move offered it anew while it was giving out messages.
                continue
            while len(deliveries) < limit:
                _drop_gone(group)
                if not group.waiting or group.waiting[0].state is not State.VISIBLE:
                    break
                message = group.waiting.popleft()
                if self._dead_letter_if_spent(message, now):
                    continue
                group.taken.append(message)
                group.in_flight += 1
                delivery = self._deliver(message, timeout, now)
                deliveries.append(delivery)
                self._observe_delivery(delivery, timeout)
            if not group.in_flight:
                self._offer(group)
        return deliveries

    def _repeat(self, attempt: ReceiveAttempt, timeout: int, now: float) -> list[Delivery]:
        """Answer an attempt once more: the same handles, the visibility timeout starts anew."""
        for delivery in attempt.deliveries:
            delivery.message.visible_at = now + timeout
            self._start_timer(delivery.message)
            self._observe_delivery(delivery, timeout, {"repeated": True})
        return attempt.deliveries

    def _has_next(self) -> bool:
        while self._offers:
            group = self._offers[0]
            _drop_gone(group)
            if _can_deliver(group):
                return True
            self._offers.popleft()
            group.offered = False
            self._tidy(group)
        return False

    def _on_delay_over(self, message: Message) -> None:
        self._offer(self._groups[_group_name(message)])

    def _on_visible_again(self, message: Message) -> None:
        self._void_attempt(message)
        self._no_longer_in_flight(self._groups[_group_name(message)])

    def _on_gone(self, message: Message, before: State) -> None:
        group = self._groups.get(_group_name(message))
        if group is None:
            return
        if before is State.IN_FLIGHT:
            self._no_longer_in_flight(group)
        elif not group.in_flight:
            self._offer(group)

    def _no_longer_in_flight(self, group: MessageGroup) -> None:
        group.in_flight -= 1
        if not group.in_flight:
            group.waiting.extendleft(m for m in reversed(group.taken) if m.state is State.VISIBLE)
            group.taken.clear()
            self._offer(group)
            self._announce()

    def _offer(self, group: MessageGroup) -> None:
        """Let the group deliver if it can."""
        _drop_gone(group)
        if not group.offered and _can_deliver(group):
            group.offered = True
            self._offers.append(group)
        else:
            self._tidy(group)

    def _tidy(self, group: MessageGroup) -> None:
        if not group.waiting and not group.taken and not group.offered:
            self._groups.pop(group.name, None)

    def _may_delete(self, message: Message, handle: int) -> bool:
        return message.state is State.IN_FLIGHT and handle == message.latest_handle

    def _refuse_stale_delete(self, receipt_handle: str) -> None:
        raise InvalidParameterValue.of("ReceiptHandle", receipt_handle, "The receipt handle has expired.")

    def _forget_windows(self) -> None:
        self._sent.clear()
        self._attempts.clear()

    def _clear(self) -> None:
        super()._clear()
        self._groups.clear()
        self._offers.clear()
        self._attempts.clear()


def check_group(group: str) -> None:
    """Raise InvalidParameterValue if a MessageGroupId is malformed."""
    _check_id("MessageGroupId", group, MAX_GROUP_ID_LENGTH)


def _check_id(parameter: str, value: str, longest: int) -> None:
    if not (1 <= len(value) <= longest and _ID(value)):
        raise InvalidParameterValue.of(
            parameter,
            value,
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to {longest} in length.",
        )


def _group_name(message: Message) -> str:
    return message.group or message.message_id


def _drop_gone(group: MessageGroup) -> None:
    waiting = group.waiting
    while waiting and waiting[0].state is State.GONE:
        waiting.popleft()


def _can_deliver(group: MessageGroup) -> bool:
    return not group.in_flight and bool(group.waiting) and group.waiting[0].state is State.VISIBLE


def _is_repeatable(attempt: ReceiveAttempt) -> bool:
    return not attempt.void and all(delivery.message.attempt is attempt for delivery in attempt.deliveries)


_ID: Final = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]+").fullmatch
