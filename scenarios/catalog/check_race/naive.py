"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import LookUpSideEffect, Task


class ChecksThenActs(Consumer):
    """Look before acting, and claim nothing: two that look at the same time both see that nothing was done."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Look up, perform."""
        if (yield LookUpSideEffect(delivery.key)):
            return Outcome.DUPLICATE
        yield from self.perform(delivery)
        return Outcome.DONE
