"""A freshness rule: work that came too late is acknowledged and noted, and not done.

    receive ─▶ claim ─▶ look up ─▶ how old is it? ─▶ perform ─▶ complete ─▶ delete
                                        └ too old: it has expired ─▲

After an outage a queue is full of messages that nobody waits for any more: a code to sign in, a price, a reminder for
yesterday. To do them all delays what is fresh until that is stale as well. The rule stands behind the claim and the
look into the ledger, so a message whose side effect was caused in time is never said to have expired; and the status
table keeps which did.
"""

from __future__ import annotations

import logging

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import Note, ReadWallClock, Task
from services.payload import created_of


class FreshnessConsumer(Consumer):
    """Perform what is at most ``max_age`` seconds old; a message that does not say when it was made is never too old.

    Ages compare this machine's wall clock with the producer's, so a rule of less than seconds judges the clocks.
    """

    def perform(self, delivery: Delivery) -> Task[None]:
        """Cause the side effect, unless it comes too late."""
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
