"""How far away an endpoint is, and by how much a run's time is stretched for it.

A scenario's visibility timeouts, heartbeats and deadlines are made for an endpoint a millisecond away. Far away each
operation takes a round trip, and a batch of ten outlasts a timeout of one second. So a run far away is stretched: each
of its seconds lasts longer, for the queue and the services alike, and everything keeps its proportion.

    round trip    0 to 20 ms    80 ms    160 ms
    stretch       1             4        8
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from statistics import median
from typing import Any

#: The round trip, in seconds, that a scenario's timeouts allow for as they are.
ROUND_TRIP = 0.020
#: Round trips that are measured; the first one opens the connection and does not count.
PROBES = 6
#: The longest round trip, in milliseconds, that a run is stretched for.
MAX_LATENCY_MS = 2_000


def stretch_for(seconds: float) -> int:
    """Return by how much a run is stretched for a round trip of some seconds, 1 or more."""
    return max(1, ceil(round(seconds / ROUND_TRIP, 6)))


def measure_latency(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the median of some round trips, in seconds.

    Args:
        call: makes one cheap call to the endpoint.
        clock: seconds.
    """
    taken = []
    for _ in range(PROBES):
        began = clock()
        call()
        taken.append(clock() - began)
    return median(taken[1:])
