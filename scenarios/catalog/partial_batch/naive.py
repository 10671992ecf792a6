"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from collections.abc import Sequence

from services.consumer.consumer import Consumer
from services.operations import Message


class AllOrNothingBatch(Consumer):
    """Acknowledge a batch once all of it is done, and nothing of it before: the good wait on the poison among them."""

    def to_delete(self, settled: Sequence[Message], received: Sequence[Message]) -> Sequence[Message]:
        """Return all or nothing."""
        return settled if len(settled) == len(received) else ()
