"""A saga: one order, several systems and no transaction over them. An order that cannot finish is undone by steps.

    reserve ─▶ charge ─▶ ship ─▶ done
                          └ refused: refund ─▶ release ─▶ done

Each step and each compensation is a side effect with a key of its own, ``<order>/charge``. The successor of a crashed
coordinator asks, step by step, what has happened already. A compensation that has begun is a decision: from then on the
saga only goes back, even if the refused step would now succeed.
https://microservices.io/patterns/data/saga.html
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.consumer.consumer import Consumer, Delivery
from services.operations import Claimed, LookUpSideEffect, Note, OperationFailed, PerformSideEffect, Task
from services.payload import sequence_of

#: A participant's final no: it has done nothing, and will not. Any other error may pass.
REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the saga and its compensation; empty for the last step, which needs none."""

    name: str
    undo: str = ""


STEPS = (Step("reserve", "release"), Step("charge", "refund"), Step("ship"))


def key_of_step(order: str, name: str) -> str:
    """Return the key of a step's or a compensation's side effect."""
    return f"{order}/{name}"


class SagaConsumer(Consumer):
    """Take an order through its steps, or back."""

    def already_done(self, _delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Leave the question to the single steps."""
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
        """Return whether an earlier attempt has begun to compensate."""
        if self.is_first_attempt(delivery):
            return False
        for step in STEPS:
            if step.undo and (yield LookUpSideEffect(key_of_step(delivery.key, step.undo))):
                return True
        return False

    def go_back(self, delivery: Delivery) -> Task[None]:
        """Undo the completed steps, the last one first."""
        for step in reversed(STEPS):
            if step.undo and (yield LookUpSideEffect(key_of_step(delivery.key, step.name))):
                yield from self.compensate(delivery, step.undo)

    def compensate(self, delivery: Delivery, undo: str) -> Task[None]:
        """Undo one step, unless an earlier attempt has."""
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
        """Return whether this is the first claim of the order."""
        return delivery.claim is not None and Claimed(delivery.claim).first_attempt
