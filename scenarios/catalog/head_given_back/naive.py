"""The naive twin: it gives the failed head of a group back, and goes on with the rest. Never run it for real money."""

from __future__ import annotations

from services.consumer.consumer import Outcome
from services.consumer.give_back import GiveBackConsumer


class GoesOnBehindTheHead(GiveBackConsumer):
    """Go on with a message group whose head another consumer may have by now."""

    def stops_group(self, _outcome: Outcome) -> bool:
        """Let the group go on."""
        return False
