"""Idempotency keys: call a system whose reply may be lost, and have it do its work once.

    consumer ── charge order-7, key K ──▶ API    done, and K remembered
             ✗◀──────────── the reply ───        lost: was it done?
             ── charge order-7, key K ──▶ API    K is known: nothing is done
             ◀──── the first answer ─────

The key follows from the message, so each attempt has the same key, in any process and after any crash. No look-up is
needed before the call, and a consumer that wakes after its lease does no harm.
https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import logging

from services.consumer.assumptions import ALL, Assumption
from services.consumer.consumer import Consumer, Delivery
from services.operations import CallApi, Claimed, Note, OperationFailed, Sleep, Task
from services.payload import sequence_of

#: How often one delivery calls in all, before the message is left to come again.
CALL_ATTEMPTS = 3
#: Seconds before the second call; doubles with each. Together they are short beside a claim's lease.
FIRST_BACKOFF = 0.05


class IdempotencyKeyConsumer(Consumer):
    """Call the API under a key that follows from the message, and repeat the call where no answer came."""

    assumes = ALL - {Assumption.NO_LATE_REQUESTS, Assumption.SHORT_PAUSES}

    def idempotency_key(self, delivery: Delivery, _attempt: int) -> str:
        """Return the idempotency key of a call, the same for each attempt at the same work."""
        return f"charge-{delivery.key}"

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Skip the look-up: the API itself recognises a call that it has seen."""
        yield from ()
        return False

    def perform(self, delivery: Delivery) -> Task[None]:
        """Call until an answer comes; after a few attempts leave the message to come again."""
        message = delivery.message
        for attempt in range(1, CALL_ATTEMPTS + 1):
            key = self.idempotency_key(delivery, attempt)
            try:
                yield CallApi(delivery.key, message.message_id, key, sequence_of(delivery.payload), message.group)
            except OperationFailed as error:
                if not error.transient or attempt == CALL_ATTEMPTS:
                    raise
                yield Note("no-answer", {"key": delivery.key, "error": error.code}, logging.WARNING)
                yield Sleep(FIRST_BACKOFF * 2 ** (attempt - 1))
            else:
                return
