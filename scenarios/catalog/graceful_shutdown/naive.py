"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from collections.abc import Sequence

from services.consumer.consumer import Consumer
from services.operations import Message, Task


class DropsWhatItHolds(Consumer):
    """Go when told to, and leave all in hand as it is: the queue finds out when the visibility timeout is over."""

    def release(self, _messages: Sequence[Message]) -> Task[None]:
        """Give nothing back."""
        yield from ()

    def to_delete(self, settled: Sequence[Message], _received: Sequence[Message]) -> Sequence[Message]:
        """Delete nothing any more once the end is asked for."""
        return () if self.stopping else settled
