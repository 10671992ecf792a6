"""Watches for how long the machine keeps the processes of a run from its processors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from scenarios.history.events import WAITED
from services.common.waits import longest_wait
from services.history import Recorder

#: Real seconds between two looks at what is asked of the system.
EVERY: Final = 0.25
#: A process that waited for less than this part of the time had what it needed.
PART: Final = 0.1
#: Processor seconds after which a process knows whether it has to wait for a processor.
PROBE: Final = 0.05


def has_free_processors() -> bool:
    """Tell whether this machine has processors to spare, by what it did in the last minute and by computing now."""
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        return False
    began, until = time.monotonic(), time.thread_time() + PROBE
    while time.thread_time() < until:
        pass
    return time.monotonic() - began < (1 + PART) * PROBE


class WaitWatch:
    """Notes in the history which processes waited for a processor, and for how long.

    Args:
        recorder: takes the notes.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: Mapping[str, Mapping[int, float]] = {}
        self._looked = 0.0

    def look(self, waits_now: Callable[[], Mapping[str, Mapping[int, float]]], now: float, speed: float) -> None:
        """Look, if it is time to.

        Args:
            waits_now: returns for how long each thread has waited by now, by its process's name in the history; asked
                only when it is time.
            now: real seconds of a monotonic clock.
            speed: how many of the lab's seconds a real one is; the notes hold the lab's.
        """
        span = now - self._looked
        if span < EVERY:
            return
        waits = waits_now()
        for name, after in waits.items():
            waited = longest_wait(self._last[name], after) if name in self._last else 0.0
            if waited >= PART * span:
                self._recorder.event(
                    WAITED, waiter=name, seconds=round(min(waited, span) * speed, 3), within=round(span * speed, 3)
                )
        self._last, self._looked = waits, now
