"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery, Outcome


class DeletesRejected(Consumer):
    """Acknowledge what it refuses. The queue is clean, and the message is gone for good."""

    def reject(self, _delivery: Delivery) -> Outcome:
        """Have the message deleted."""
        return Outcome.DISCARDED
