"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.consumer.consumer import Consumer
from services.operations import ChangeVisibility, Message, Task

#: Seconds for which the twin keeps a message invisible.
TOO_SHORT = 1


class ShortVisibility(Consumer):
    """Take every message for one second, as from a queue with a guessed visibility timeout."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Shorten the visibility timeout, then handle."""
        lease = self.options.claim_lease_seconds
        if lease is not None and self._facts.visibility_timeout > TOO_SHORT:
            shorter = lease * TOO_SHORT / self._facts.visibility_timeout
            self.options = self.options.model_copy(update={"claim_lease_seconds": shorter})
        self._facts = replace(self._facts, visibility_timeout=TOO_SHORT)
        yield ChangeVisibility(tuple(messages), TOO_SHORT)
        yield from super().handle_batch(messages, received_at)
