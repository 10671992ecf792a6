"""How long SQS takes to settle: what it does at once here, and what in its own time.

A lab need not wait for a purge, so by default a purge is complete and a count is exact at once. The windows in which
SQS refuses (a second purge, the name of a deleted queue) are as long as SQS's own. All are seconds of the endpoint's
clock: a clock that runs faster shortens them.
"""

import math
from collections import deque
from dataclasses import dataclass, fields
from random import Random
from typing import Final, NamedTuple

from infra.localaws.sqs.limits import NAME_REUSE_SECONDS, PURGE_SECONDS

_SAMPLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class EventualConsistency:
    """How many seconds each takes; 0 is at once, or no refusal at all.

    Attributes:
        purge: a purge is complete at a random moment within so many seconds (AWS: up to 60), not before a tenth of
            them. Until then the messages from before can be received, and of those that are sent meanwhile each is
            purged or kept by chance. A queue can be reset to another time.
        counts: an ``ApproximateNumberOf...`` attribute tells of a random moment up to so long ago (AWS: about 60).
        purge_interval: the time between two purges (AWS: 60).
        name_reuse: the time from a queue's deletion to its name's next use (AWS: 60).
    """

    purge: float = 0.0
    counts: float = 0.0
    purge_interval: float = PURGE_SECONDS
    name_reuse: float = NAME_REUSE_SECONDS

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} is a number of seconds from 0 on, not {value!r}.")


class Counts(NamedTuple):
    """How many messages of a queue are in each state."""

    visible: int
    in_flight: int
    delayed: int


class PastCounts:
    """The counts of the last ``seconds`` seconds, one sample a second at most."""

    __slots__ = ("_samples", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, Counts]] = deque()

    def note(self, counts: Counts, now: float) -> None:
        """Take down what the counts have been until ``now``."""
        samples = self._samples
        if samples and now - samples[-1][0] < _SAMPLE_SECONDS:
            return
        samples.append((now, counts))
        while samples[0][0] < now - self._seconds:
            samples.popleft()

    def at_random(self, present: Counts, now: float, rng: Random) -> Counts:
        """Return the counts of a random moment within the last ``seconds``."""
        moment = now - rng.uniform(0, self._seconds)
        return next((counts for until, counts in self._samples if until >= moment), present)
