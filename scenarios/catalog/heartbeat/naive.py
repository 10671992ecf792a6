"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer
from services.operations import Task


class WithoutHeartbeat(Consumer):
    """Work for longer than the queue keeps a message invisible, and do not say so."""

    def heartbeat(self) -> Task[None]:
        """Never beat."""
        yield from ()
