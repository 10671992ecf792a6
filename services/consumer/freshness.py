"""A freshness rule: the consumer acknowledges and notes stale work without doing it.

    receive ─▶ claim ─▶ look up ─▶ how old is it? ─▶ perform ─▶ complete ─▶ delete
                                        └ too old: it has expired ─▲

After an outage a queue is full of messages that have lost their use: a code to sign in, a price, a reminder for
yesterday. Doing them all delays the fresh ones until those are stale as well. The rule comes after the claim and the
look-up, so a message whose side effect happened in time never expires. The status table keeps the outcome.
"""

from __future__ import annotations

import logging

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import Note, ReadWallClock, Task
from services.payload import created_of


class FreshnessConsumer(Consumer):
    """Perform messages that are at most ``max_age_seconds`` old; one without a timestamp is never too old.

    An age compares this machine's wall clock with the producer's, so a limit below some seconds judges the clocks.
    """

    def perform(self, delivery: Delivery) -> Task[None]:
        """Cause the side effect, unless the message is too old."""
        created = created_of(delivery.payload, self.options.timestamp_field)
        if self.options.max_age_seconds and created is not None:
            age = (yield ReadWallClock()) - created
            if age > self.options.max_age_seconds:
                delivery.outcome = Outcome.EXPIRED
                about = {"key": delivery.key, "message_id": delivery.message.message_id}
                yield Note(
                    "expired", {**about, "age": round(age, 3), "max_age": self.options.max_age_seconds}, logging.WARNING
                )
                return
        yield from super().perform(delivery)
