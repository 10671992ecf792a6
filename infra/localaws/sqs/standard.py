"""A standard queue: at-least-once delivery in best-effort order.

Messages wait in the order of their sends, also those that are visible again. By the queue's rates a receive takes
another than the first, leaves a delivered message visible as well, or returns fewer messages than it could. Messages
that name a tenant are delivered fairly (see ``tenants``).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.errors import InvalidParameterValue, OverLimit
from infra.localaws.sqs.limits import MAX_DELAY_SECONDS, MAX_IN_FLIGHT
from infra.localaws.sqs.line import Line
from infra.localaws.sqs.message import Delivery, Message, State
from infra.localaws.sqs.queue import Queue, ReceiveRequest, Sent, check_receive, dead_letter
from infra.localaws.sqs.tenants import Tenants

REORDER_WINDOW: Final = 10
"""How far from the front, in messages, a reordered pick may come."""

# SQS has two spellings of this sentence.
NOT_FOR_THIS_TYPE: Final = "The request include parameter that is not valid for this queue type."
_NO_DEDUPLICATION: Final = "The request includes a parameter that is not valid for this queue type."


class StandardQueue(Queue):
    """A standard queue."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Each visible message stands here once (or is set aside), and each in flight that is ``also_visible``.
        self._line = Line(_stands_in_line)
        self._also_visible = 0
        self._tenants = Tenants()

    def send(self, draft: MessageDraft, now: float) -> Sent:
        """Enqueue a message.

        Raises:
            InvalidParameterValue: a delay out of range, or a parameter that is for FIFO queues.
        """
        if draft.deduplication_id is not None:
            raise InvalidParameterValue.of("MessageDeduplicationId", draft.deduplication_id, _NO_DEDUPLICATION)
        delay = self.attributes.delay if draft.delay is None else draft.delay
        if not 0 <= delay <= MAX_DELAY_SECONDS:
            raise InvalidParameterValue.of("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900.")
        self.advance(now)
        message = self._new_message(draft, now)
        self._hold(message, delay, now)
        if not delay:
            self._enter(message)
        self._observe_sent(message.message_id, draft.group)
        self._announce()
        return Sent(message.message_id, message.body_md5, message.attributes_md5, None)

    def check_batch(self, drafts: Sequence[MessageDraft]) -> None:
        """Do nothing: each message of a standard queue stands alone."""

    def receive(self, request: ReceiveRequest, now: float) -> list[Delivery]:
        """Deliver up to ``request.max_messages`` of the visible messages.

        Raises:
            InvalidParameterValue: a parameter is out of range or for FIFO queues.
            OverLimit: on a short poll, 120,000 messages are in flight.
        """
        check_receive(request)
        if request.attempt_id is not None:
            raise InvalidParameterValue.of("ReceiveRequestAttemptId", request.attempt_id, NOT_FOR_THIS_TYPE)
        self.advance(now)
        if self.in_flight >= MAX_IN_FLIGHT:
            if request.long_poll:
                return []
            raise OverLimit(f"Too many messages are in flight: a queue holds at most {MAX_IN_FLIGHT} of them.")
        if self._line.first() is None and not self._tenants:
            return []
        timeout = request.visibility_timeout
        if timeout is None:
            timeout = self.attributes.visibility_timeout
        wanted = min(request.max_messages, MAX_IN_FLIGHT - self.in_flight)
        available = self.visible
        limit = self._underfilled(min(wanted, available), request)
        deliveries = self._take(wanted if limit is None else limit, timeout, now)
        if limit is not None and (observer := self.surroundings.observer):
            fields: dict[str, Any] = {"available": available, "returned": len(deliveries)}
            observer("underfilled", self.name, fields if request.long_poll else {**fields, "short_poll": True})
        if deliveries:
            self._announce()
        return deliveries

    def accept_dead_letter(self, message: Message, source_arn: str, now: float) -> None:
        """Take over a message; its enqueue time stays, so its retention goes on counting."""
        self.advance(now)
        self._take_over(dead_letter(message, source_arn), 0, now)

    def first_visible(self) -> Message | None:
        """Return the visible message that was sent first."""
        line = self._line
        while (first := line.first()) is not None and first.state is not State.VISIBLE:
            # A move takes what is visible only: the second delivery of one in flight is forgone.
            first.also_visible = False
            self._also_visible -= 1
        aside = self._tenants.first_set_aside()
        if first is None or (aside is not None and aside.place < first.place):
            return aside
        return first

    def _take_over(self, message: Message, delay: int, now: float) -> None:
        self._hold(message, delay, now)
        if not delay:
            self._enter(message)
        self._announce()

    def bring_back(self, gone: Message, now: float) -> Message:
        """Have a deleted message delivered once more: one of the servers that keep it missed the delete.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html

        Returns:
            The message as it is in the queue again, until its visibility timeout ends not visible.
        """
        self.advance(now)
        message = replace(gone, state=State.VISIBLE, attempt=None, queued=False, also_visible=False)
        self._hold(message, 0, now)
        if message.group is not None:
            self._tenants.waits(message.group, self.in_flight, now)
        self._hide(message)
        message.visible_at = max(now, gone.visible_at)
        self._start_timer(message)
        if observer := self.surroundings.observer:
            observer("brought-back", self.name, {"message_id": message.message_id})
        self._announce()
        return message

    def _remembered_as(self, message: Message, now: float) -> str | None:
        """Return None: a standard queue remembers no deduplication ids."""
        del message, now
        return None

    def _underfilled(self, could: int, request: ReceiveRequest) -> int | None:
        """Return to how many messages this receive is held down, None if it is not.

        A short poll asks some of the servers: it can miss the only message that there is. A long poll asks all.
        """
        lowest = 1 if request.long_poll else 0
        rate = self.rates.underfill
        if rate and could > lowest and self.rng.random() < rate:
            return self.rng.randrange(lowest, could)
        return None

    def _take(self, limit: int, timeout: int, now: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        to_repeat: list[Message] = []
        duplicate_rate = self.rates.duplicate
        has_tenants = bool(self._tenants)
        while len(deliveries) < limit:
            message, reordered = self._pick_fairly(now) if has_tenants else self._pick()
            if message is None:
                break
            second = message.state is State.IN_FLIGHT
            if second:
                self._also_visible -= 1
                message.also_visible = False
                if self._is_spent(message):
                    continue
            elif self._dead_letter_if_spent(message, now):
                continue
            delivery = self._deliver(message, timeout, now)
            deliveries.append(delivery)
            if has_tenants and not second:
                self._tenants.took(message.group, now)
            if self.surroundings.observer:
                self._observe_delivery(delivery, timeout, _chaos(reordered=reordered, duplicate=second))
            if duplicate_rate and not second and self.rng.random() < duplicate_rate:
                to_repeat.append(message)
        if to_repeat:
            self._leave_visible(to_repeat)
        return deliveries

    def _pick(self) -> tuple[Message | None, bool]:
        """Take the next message out of the line; tell whether it was taken out of turn."""
        line = self._line
        rate = self.rates.reorder
        if rate and line.first() is not None and len(line) > 1 and self.rng.random() < rate:
            another = line.pop_one_of(REORDER_WINDOW, self.rng.choice)
            if another is not None:
                return another, True
        return line.pop(), False

    def _pick_fairly(self, now: float) -> tuple[Message | None, bool]:
        """Take the next message, those of noisy tenants last; tell whether it was taken out of turn."""
        tenants = self._tenants
        for quiet in tenants.quiet_again(now):
            self._line.add(quiet)
        while True:
            message, reordered = self._pick()
            if message is None:
                return tenants.next_of_the_noisy(), False
            if message.state is State.IN_FLIGHT or not tenants.is_noisy(message.group, now):
                return message, reordered
            tenants.set_aside(message)

    def _leave_visible(self, messages: list[Message]) -> None:
        """Put messages that were just delivered back in the line, for one more delivery each."""
        for message in messages:
            message.also_visible = True
            self._line.add(message)
        self._also_visible += len(messages)

    def _has_next(self) -> bool:
        return self.visible > 0 or self._also_visible > 0

    def _on_delay_over(self, message: Message) -> None:
        self._enter(message)

    def _on_visible_again(self, message: Message) -> None:
        if message.also_visible:
            # It stands in line already, and is an ordinary visible message from now on.
            message.also_visible = False
            self._also_visible -= 1
        self._enter(message)
        if self._tenants:
            self._tenants.gave_back(message.group, self._now)

    def _hide(self, message: Message) -> None:
        message.state = State.IN_FLIGHT
        self.in_flight += 1
        if self._tenants:
            self._tenants.took(message.group, self._now)

    def _on_gone(self, message: Message, before: State) -> None:
        if before is State.IN_FLIGHT:
            if self._tenants:
                self._tenants.gave_back(message.group, self._now)
        elif before is State.VISIBLE and message.group is not None:
            self._tenants.waits_no_more(message.group)
        if message.also_visible:
            message.also_visible = False
            self._also_visible -= 1

    def _enter(self, message: Message) -> None:
        """Let a visible message join the line."""
        self._line.add(message)
        if message.group is not None:
            self._tenants.waits(message.group, self.in_flight, self._now)

    def _may_delete(self, message: Message, handle: int) -> bool:
        if message.oldest_handle <= handle <= message.latest_handle:
            return True
        rate = self.rates.stale_delete
        return not rate or (rate < 1 and self.rng.random() >= rate)

    def _check_change(self, message: Message, handle: int, receipt_handle: str) -> None:
        """Do nothing: on a standard queue each handle of a message that is there changes its visibility."""

    def _refuse_stale_delete(self, receipt_handle: str) -> None:
        """Do nothing: on a standard queue such a delete succeeds and deletes nothing."""

    def _forget_windows(self) -> None:
        """Do nothing: only FIFO queues remember deduplication ids and receive attempts."""

    def _clear(self) -> None:
        super()._clear()
        self._line.clear()
        self._tenants.clear()
        self._also_visible = 0


def _stands_in_line(message: Message) -> bool:
    return message.state is State.VISIBLE or (message.state is State.IN_FLIGHT and message.also_visible)


def _chaos(*, reordered: bool, duplicate: bool) -> dict[str, Any] | None:
    if not (reordered or duplicate):
        return None
    return {"chaos": ["reordered"] * reordered + ["duplicate"] * duplicate}
