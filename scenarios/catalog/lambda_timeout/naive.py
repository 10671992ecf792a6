"""The naive twins: one asks nothing, one keeps its record for ever. Never run them where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Delivery
from services.consumer.lambda_handler import LambdaConsumer
from services.operations import Claim, Claimed, ClaimResult, Task

#: Seconds. Longer than all receives of a message take together.
FOR_EVER = 3600.0


class AsksNothing(LambdaConsumer):
    """Take a record in progress that has expired for work that was not done."""

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Believe that nothing has happened."""
        yield from ()
        return False


class NeverExpires(LambdaConsumer):
    """Keep a record in progress whatever becomes of the function: each retry is refused until the queue gives up."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim for much longer than the function can live."""
        claim: ClaimResult = yield Claim(delivery.key, self.options.owner, FOR_EVER)
        if isinstance(claim, Claimed):
            delivery.claim = claim.fencing_token
        return claim
