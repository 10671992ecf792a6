"""Updates by version: an older update that comes after a newer one changes nothing.

    receive v2 ── state: v2        receive v1 ── v2 is there: v1 is superseded        receive v2 again ── no change

A standard queue keeps no order, and on any queue a retry comes late. So the producer puts a version into the message,
and the store compares: one conditional write, with no gap between look and write. Refusing an equal version as well
makes the write idempotent.
"""

from __future__ import annotations

import logging
from typing import Any

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import Claimed, Note, StateWritten, Task, WriteState
from services.payload import update_of


class ReconcilingConsumer(Consumer):
    """Write the state of an update, unless a newer version is there.

    Attributes:
        only_if_newer: whether the store compares versions.
    """

    only_if_newer = True

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key of an update; a payload without an entity or a version is rejected."""
        update_of(payload)
        return super().key_of(payload, message_id)

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Skip the look-up: the conditional write refuses a version that is there already."""
        yield from ()
        return False

    def perform(self, delivery: Delivery) -> Task[None]:
        """Write, and note an update that a newer one has superseded."""
        entity, version = update_of(delivery.payload)
        written: StateWritten = yield WriteState(
            entity, version, delivery.key, delivery.message.message_id, self.only_if_newer
        )
        if written.version > version:
            delivery.outcome = Outcome.SUPERSEDED
            details = {"key": delivery.key, "entity": entity, "version": version, "by": written.version}
            yield Note("superseded", details, logging.INFO)
