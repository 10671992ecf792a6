"""Schema evolution: read older versions, ignore added fields, and reject newer versions.

    schema 1 ── upcast ──▶ schema 2 ──▶ the handler, which knows the newest form alone
    schema 2 with an unknown field ──▶ the same; the field is ignored
    schema 3, newer than this code ──▶ rejected; the dead-letter queue keeps it until a deployment knows it

The number is a major version: it grows when an old reader would misunderstand a message. A new optional field needs no
new number. A message without a number is of version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.consumer.consumer import Consumer, Delivery
from services.operations import Message, Note, Task
from services.payload import MalformedPayload

Payload = dict[str, Any]


def _split_amount(payload: Payload) -> Payload:
    """Version 1 to 2: an amount in euros becomes cents of a currency."""
    amount = payload.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise MalformedPayload("the payload needs a whole number as its 'amount'")
    return {**payload, "schema": 2, "amount_cents": 100 * amount, "currency": "EUR"}


#: How to read a payload of each older version as one of the next.
UPCASTERS: Mapping[int, Callable[[Payload], Payload]] = {1: _split_amount}
#: The newest version that there is code for.
NEWEST = 1 + max(UPCASTERS)
#: The fields of each version.
FIELDS: Mapping[int, frozenset[str]] = {
    1: frozenset({"id", "work", "sequence", "amount"}),
    2: frozenset({"id", "work", "sequence", "schema", "amount_cents", "currency"}),
}


def version_of(payload: Payload) -> int:
    """Return the version of a payload's schema.

    Raises:
        MalformedPayload: it is no positive whole number.
    """
    version = payload.get("schema", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise MalformedPayload(f"the schema is {version!r}, but it must be a whole number from 1")
    return version


class SchemaConsumer(Consumer):
    """Read every version up to the newest that this deployment knows; ``SCHEMA_VERSION`` makes it an older one."""

    @property
    def knows(self) -> int:
        """The newest version that this deployment knows."""
        return self.options.schema_version or NEWEST

    def open(self, message: Message, visible_at: float) -> Delivery:
        """Read a message in the form of the newest version, or say why the consumer rejects it."""
        delivery = super().open(message, visible_at)
        if not delivery.rejection:
            try:
                delivery.payload = self.read(delivery.payload)
            except MalformedPayload as error:
                delivery.rejection = str(error)
        return delivery

    def read(self, payload: Payload) -> Payload:
        """Return a payload as of the newest version, with all fields that it came with.

        Raises:
            MalformedPayload: its version is newer than this deployment, or it lacks a field of its version.
        """
        version = version_of(payload)
        if version > self.knows:
            raise MalformedPayload(f"the schema is {version}, and this consumer knows {self.knows} at most")
        while version < NEWEST:
            payload = UPCASTERS[version](payload)
            version += 1
        cents, currency = payload.get("amount_cents"), payload.get("currency")
        if not isinstance(cents, int) or isinstance(cents, bool) or not isinstance(currency, str):
            raise MalformedPayload("the payload needs a whole number as its 'amount_cents', and a 'currency'")
        return payload

    def perform(self, delivery: Delivery) -> Task[None]:
        """Cause the side effect, and note the amount as it was read."""
        payload, message = delivery.payload, delivery.message
        said = {"cents": payload["amount_cents"], "currency": payload["currency"], "knows": self.knows}
        yield Note("charges", {"key": delivery.key, "message_id": message.message_id, **said})
        yield from super().perform(delivery)
