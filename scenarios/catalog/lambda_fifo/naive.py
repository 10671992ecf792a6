"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Outcome
from services.consumer.lambda_handler import LambdaConsumer


class GoesOn(LambdaConsumer):
    """Name what failed, and go on with the rest of its message group."""

    def stops_group(self, _outcome: Outcome) -> bool:
        """Stop nothing."""
        return False
