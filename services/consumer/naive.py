"""The naive twins: consumers that leave out one protecting pattern each, to show what it protects from.

Each replaces a single step of :class:`services.consumer.consumer.Consumer`. Never run one where money is carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.consumer.versions import ReconcilingConsumer
from services.operations import ChangeVisibility, Claimed, LookUpSideEffect, Message, Task
from services.payload import effect_key

#: Seconds for which :class:`ShortVisibility` keeps a message invisible.
TOO_SHORT = 1


class WithoutGuard(Consumer):
    """Perform whatever is received: no claim, no look-up, no memory. A second delivery pays a second time."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Perform."""
        yield from self.perform(delivery)
        return Outcome.DONE


class WithoutLedger(Consumer):
    """Claim, and never ask the ledger: what died between its side effect and its bookkeeping is done again."""

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Suppose that nothing was done."""
        yield from ()
        return False


class ChecksThenActs(Consumer):
    """Look before acting, and claim nothing: two that look at the same time both see that nothing was done."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Look up, perform."""
        if (yield LookUpSideEffect(delivery.key)):
            return Outcome.DUPLICATE
        yield from self.perform(delivery)
        return Outcome.DONE


class KeyedByMessage(Consumer):
    """Know a side effect by its message and not by its order: two messages for one order are two payments."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the message's own key."""
        return effect_key(payload, message_id)


class KeyedByMessageId(Consumer):
    """Know a side effect by its MessageId, which SQS gives: a redelivery keeps it, and a redrive gives a new one."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:  # noqa: ARG002 - whatever the producer says
        """Return the MessageId."""
        return message_id


class AllOrNothingBatch(Consumer):
    """Acknowledge a batch once all of it is done, and nothing of it before: the good wait on the poison among them."""

    def to_delete(self, settled: Sequence[Message], received: Sequence[Message]) -> Sequence[Message]:
        """Return all or nothing."""
        return settled if len(settled) == len(received) else ()


class DropsWhatItHolds(Consumer):
    """Go when told to, and leave all in hand as it is: the queue finds out when the visibility timeout is over."""

    def release(self, _messages: Sequence[Message]) -> Task[None]:
        """Give nothing back."""
        yield from ()

    def to_delete(self, settled: Sequence[Message], _received: Sequence[Message]) -> Sequence[Message]:
        """Delete nothing any more once the end is asked for."""
        return () if self.stopping else settled


class WithoutHeartbeat(Consumer):
    """Work for longer than the queue keeps a message invisible, and do not say so."""

    def heartbeat(self) -> Task[None]:
        """Never beat."""
        yield from ()


class ShortVisibility(Consumer):
    """Take every message for one second, as from a queue whose visibility timeout somebody guessed."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Shorten the visibility timeout, then handle."""
        self._facts = replace(self._facts, visibility_timeout=TOO_SHORT)
        yield ChangeVisibility(tuple(messages), TOO_SHORT)
        yield from super().handle_batch(messages, received_at)


class RetriesAtOnce(Consumer):
    """Have what failed come again at once: an outage of seconds costs a message all of its receives in a blink."""

    def schedule_retry(self, message: Message) -> Task[None]:
        """Make the message visible now."""
        yield from self.release([message])


class DeletesRejected(Consumer):
    """Acknowledge what it refuses. The queue is clean, and the message is gone for good."""

    def reject(self, _delivery: Delivery) -> Outcome:
        """Have the message deleted."""
        return Outcome.DISCARDED


class GoesOnAfterFailure(Consumer):
    """Treat a FIFO batch as a bag: after a failure the rest of the message group overtakes what failed."""

    def stops_group(self, _outcome: Outcome) -> bool:
        """Let the group go on."""
        return False


class LastWriteWins(ReconcilingConsumer):
    """Write each update as it comes: whichever is received last is the state, however old it is."""

    only_if_newer = False
