"""The services' timers where the lab's clock runs faster than the wall: scaled here, so that no service knows.

What a service times itself is divided by the speed: leases, delays, the heartbeat, the idle timeout, the age of
messages, the wait for a purge, the time between two sends. What the queue times is the queue's own: long polls, delays
of a send, visibility timeouts that a consumer asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.batches import MAX_ENTRIES
from services.consumer.consumer import LEASE_PART
from services.consumer.settings import ConsumerSettings
from services.faults import Fault
from services.producer.options import ProducerOptions
from services.variables import timers

#: The options that are seconds on a service's own clock.
TIMERS = timers(ConsumerSettings)
PRODUCER_TIMERS = timers(ProducerOptions)


@dataclass(frozen=True, slots=True)
class Timing:
    """How the lab's seconds become a service's.

    Attributes:
        speed: how many of the lab's seconds a real one is.
        visibility_timeout: the queue's own, in the lab's seconds.
    """

    speed: float
    visibility_timeout: float

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return a consumer's settings with its timers in real seconds."""
        if self.speed == 1:
            return dict(settings)
        # By itself a consumer takes its lease from the visibility timeout, which the queue tells in seconds of its own.
        lease = {"claim_lease_seconds": LEASE_PART * self.visibility_timeout}
        return {name: value / self.speed if name in TIMERS else value for name, value in {**lease, **settings}.items()}

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a producer's options with its times in real seconds."""
        if self.speed == 1:
            return dict(options)
        scaled = {name: value / self.speed if name in PRODUCER_TIMERS else value for name, value in options.items()}
        if rate := options.get("rate"):
            scaled["rate"] = rate * self.speed
            # By itself a producer sends no more at once than it sends in a second: that is a second of the lab's.
            scaled["batch_size"] = min(options.get("batch_size", MAX_ENTRIES), max(1, int(rate)))
        return scaled

    def faults(self, faults: Sequence[Fault]) -> list[Fault]:
        """Return faults whose delays, and whose beginnings by the clock, are in real seconds."""
        return [replace(fault, seconds=fault.seconds / self.speed, at=fault.at / self.speed) for fault in faults]
