"""The producer: sends messages in batches, at a rate, and drops none that the queue refused for a while.

A batch can fail in part under an overall success. The producer offers a message again that SQS could not take, and
counts and notes one that SQS never takes (``SenderFault``).

A subclass replaces a step: the naive twins in ``scenarios/catalog`` do, and so can a producer of your own
(``PRODUCER=your.module:YourProducer``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from services.batches import MAX_BYTES, size_of, split_by_size
from services.operations import (
    EntryFailure,
    Note,
    OperationFailed,
    OutgoingMessage,
    Purge,
    ReadClock,
    ReadWallClock,
    Send,
    SendResult,
    Sleep,
    Task,
)
from services.producer.messages import stamped

Batch: TypeAlias = tuple[OutgoingMessage, ...]

#: How often a message is offered in all before the producer gives it up.
SEND_ATTEMPTS = 5
#: Seconds before the first repetition; doubles with each.
FIRST_BACKOFF = 0.1
#: Seconds after which a purge is over, and another one allowed.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
PURGE_SECONDS = 60.0
#: How often the producer asks for a purge in all: one whose reply was lost is under way at the next attempt.
PURGE_ATTEMPTS = 2 * SEND_ATTEMPTS
#: What SQS answers to a second purge within that time.
PURGE_IN_PROGRESS = "AWS.SimpleQueueService.PurgeQueueInProgress"


@dataclass(frozen=True, slots=True)
class SendReport:
    """How many messages were sent, how many had to be offered again, and how many SQS never took."""

    sent: int
    offered_again: int
    unsent: int
    seconds: float


class Producer:
    """Send messages.

    Args:
        messages: in their order.
        batch_size: messages a call, 1 to 10.
        rate: messages a second; 0 for as fast as possible.
        purge_wait: empty the queue first, and wait so many seconds for the purge to be over; None for no purge.
        timestamp_field: the payload field that gets the time at which a message is first offered; empty for none.
    """

    #: Whether it keeps state in a table (``MESSAGE_STATUS_TABLE``), so that it can crash anywhere and be started again.
    keeps_state: ClassVar[bool] = False

    def __init__(
        self,
        messages: Sequence[OutgoingMessage],
        batch_size: int,
        rate: float,
        purge_wait: float | None = None,
        timestamp_field: str = "",
    ) -> None:
        self._messages = self.address(messages)
        # A batch is sent at once, so a slow rate needs small batches to be even within a second.
        self.batch_size = min(batch_size, max(1, int(rate))) if rate else batch_size
        self._rate = rate
        self._purge_wait = purge_wait
        self._timestamp_field = timestamp_field
        self._stopping = False

    def stop(self) -> None:
        """Stop after the batch that is under way."""
        self._stopping = True

    def run(self) -> Task[SendReport]:
        """Send everything; return what became of it.

        A failed entry of a FIFO batch is sent again before the next batch, but after the entries of its own batch that
        SQS took. Where the order must survive even that, use a batch size of 1.
        """
        if self._purge_wait is not None:
            yield from self.purge()
        started = yield ReadClock()
        sent = again = 0
        for first in range(0, len(self._messages), self.batch_size):
            if self._rate:
                now = yield ReadClock()
                yield Sleep(max(0.0, started + first / self._rate - now))
            if self._stopping:
                break
            batch = tuple(self._messages[first : first + self.batch_size])
            if self._timestamp_field:
                now = yield ReadWallClock()
                batch = tuple(stamped(message, self._timestamp_field, now) for message in batch)
            taken, repeated = yield from self.send_batch(batch)
            sent, again = sent + taken, again + repeated
            yield Note("sent", {"messages": sent, "of": len(self._messages)}, logging.DEBUG)
        ended = yield ReadClock()
        return SendReport(sent, again, len(self._messages) - sent, ended - started)

    def address(self, messages: Sequence[OutgoingMessage]) -> Sequence[OutgoingMessage]:
        """Return the messages with their message groups."""
        return messages

    # --- the purge ---------------------------------------------------------------------------------------------------

    def purge(self) -> Task[None]:
        """Empty the queue, and send nothing before the purge is over.

        PurgeQueue ─▶ answered ────────────────── up to 60 s ──────────────────▶ over
                                SQS may delete a message that is sent in here
        """
        for attempt in range(1, PURGE_ATTEMPTS + 1):
            try:
                yield Purge()
            except OperationFailed as error:
                under_way = error.code == PURGE_IN_PROGRESS
                if not (under_way or error.transient) or attempt == PURGE_ATTEMPTS:
                    raise
                yield Note("not-purged", {"error": error.code, "attempt": attempt}, logging.WARNING)
                # The purge under way deletes the messages from before its request; later ones need another purge.
                yield Sleep(PURGE_SECONDS if under_way else FIRST_BACKOFF * 2 ** (attempt - 1))
            else:
                break
        yield from self.wait_for_purge()

    def wait_for_purge(self) -> Task[None]:
        """Wait until the purge is over, for as long as AWS says."""
        yield Sleep(self._purge_wait or 0.0)

    # --- a batch -----------------------------------------------------------------------------------------------------

    def send_batch(self, batch: Batch) -> Task[tuple[int, int]]:
        """Offer messages until SQS has taken or refused each; return how many it took, and how many were repeated."""
        taken = repeated = 0
        for part in split_by_size(batch):
            if len(part) == 1 and (size := size_of(part[0])) > MAX_BYTES:
                why = f"it has {size} bytes, and SQS takes {MAX_BYTES} at most"
                yield Note("not-sent", {"error": "MessageTooLong", "why": why}, logging.WARNING)
                continue
            these, again = yield from self._offer(part)
            taken, repeated = taken + these, repeated + again
        return taken, repeated

    def _offer(self, batch: Batch) -> Task[tuple[int, int]]:
        left, taken, repeated = batch, 0, 0
        for attempt in range(1, SEND_ATTEMPTS + 1):
            try:
                result: SendResult = yield Send(left)
            except OperationFailed as error:
                if not error.transient:
                    raise
                # SQS may have taken some of it: by the messages' own ids a consumer recognises a second copy.
                result = SendResult((), tuple(EntryFailure(entry, error.code, "", False) for entry in range(len(left))))
            taken += len(result.sent)
            for failure in result.failed:
                yield Note(
                    "not-sent", {"error": failure.code, "why": failure.message, "attempt": attempt}, logging.WARNING
                )
            left = tuple(left[failure.entry] for failure in result.failed if not failure.sender_fault)
            if not left or attempt == SEND_ATTEMPTS:
                break
            repeated += len(left)
            yield Sleep(FIRST_BACKOFF * 2 ** (attempt - 1))
        return taken, repeated
