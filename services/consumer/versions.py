"""Updates by version: an older one that comes after a newer one changes nothing.

    receive v2 ── state: v2        receive v1 ── v2 is there: v1 is superseded        receive v2 again ── no change

A standard queue keeps no order, and on any queue a retry comes late. So the order stands in the message, as a version
that its sender gave, and the store compares: one conditional write, in which nobody can come between the look and the
write. Refusing an equal version as well makes the write idempotent.
"""

from __future__ import annotations

import logging
from typing import Any

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.operations import Claimed, Note, StateWritten, Task, WriteState
from services.payload import update_of


class ReconcilingConsumer(Consumer):
    """Write the state that an update tells of, unless a newer version is there.

    Attributes:
        only_if_newer: whether the store compares versions.
    """

    only_if_newer = True

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key of an update; what names no entity and no version is rejected."""
        update_of(payload)
        return super().key_of(payload, message_id)

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Suppose that nothing was done: the write itself looks, and refuses a version that is there already."""
        yield from ()
        return False

    def perform(self, delivery: Delivery) -> Task[None]:
        """Write, and say where a newer version was there first."""
        entity, version = update_of(delivery.payload)
        written: StateWritten = yield WriteState(
            entity, version, delivery.key, delivery.message.message_id, self.only_if_newer
        )
        if written.version > version:
            delivery.outcome = Outcome.SUPERSEDED
            details = {"key": delivery.key, "entity": entity, "version": version, "by": written.version}
            yield Note("superseded", details, logging.INFO)
