"""The naive twins: answers that AWS does not take for what they mean. Never run them where money is carried."""

from __future__ import annotations

from collections.abc import Sequence

from services.consumer.lambda_handler import Answer, LambdaConsumer
from services.operations import Message
from services.payload import MalformedPayload, parse_payload


class NamesThePayload(LambdaConsumer):
    """Name the payload's id in the place of the messageId: no such message is in the batch, so nothing is deleted."""

    def answer(self, _received: Sequence[Message], failed: Sequence[Message]) -> Answer:
        """Return ids that the mapping does not know."""
        return {"batchItemFailures": [{"itemIdentifier": _payload_id(message)} for message in failed]}


def _payload_id(message: Message) -> str:
    try:
        return str(parse_payload(message.body).get("id"))
    except MalformedPayload:
        return "unknown"


class MisspellsTheKey(LambdaConsumer):
    """Spell ``batchItemFailures`` otherwise: to the mapping the answer names nothing, so everything is deleted."""

    def answer(self, received: Sequence[Message], failed: Sequence[Message]) -> Answer:
        """Return the usual answer under another name."""
        return {"BatchItemFailures": super().answer(received, failed)["batchItemFailures"]}


class NoJson(LambdaConsumer):
    """Answer with text that is no JSON: a complete failure."""

    def answer(self, received: Sequence[Message], failed: Sequence[Message]) -> Answer:
        """Return text where something failed."""
        return f"{len(failed)} failed" if failed else super().answer(received, failed)
