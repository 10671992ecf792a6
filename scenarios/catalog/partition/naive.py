"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery
from services.operations import Claimed, Task


class GoesOnWithWhatItHolds(Consumer):
    """A naive twin: what it has claimed once is its own, however long ago that was."""

    def still_ours(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Ask nothing."""
        yield from ()
        return True
