"""Large payloads: a message names an object, and the consumer fetches it.

    claim ─▶ look up ─▶ fetch ─▶ perform ─▶ complete ─▶ delete the message ─▶ remove the object
                          └ gone: rejected, as poison is

The object goes last: while the message can still come again, its object is there. A crash at the very end leaves an
orphan, which costs storage and no message. The consumer does not fetch the object of a completed message again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import FetchObject, Message, Note, OperationFailed, RemoveObject, Task
from services.references import reference_in, reference_in_body


class PayloadGone(Exception):  # noqa: N818 - it is a fact about a message, not a failure of ours
    """The object that a message names is not there. S3 is strongly consistent: it will not be there later."""


class LargePayloadConsumer(Consumer):
    """Fetch the object of a message before its side effect, and remove it after the delete."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Reject a message whose payload is gone, so that it goes to the dead-letter queue."""
        try:
            return (yield from super().process(delivery))
        except PayloadGone as error:
            delivery.rejection = str(error)
            if delivery.claim is not None:
                yield from self._release_claim(delivery)
            return Outcome.REJECTED

    def perform(self, delivery: Delivery) -> Task[None]:
        """Fetch, then perform."""
        yield from self.fetch(delivery)
        yield from super().perform(delivery)

    def fetch(self, delivery: Delivery) -> Task[str]:
        """Return the payload that the message refers to, or its own body."""
        key = reference_in(delivery.payload)
        if not key:
            return delivery.message.body
        body: str | None = yield FetchObject(key)
        if body is None:
            raise PayloadGone(f"its payload {key} is gone")
        return body

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete the messages, then remove their objects.

        A message whose delete failed comes again, but its key is completed, so it needs no payload.
        """
        yield from super().delete(messages)
        for message in messages:
            key = reference_in_body(message.body)
            if key:
                yield from self.remove(key)

    def remove(self, key: str) -> Task[None]:
        """Remove an object; if that fails, it is an orphan for a clean-up."""
        try:
            yield RemoveObject(key)
        except OperationFailed as error:
            yield Note("payload-left", {"object": key, "error": error.code}, logging.WARNING)
