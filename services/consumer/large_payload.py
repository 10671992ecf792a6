"""Large payloads: a message that names an object, and a consumer that fetches it.

    claim ─▶ look up ─▶ fetch ─▶ perform ─▶ complete ─▶ delete the message ─▶ remove the object
                          └ gone: rejected, as poison is

The object goes last. While the message can still come again its object is there, whoever dies in between; what a death
at the very end leaves is an orphan, which costs storage and no message. What was done before is not fetched again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import FetchObject, Message, Note, OperationFailed, RemoveObject, Task
from services.references import reference_in, reference_in_body


class PayloadGone(Exception):  # noqa: N818 - it is a fact about a message, not a failure of ours
    """Tell that the object that a message names is not there. S3 is consistent: it will not be there later."""


class LargePayloadConsumer(Consumer):
    """Fetch what a message refers to before its side effect, and remove it when the message is deleted."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Reject a message whose payload is gone: it goes to the dead-letter queue, and nobody crashes over it."""
        try:
            return (yield from super().process(delivery))
        except PayloadGone as error:
            delivery.complaint = str(error)
            if delivery.claim is not None:
                yield from self._release_claim(delivery)
            return Outcome.REJECTED

    def perform(self, delivery: Delivery) -> Task[None]:
        """Fetch, then perform."""
        yield from self.fetch(delivery)
        yield from super().perform(delivery)

    def fetch(self, delivery: Delivery) -> Task[str]:
        """Return the payload that the message refers to; its own body where it refers to none."""
        key = reference_in(delivery.payload)
        if not key:
            return delivery.message.body
        body: str | None = yield FetchObject(key)
        if body is None:
            raise PayloadGone(f"its payload {key} is gone")
        return body

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete the messages, then remove what they refer to.

        A message whose delete failed comes again, is known to be completed, and needs its payload no more.
        """
        yield from super().delete(messages)
        for message in messages:
            key = reference_in_body(message.body)
            if key:
                yield from self.remove(key)

    def remove(self, key: str) -> Task[None]:
        """Remove an object; one that stays is an orphan, for the clean-up."""
        try:
            yield RemoveObject(key)
        except OperationFailed as error:
            yield Note("payload-left", {"object": key, "error": error.code}, logging.WARNING)
