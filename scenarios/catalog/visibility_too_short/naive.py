"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.consumer.consumer import Consumer
from services.operations import ChangeVisibility, Message, Task

#: Seconds for which the twin keeps a message invisible.
TOO_SHORT = 1


class ShortVisibility(Consumer):
    """Take every message for one second, as from a queue whose visibility timeout somebody guessed."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Shorten the visibility timeout, then handle."""
        self._facts = replace(self._facts, visibility_timeout=TOO_SHORT)
        yield ChangeVisibility(tuple(messages), TOO_SHORT)
        yield from super().handle_batch(messages, received_at)
