"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Delivery
from services.consumer.saga import SagaConsumer, key_of_step
from services.operations import Task


class CompensatesBlindly(SagaConsumer):
    """A naive twin: undo without asking whether it is undone. Who takes over in the middle pays back twice."""

    def compensate(self, delivery: Delivery, undo: str) -> Task[None]:
        """Undo."""
        yield from self.cause(delivery, key_of_step(delivery.key, undo))
