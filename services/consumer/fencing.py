"""Fencing at the external system: it compares tokens, and refuses a call that is older than the newest it has seen.

    claim, token 1 ─▶ call, token 1 ─▶ . . . . . . . . . . . . . . . . . . . . . arrives late: refused, 2 has been seen
          ✗ timeout
    claim, token 2 ─▶ look, token 2 ─▶ the fence is at 2, nothing was done ─▶ call, token 2 ─▶ done

The look carries the token as well: it raises the fence before it answers. Without that, the late call could arrive
between look and call. So no request needs to be in time, and no pause needs to be short. What must hold: a claim never
gives the same token twice (the status record is kept), and each claim makes one call at most.
"""

from __future__ import annotations

from services.consumer.assumptions import ALL, Assumption
from services.consumer.consumer import Consumer, Delivery
from services.operations import Claimed, LookUpSideEffect, PerformSideEffect, Task
from services.payload import sequence_of


class FencedConsumer(Consumer):
    """Look and act under the token of the claim, at a system that refuses older ones."""

    assumes = ALL - {Assumption.NO_LATE_REQUESTS, Assumption.SHORT_PAUSES}

    def already_done(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Raise the fence, and ask; before the very first claim nothing can have happened."""
        if claim.first_attempt:
            return False
        found: bool = yield LookUpSideEffect(delivery.key, fencing_token=claim.fencing_token)
        return found

    def perform(self, delivery: Delivery) -> Task[None]:
        """Cause the side effect, unless a newer claim has raised the fence."""
        message = delivery.message
        yield PerformSideEffect(
            delivery.key, message.message_id, sequence_of(delivery.payload), message.group, delivery.claim
        )
