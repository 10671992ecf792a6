"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery
from services.operations import Claimed, Task


class WithoutLedger(Consumer):
    """Claim, and never ask the ledger: what died between its side effect and its bookkeeping is done again."""

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Suppose that nothing was done."""
        yield from ()
        return False
