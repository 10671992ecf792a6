"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from typing import Any

from services.consumer.consumer import Consumer


class KeyedByMessageId(Consumer):
    """Know a side effect by its MessageId, which SQS gives: a redelivery keeps it, and a redrive gives a new one."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:  # noqa: ARG002 - whatever the producer says
        """Return the MessageId."""
        return message_id
