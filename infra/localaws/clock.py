"""The endpoint's clock, which can run faster than the wall."""

import time


class ScaledClock:
    """Seconds since the epoch; from its creation on they pass ``speed`` times as fast as real ones.

    It follows the monotonic clock, so that a change of the machine's time does not reach it.
    """

    __slots__ = ("_epoch", "_started", "speed")

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._epoch = time.time()
        self._started = time.monotonic()

    def __call__(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._epoch + (time.monotonic() - self._started) * self.speed

    def real_seconds(self, seconds: float) -> float:
        """Return how long so many of this clock's seconds last, in real seconds."""
        return seconds / self.speed
