"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from typing import Any

from services.consumer.consumer import Consumer
from services.payload import effect_key


class KeyedByMessage(Consumer):
    """Know a side effect by its message and not by its order: two messages for one order are two payments."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the message's own key."""
        return effect_key(payload, message_id)
