"""The naive twins: a handler that answers nothing, and one that raises. Never run them where money is carried."""

from __future__ import annotations

from collections.abc import Sequence

from services.consumer.lambda_handler import Answer, LambdaConsumer
from services.operations import Message


class AnswersNothing(LambdaConsumer):
    """Return nothing. To the event source mapping that is complete success: it deletes the whole batch."""

    def answer(self, _received: Sequence[Message], _failed: Sequence[Message]) -> Answer:
        """Return what a function without a return statement does."""
        return None


class Raises(LambdaConsumer):
    """Raise where a message failed: the mapping deletes nothing, and the good ones come again with the bad one."""

    def answer(self, received: Sequence[Message], failed: Sequence[Message]) -> Answer:
        """Raise, or return the usual answer."""
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(received)} messages failed")
        return super().answer(received, failed)
