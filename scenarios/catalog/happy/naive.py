"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import Task


class WithoutGuard(Consumer):
    """Perform whatever is received: no claim, no look-up, no memory. A second delivery pays a second time."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Perform."""
        yield from self.perform(delivery)
        return Outcome.DONE
