"""The transactional outbox: a change of state and the message about it are written together, or not at all.

    order ─▶ ┌ one transaction ─────────────┐
             │ our state: order-7 is placed │ ─── relay: read ─▶ send ─▶ mark as sent
             │ outbox:    tell of order-7   │              ✗         ✗
             └──────────────────────────────┘              └─────────┴─ the next relay begins here again

No transaction spans a table and a queue, but one can span two items of a table. Each message of the outbox is sent at
least once, whichever process crashes: after a crash between send and mark, the next relay sends it again.
https://docs.aws.amazon.com/prescriptive-guidance/latest/cloud-design-patterns/transactional-outbox.html
"""

from __future__ import annotations

import logging
from typing import Any

from services.operations import (
    CommitChange,
    MarkSent,
    Note,
    Operation,
    OperationFailed,
    OutboxEntry,
    OutgoingMessage,
    ReadOutbox,
    Sleep,
    Task,
)
from services.payload import effect_key, parse_payload
from services.producer.producer import FIRST_BACKOFF, SEND_ATTEMPTS, Batch, Producer, SendReport


class OutboxProducer(Producer):
    """Commit orders, each with its message, and relay the outbox; without any orders it is only a relay.

    It sends to standard queues: an entry of the outbox has no message group.
    """

    keeps_state = True

    def run(self) -> Task[SendReport]:
        """First relay the messages of earlier producers."""
        yield from self.relay()
        return (yield from super().run())

    def send_batch(self, batch: Batch) -> Task[tuple[int, int]]:
        """Commit a batch of orders, then relay; return how many were sent, and how many sends were repeated."""
        for message in batch:
            yield from self.with_retries(CommitChange(key_of_order(message), message.body, message.body))
        emptied, repeated = yield from self.relay()
        return (len(batch) if emptied else 0), repeated

    def relay(self) -> Task[tuple[bool, int]]:
        """Send all messages of the outbox; return whether it is empty now, and how many sends were repeated."""
        repeated = 0
        while True:
            entries: tuple[OutboxEntry, ...] = yield from self.with_retries(ReadOutbox(self.batch_size))
            if not entries:
                return True, repeated
            taken, again = yield from super().send_batch(tuple(OutgoingMessage(entry.body) for entry in entries))
            repeated += again
            if taken < len(entries):
                return False, repeated  # all of them stay, and the next relay tries again
            yield from self.with_retries(MarkSent(tuple(entry.key for entry in entries)))

    def with_retries(self, operation: Operation) -> Task[Any]:
        """Retry an idempotent operation until it succeeds or fails for good."""
        for attempt in range(1, SEND_ATTEMPTS + 1):
            try:
                return (yield operation)
            except OperationFailed as error:
                if not error.transient or attempt == SEND_ATTEMPTS:
                    raise
                yield Note("tries-again", {"error": error.code, "attempt": attempt}, logging.WARNING)
                yield Sleep(FIRST_BACKOFF * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover - as it says


def key_of_order(message: OutgoingMessage) -> str:
    """Return the key of a message's order; its consumers know the side effect by the same key."""
    return effect_key(parse_payload(message.body), "")
