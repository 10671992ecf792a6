"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Delivery
from services.consumer.idempotency_key import IdempotencyKeyConsumer


class NewKeyForEachAttempt(IdempotencyKeyConsumer):
    """A naive twin: make up a key for each call, as a client library does that was never told of one."""

    def idempotency_key(self, delivery: Delivery, attempt: int) -> str:
        """Return a key that no call has had before."""
        return f"{self.options.owner}-{delivery.key}-{delivery.message.receive_count}-{attempt}"
