"""The naive twins: consumers that leave out one protecting pattern each, to show what it protects from.

Each replaces a single step of :class:`services.consumer.consumer.Consumer`. Never run one where money is carried.
"""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import Task


class WithoutGuard(Consumer):
    """Perform whatever is received: no claim, no look-up, no memory. A second delivery pays a second time."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Perform."""
        yield from self.perform(delivery)
        return Outcome.DONE


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
