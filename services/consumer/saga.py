"""A saga: one order, several systems, no transaction over them; what cannot be finished is undone, step by step.

    reserve ─▶ charge ─▶ ship ─▶ done
                          └ refused: refund ─▶ release ─▶ done

Each step and each compensation is a side effect with a key of its own, ``<order>/charge``, so that whoever takes over
from a coordinator that died asks, step by step, what has happened already. A compensation that has begun is a decision:
from then on there is only the way back, whatever the one who refused would answer now.
https://microservices.io/patterns/data/saga.html
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.consumer.consumer import Consumer, Delivery
from services.operations import Claimed, LookUpSideEffect, Note, OperationFailed, PerformSideEffect, Task
from services.payload import sequence_of

#: A participant's no, for good: it has done nothing, and asking again is in vain. Any other error may pass.
REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the saga, and what undoes it; empty for a step that comes last and needs no undoing."""

    name: str
    undo: str = ""


STEPS = (Step("reserve", "release"), Step("charge", "refund"), Step("ship"))


def key_of_step(order: str, name: str) -> str:
    """Return the key of a step's or a compensation's side effect."""
    return f"{order}/{name}"


class SagaConsumer(Consumer):
    """Take an order through its steps, or back."""

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Ask for each step by itself."""
        yield from ()
        return False

    def perform(self, delivery: Delivery) -> Task[None]:
        """Go forward to the last step; where one is refused, go back to the first."""
        if not (yield from self.turned_back(delivery)):
            for step in STEPS:
                try:
                    yield from self.once(delivery, step.name)
                except OperationFailed as error:
                    if error.code != REFUSED:
                        raise
                    yield Note("refused", {"key": delivery.key, "step": step.name}, logging.WARNING)
                    break
            else:
                return
        yield from self.go_back(delivery)

    def turned_back(self, delivery: Delivery) -> Task[bool]:
        """Tell whether an earlier attempt has begun to compensate."""
        if self.is_first_attempt(delivery):
            return False
        for step in STEPS:
            if step.undo and (yield LookUpSideEffect(key_of_step(delivery.key, step.undo))):
                return True
        return False

    def go_back(self, delivery: Delivery) -> Task[None]:
        """Undo what was done, the last step first."""
        for step in reversed(STEPS):
            if step.undo and (yield LookUpSideEffect(key_of_step(delivery.key, step.name))):
                yield from self.compensate(delivery, step.undo)

    def compensate(self, delivery: Delivery, undo: str) -> Task[None]:
        """Undo one step, if nobody has."""
        yield from self.once(delivery, undo)

    def once(self, delivery: Delivery, name: str) -> Task[None]:
        """Cause a step's side effect, unless an earlier attempt has."""
        key = key_of_step(delivery.key, name)
        if not self.is_first_attempt(delivery) and (yield LookUpSideEffect(key)):
            return
        yield from self.cause(delivery, key)

    def cause(self, delivery: Delivery, key: str) -> Task[None]:
        """Cause a side effect."""
        message = delivery.message
        yield PerformSideEffect(key, message.message_id, sequence_of(delivery.payload), message.group)

    def is_first_attempt(self, delivery: Delivery) -> bool:
        """Tell whether nobody has ever claimed this order before."""
        return delivery.claim is not None and Claimed(delivery.claim).first_attempt
