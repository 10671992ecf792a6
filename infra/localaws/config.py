"""How the embedded endpoint is set up."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from infra.localaws.sqs.eventual_consistency import EventualConsistency
from infra.localaws.sqs.rates import DeliveryRates
from services.common.loopback import is_loopback


class EndpointError(Exception):
    """The endpoint cannot be set up; ``str(error)`` is one sentence that says what is wrong and what to do."""


def is_region(name: str) -> bool:
    """Tell whether a name has the form of an AWS region's."""
    return len(name) <= _MAX_REGION_LENGTH and re.fullmatch(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}", name) is not None


_MAX_REGION_LENGTH = 32


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """The settings of an endpoint.

    Attributes:
        host: where to listen; loopback only.
        port: 0 for a free one.
        region: AWS's name of the region that it plays.
        seed: what all of its choices follow from.
        rates: how far standard queues stray from a list, unless a queue is reset to others.
        consistency: how long purges, counts and names take to settle.
        speed: how many seconds its SQS clock runs in a real one.
        limits_fifo: whether FIFO queues take no more calls a second than AWS's do.
        history: the file that its events are appended to; None for no recording.

    Raises:
        EndpointError: a setting is not valid.
    """

    host: str = "127.0.0.1"
    port: int = 0
    region: str = "us-west-1"
    seed: int = 0
    rates: DeliveryRates = field(default_factory=DeliveryRates)
    consistency: EventualConsistency = field(default_factory=EventualConsistency)
    speed: float = 1.0
    limits_fifo: bool = False
    history: Path | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise EndpointError(
                f"The endpoint listens on loopback only, since it checks no credentials: {self.host!r} is not "
                "127.0.0.1, ::1 or localhost."
            )
        if not 0 <= self.port <= 65535:  # noqa: PLR2004 - TCP's largest port
            raise EndpointError(f"A port is a number from 0 (any free one) to 65535, not {self.port}.")
        if not is_region(self.region):
            raise EndpointError(f"A region is a name such as us-west-1, not {self.region!r}.")
        if not (math.isfinite(self.speed) and self.speed > 0):
            raise EndpointError(f"The speed is a number greater than 0, not {self.speed}.")
