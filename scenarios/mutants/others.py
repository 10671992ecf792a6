"""Broken producers and tables, each with one change."""

from __future__ import annotations

from collections.abc import Callable

from scenarios.simulation.tables import ClaimItem, TableModel
from services.operations import (
    Claim,
    ClaimResult,
    Complete,
    OperationFailed,
    ReleaseClaim,
    RenewClaim,
    Send,
    SendResult,
    Task,
)
from services.producer.producer import Batch, Producer


class ForgetsRefusedSends(Producer):
    """Take a batch for sent once the call succeeded, whatever its ``Failed`` entries say."""

    def send_batch(self, batch: Batch) -> Task[tuple[int, int]]:
        """Send, and look at no entry."""
        try:
            result: SendResult = yield Send(batch)
        except OperationFailed:
            return (yield from super().send_batch(batch))
        return len(result.sent) + len(result.failed), 0


class WithoutFencing(TableModel):
    """Tables on which any token will do: who has lost a claim can still end that of its successor."""

    def _own(self, operation: RenewClaim | ReleaseClaim | Complete) -> ClaimItem | None:
        return self.claims.get(operation.key)


class LooksThenWrites(TableModel):
    """Tables on which a claim is no conditional write: the last writer has it."""

    def claim(self, operation: Claim, now: Callable[[], float]) -> ClaimResult:
        """Claim whatever is not complete."""
        item = self.claims.get(operation.key)
        if item is not None:
            item.lease_expires_at = 0
        return super().claim(operation, now)


class ForgetsWhatIsComplete(TableModel):
    """Tables whose completed claims can be taken again, like an item whose time to live is over too soon."""

    def claim(self, operation: Claim, now: Callable[[], float]) -> ClaimResult:
        """Claim a key for the first time, again."""
        item = self.claims.get(operation.key)
        if item is not None and item.completed:
            del self.claims[operation.key]
        return super().claim(operation, now)
