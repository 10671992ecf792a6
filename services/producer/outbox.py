"""The transactional outbox: what changes our state and the message that says so are written together, or not at all.

    order ─▶ ┌ one transaction ─────────────┐
             │ our state: order-7 is placed │ ─── relay: read ─▶ send ─▶ mark as sent
             │ outbox:    tell of order-7   │              ✗         ✗
             └──────────────────────────────┘              └─────────┴─ whoever comes next begins here again

No transaction spans a table and a queue. One that spans two items of a database does, and what stands in the outbox is
sent in the end, whoever dies in between. What was sent and not yet marked is sent again: at least once, never none.
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
    """Commit orders, each with its message, and relay what the outbox holds; without any orders it is a relay alone.

    It sends to standard queues: an entry of the outbox has no message group.
    """

    keeps_state = True

    def run(self) -> Task[SendReport]:
        """First send what somebody before us has committed and not sent."""
        yield from self.relay()
        return (yield from super().run())

    def send_batch(self, batch: Batch) -> Task[tuple[int, int]]:
        """Commit a batch of orders, then relay; return how many were sent, and how many sends were repeated."""
        for message in batch:
            yield from self.with_retries(CommitChange(key_of_order(message), message.body, message.body))
        emptied, repeated = yield from self.relay()
        return (len(batch) if emptied else 0), repeated

    def relay(self) -> Task[tuple[bool, int]]:
        """Send all that the outbox holds; return whether it is empty now, and how many sends were repeated."""
        repeated = 0
        while True:
            entries: tuple[OutboxEntry, ...] = yield from self.with_retries(ReadOutbox(self.batch_size))
            if not entries:
                return True, repeated
            taken, again = yield from super().send_batch(tuple(OutgoingMessage(entry.body) for entry in entries))
            repeated += again
            if taken < len(entries):
                return False, repeated  # all of them stay, and whoever comes next tries again
            yield from self.with_retries(MarkSent(tuple(entry.key for entry in entries)))

    def with_retries(self, operation: Operation) -> Task[Any]:
        """Try an operation of which a second one does no harm, until it succeeds or is beyond hope."""
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
    """Return the order that a message tells of; by the same key its consumers know its side effect."""
    return effect_key(parse_payload(message.body), "")
