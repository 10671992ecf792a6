"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer, Delivery
from services.operations import Claimed, LookUpSideEffect, Task


class LooksBeforeItActs(Consumer):
    """A naive twin: ask the ledger before each call, which cannot see a request that is still on its way."""

    def already_done(self, delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Look, at the first attempt as well."""
        found: bool = yield LookUpSideEffect(delivery.key)
        return found
