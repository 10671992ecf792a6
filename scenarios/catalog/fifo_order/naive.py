"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Outcome


class GoesOnAfterFailure(Consumer):
    """Treat a FIFO batch as a bag: after a failure the rest of the message group overtakes what failed."""

    def stops_group(self, _outcome: Outcome) -> bool:
        """Let the group go on."""
        return False
