"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from collections.abc import Sequence

from services.consumer.consumer import Consumer, Delivery
from services.consumer.large_payload import LargePayloadConsumer
from services.operations import Message, Task
from services.references import reference_in


class RemovesFirst(LargePayloadConsumer):
    """Tidy up at once: fetch the object, remove it, then do the work. A consumer that dies now has lost the payload."""

    def fetch(self, delivery: Delivery) -> Task[str]:
        """Fetch, and remove."""
        body = yield from super().fetch(delivery)
        key = reference_in(delivery.payload)
        if key:
            yield from self.remove(key)
        return body

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete the messages alone."""
        yield from Consumer.delete(self, messages)
