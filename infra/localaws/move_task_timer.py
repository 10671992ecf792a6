"""Moves messages of message move tasks between requests."""

import asyncio
from collections.abc import Callable
from typing import Final

from infra.localaws.clock import ScaledClock
from infra.localaws.sqs.model import SqsModel

_TICK: Final = 0.001
"""Seconds; the event loop's timers are no finer."""


class MoveTaskTimer:
    """A timer that is set whenever a move task has something to do.

    Args:
        model: the queues.
        clock: the model's clock.
        after: is called after moves that no request caused.
    """

    def __init__(self, model: SqsModel, clock: ScaledClock, after: Callable[[], None]) -> None:
        self._model = model
        self._clock = clock
        self._after = after
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Set the timer if there is something to do and it is not set already."""
        if self._timer is None:
            due = self._model.next_move_at()
            if due is not None:
                delay = max(_TICK, self._clock.real_seconds(due - self._clock()))
                self._timer = asyncio.get_running_loop().call_later(delay, self._move)

    def _move(self) -> None:
        self._timer = None
        self._model.advance()
        self._after()
        self.look()
