"""A FIFO queue: message groups in strict order, deduplication, repeatable receive attempts.

Each group is a line of its own, in the order of the sends. A message in flight keeps its place in the line and blocks
what stands behind it, and only that::

    a visible   b in flight   c visible      a receive takes a, and nothing else of this group
    a in flight b visible     c visible      a receive takes nothing of this group

A receive walks a line from its head, up to the first message that is not visible. A group whose head becomes visible
takes its turn behind the groups that wait already. Only the first 120,000 messages of the queue are searched for
such groups: a long backlog of one group starves the groups behind it.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from infra.localaws.sqs.attributes import PER_GROUP
from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.errors import InvalidParameterValue, MessageNotInflight, MissingParameter
from infra.localaws.sqs.limits import (
    DEDUPLICATION_SECONDS,
    MAX_ATTEMPT_ID_LENGTH,
    MAX_DEDUPLICATION_ID_LENGTH,
    MAX_GROUP_ID_LENGTH,
    MAX_IN_FLIGHT,
    MAX_SEARCHED,
    RECEIVE_ATTEMPT_SECONDS,
)
from infra.localaws.sqs.memory import TimedMemory
from infra.localaws.sqs.message import Delivery, Message, ReceiveAttempt, State
from infra.localaws.sqs.queue import NOT_AVAILABLE, Queue, ReceiveRequest, Sent, check_receive, dead_letter
from infra.localaws.sqs.standard import NOT_FOR_THIS_TYPE

FIRST_SEQUENCE_NUMBER: Final = 18_850_000_000_000_000_000
"""Where a queue's numbers begin: each has 20 digits, as SQS's have."""


@dataclass(slots=True, eq=False)
class MessageGroup:
    """One group's line; ``offered`` while it stands in the queue's line of groups that can deliver."""

    name: str
    line: deque[Message] = field(default_factory=deque)
    offered: bool = False

    def head(self) -> Message | None:
        """Return the first message that is left, None if none is."""
        line = self.line
        while line and line[0].state is State.GONE:
            line.popleft()
        return line[0] if line else None


class FifoQueue(Queue):
    """A FIFO queue."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._groups: dict[str, MessageGroup] = {}
        self._offers: deque[MessageGroup] = deque()
        self._sent: TimedMemory[tuple[str | None, str], Sent] = TimedMemory(DEDUPLICATION_SECONDS)
        self._attempts: TimedMemory[str, ReceiveAttempt] = TimedMemory(RECEIVE_ATTEMPT_SECONDS)
        self._sequence = FIRST_SEQUENCE_NUMBER
        # The messages that a receive searches, by number, and in their order those behind them.
        self._searched = 0
        self._last_searched = 0
        self._unsearched: deque[Message] = deque()

    def send(self, draft: MessageDraft, now: float) -> Sent:
        """Enqueue a message, or answer the earlier one that had the same deduplication id within 5 minutes.

        Raises:
            MissingParameter: no message group.
            InvalidParameterValue: a malformed id, no deduplication id, or a delay for this message alone.
        """
        group, deduplication_id = self._check(draft)
        self.advance(now)
        earlier = self._remembered(group, deduplication_id, now)
        if earlier is not None:
            self._observe_sent(earlier.message_id, group, deduplicated=True)
            return earlier
        message = self._new_message(draft, now)
        message.deduplication_id = deduplication_id
        self._enqueue(message, group, self.attributes.delay, now)
        self._observe_sent(message.message_id, group)
        sent = Sent(message.message_id, message.body_md5, message.attributes_md5, message.sequence_number)
        self._remember(group, deduplication_id, sent, now)
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
        """Take over a message; its retention starts anew, and its deduplication id becomes its message id."""
        self.advance(now)
        moved = dead_letter(message, source_arn)
        moved.enqueued_at = now
        moved.deduplication_id = moved.message_id
        self._take_over(moved, 0, now)

    def first_visible(self) -> Message | None:
        """Return the first message of the first group that can deliver."""
        return self._offers[0].head() if self._has_next() else None

    def _remembered(self, group: str, deduplication_id: str, now: float) -> Sent | None:
        """Return what was answered to the send of this deduplication id within 5 minutes, None if there was none."""
        # What was remembered in the queue's scope, before the scope was changed, holds in every group.
        of_queue = self._sent.get((None, deduplication_id), now)
        if of_queue is not None or self.attributes.deduplication_scope != PER_GROUP:
            return of_queue
        return self._sent.get((group, deduplication_id), now)

    def _remember(self, group: str, deduplication_id: str, sent: Sent, now: float) -> None:
        per_group = self.attributes.deduplication_scope == PER_GROUP
        self._sent.put((group if per_group else None, deduplication_id), sent, now)

    def _remembered_as(self, message: Message, now: float) -> str | None:
        group, deduplication_id = _group_name(message), message.deduplication_id or message.message_id
        earlier = self._remembered(group, deduplication_id, now)
        if earlier is None:
            sent = Sent(message.message_id, message.body_md5, message.attributes_md5, self._sequence + 1)
            self._remember(group, deduplication_id, sent, now)
        return None if earlier is None else earlier.message_id

    def _take_over(self, message: Message, delay: int, now: float) -> None:
        self._enqueue(message, message.group or message.message_id, delay, now)

    def check_batch(self, drafts: Sequence[MessageDraft]) -> None:
        """Refuse a whole batch for an entry that lacks what every message of a FIFO queue needs, or has a delay."""
        for draft in drafts:
            if draft.delay:
                raise InvalidParameterValue.of("DelaySeconds", draft.delay, NOT_FOR_THIS_TYPE)
            if not draft.group:
                raise InvalidParameterValue(str(MissingParameter.named("MessageGroupId")))
            if not (draft.deduplication_id or self.attributes.content_based_deduplication):
                raise InvalidParameterValue(_NO_ID)

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
        raise InvalidParameterValue(_NO_ID)

    def _enqueue(self, message: Message, group_name: str, delay: int, now: float) -> None:
        self._sequence += 1
        message.sequence_number = self._sequence
        self._hold(message, delay, now)
        group = self._groups.get(group_name)
        if group is None:
            group = self._groups[group_name] = MessageGroup(group_name)
        group.line.append(message)
        if self._searched < MAX_SEARCHED:
            self._search(message)
            self._offer(group)
        else:
            self._unsearched.append(message)
        self._announce()

    def _take(self, limit: int, timeout: int, now: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        while len(deliveries) < limit and self._offers:
            group = self._offers.popleft()
            # It counts as offered meanwhile: a dead-letter move must not offer it anew while it gives out messages.
            for message in group.line:
                if message.state is State.GONE:
                    continue
                if message.state is not State.VISIBLE or len(deliveries) == limit:
                    break
                if self._dead_letter_if_spent(message, now):
                    continue
                delivery = self._deliver(message, timeout, now)
                deliveries.append(delivery)
                self._observe_delivery(delivery, timeout)
            group.offered = False
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
            if self._can_deliver(group):
                return True
            self._offers.popleft()
            group.offered = False
            self._tidy(group)
        return False

    def _on_delay_over(self, message: Message) -> None:
        self._offer(self._groups[_group_name(message)])

    def _on_visible_again(self, message: Message) -> None:
        self._void_attempt(message)
        self._offer(self._groups[_group_name(message)])
        self._announce()

    def _on_gone(self, message: Message, before: State) -> None:
        group = self._groups.get(_group_name(message))
        if group is None:
            return
        self._offer(group)
        if message.sequence_number <= self._last_searched:
            self._searched -= 1
            self._search_further()
        if before is State.IN_FLIGHT:
            self._announce()

    def _search_further(self) -> None:
        """Search the next message in the place of one that is gone."""
        while self._unsearched:
            message = self._unsearched.popleft()
            if message.state is not State.GONE:
                self._search(message)
                self._offer(self._groups[_group_name(message)])
                return

    def _search(self, message: Message) -> None:
        self._searched += 1
        self._last_searched = message.sequence_number

    def _offer(self, group: MessageGroup) -> None:
        """Let the group deliver if it can."""
        if not group.offered and self._can_deliver(group):
            group.offered = True
            self._offers.append(group)
        else:
            self._tidy(group)

    def _can_deliver(self, group: MessageGroup) -> bool:
        head = group.head()
        return head is not None and head.state is State.VISIBLE and head.sequence_number <= self._last_searched

    def _tidy(self, group: MessageGroup) -> None:
        if not group.line and not group.offered:
            self._groups.pop(group.name, None)

    def _hide(self, message: Message) -> None:
        del message
        raise AssertionError("a FIFO queue refuses the handle of a visible message")

    def _may_delete(self, message: Message, handle: int) -> bool:
        return message.state is State.IN_FLIGHT and handle == message.latest_handle

    def _check_change(self, message: Message, handle: int, receipt_handle: str) -> None:
        if message.state is not State.IN_FLIGHT:
            raise MessageNotInflight("The specified message isn't in flight.")
        if handle != message.latest_handle:
            raise InvalidParameterValue.of("ReceiptHandle", receipt_handle, NOT_AVAILABLE)

    def _refuse_stale_delete(self, receipt_handle: str) -> None:
        raise InvalidParameterValue.of("ReceiptHandle", receipt_handle, "The receipt handle has expired.")

    def forget_deduplication(self) -> None:
        """Forget the deduplication ids, as five minutes after the last send."""
        self._sent.clear()

    def _forget_windows(self) -> None:
        self._sent.clear()
        self._attempts.clear()

    def _clear(self) -> None:
        super()._clear()
        self._groups.clear()
        self._offers.clear()
        self._attempts.clear()
        self._unsearched.clear()
        self._searched = 0


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


def _is_repeatable(attempt: ReceiveAttempt) -> bool:
    return not attempt.void and all(delivery.message.attempt is attempt for delivery in attempt.deliveries)


_NO_ID: Final = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)
_ID: Final = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]+").fullmatch
