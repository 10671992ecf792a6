"""Batches: how large one may be, and what is left of a batch that fails in part.

SQS may take some entries of a batch and refuse others under HTTP 200. A fault of that kind (see ``services.faults``)
keeps some entries from being done, in a real process and in simulated time alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from services.operations import ChangeVisibility, Delete, EntryFailure, Operation, OutgoingMessage, Send, SendResult

#: Messages a batch call at most, and messages a receive.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_ENTRIES = 10
#: Bytes that the messages of a batch call have together at most; no single message is larger (same page).
MAX_BYTES = 1_048_576
#: The operations that are batches.
BATCHES = (Send, Delete, ChangeVisibility)


def size_of(message: OutgoingMessage) -> int:
    """Return the bytes that a message counts for in a batch."""
    return len(message.body.encode())


def split_by_size(messages: Sequence[OutgoingMessage]) -> Iterator[tuple[OutgoingMessage, ...]]:
    """Yield the messages in their order, as batches that SQS takes. One that is too large for any is a batch alone."""
    batch: list[OutgoingMessage] = []
    size = 0
    for message in messages:
        more = size_of(message)
        if batch and (size + more > MAX_BYTES or len(batch) == MAX_ENTRIES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(message)
        size += more
    if batch:
        yield tuple(batch)


class PartialBatch:
    """A batch without some of its entries.

    Args:
        operation: one of ``BATCHES``; any other stays whole.
        refused: the indices of the entries that fail, as by a failure of the queue.
        why: the message of each failure.

    Attributes:
        rest: the operation without those entries; None where none is left.
    """

    def __init__(self, operation: Operation, refused: Collection[int], why: str) -> None:
        self.rest: Operation | None = operation
        self._sends = isinstance(operation, Send)
        self._failures: tuple[EntryFailure, ...] = ()
        self._kept: list[int] = []
        if not isinstance(operation, BATCHES) or not refused:
            return
        for entry in range(len(operation.messages)):
            if entry in refused:
                self._failures += (EntryFailure(entry, "InternalError", why, sender_fault=False),)
            else:
                self._kept.append(entry)
        kept: Any = tuple(operation.messages[entry] for entry in self._kept)
        self.rest = replace(operation, messages=kept) if kept else None

    def answer(self, result: Any) -> Any:
        """Return the whole batch's answer.

        Args:
            result: the answer to the rest; ignored where there was none.
        """
        if not self._failures:
            return result
        if not self._sends:
            return self._failures + self._in_place(result if self.rest else ())
        if self.rest is None:
            return SendResult((), self._failures)
        sent = tuple(replace(item, entry=self._kept[item.entry]) for item in result.sent)
        return SendResult(sent, self._failures + self._in_place(result.failed))

    def _in_place(self, failures: tuple[EntryFailure, ...]) -> tuple[EntryFailure, ...]:
        return tuple(replace(item, entry=self._kept[item.entry]) for item in failures)
