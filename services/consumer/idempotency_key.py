"""Idempotency keys: call a system that may do its work and never say so, and have it done once.

    consumer ── charge order-7, key K ──▶ API    done, and K remembered
             ✗◀──────────── the reply ───        lost: was it done?
             ── charge order-7, key K ──▶ API    K is known: nothing is done
             ◀──── the first answer ─────

The key is the work's own: it follows from the message, so that each attempt has the same, in whatever process and
after whatever crash. Then nobody need look before acting, and a consumer that wakes after its lease does no harm.
https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import logging

from services.consumer.consumer import Consumer, Delivery
from services.operations import CallApi, Claimed, Note, OperationFailed, Sleep, Task
from services.payload import sequence_of

#: How often one delivery calls in all, before the message is left to come again.
CALL_ATTEMPTS = 3
#: Seconds before the second call; doubles with each. All of them are short beside a claim's lease.
FIRST_BACKOFF = 0.05


class IdempotencyKeyConsumer(Consumer):
    """Call the API under a key of the work's own, and call again under the same where the answer did not come."""

    late_is_harmless = True

    def idempotency_key(self, delivery: Delivery, _attempt: int) -> str:
        """Return what the API knows this call by: the same for each attempt at the same work."""
        return f"charge-{delivery.key}"

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Look nowhere: the API itself tells a call that it has seen from a new one."""
        yield from ()
        return False

    def perform(self, delivery: Delivery) -> Task[None]:
        """Call until there is an answer, or until it is better to let the message come again."""
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
