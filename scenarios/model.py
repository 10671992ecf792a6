"""What a scenario is: its story, what must hold of it, what must happen in it, and its naive twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from scenarios.errors import RequestError
from scenarios.invariants import Invariant
from scenarios.witnesses import Witness

if TYPE_CHECKING:
    from scenarios.labs.base import Lab

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_BATCH_SIZE = 10
#: More would take longer than anybody watches a scenario for.
MAX_COUNT = 100_000

Pace = Literal["fast", "slow"]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a user may change about a run.

    Attributes:
        count: how many messages are sent.
        batch_size: how many messages a consumer asks for with one receive, 1 to 10.
    """

    count: int
    batch_size: int = 1


@dataclass(frozen=True, slots=True)
class NaiveTwin:
    """The same scenario with the protecting pattern switched off.

    Attributes:
        consumer: the class that leaves the pattern out, as ``module:Class``.
        without: what it leaves out, in words that complete "without ...".
        violation: the invariant that it must violate.
    """

    consumer: str
    without: str
    violation: str


@dataclass(frozen=True, slots=True)
class DeliveryRates:
    """How often a standard queue shows its less pleasant side, as probabilities; only the embedded endpoint obeys.

    Attributes:
        reorder: a receive picks another message than the oldest.
        duplicate: a delivery leaves the message visible as well.
        underfill: a receive brings fewer messages than it could.
    """

    reorder: float = 0.1
    duplicate: float = 0.02
    underfill: float = 0.1


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that can go wrong with queues, staged and judged.

    Attributes:
        summary: one line for the table of scenarios.
        pace: ``fast`` ends in seconds.
        run: the story; it holds a lab and never asks which tier it is in.
        invariants: what must hold of the history.
        witnesses: what must have happened in it.
        least: the smallest parameters with which the story can be told.
        delivery: how the queue behaves.
    """

    name: str
    summary: str
    pace: Pace
    run: Callable[[Lab], None]
    invariants: tuple[Invariant, ...]
    witnesses: tuple[Witness, ...]
    naive_twin: NaiveTwin
    defaults: Parameters
    least: Parameters = field(default_factory=lambda: Parameters(1, 1))
    delivery: DeliveryRates = field(default_factory=DeliveryRates)

    def parameters(self, given: Mapping[str, int | None]) -> Parameters:
        """Return the defaults with what was given in their place.

        Raises:
            RequestError: a value is out of range, or the story cannot be told with it.
        """
        wanted = replace(self.defaults, **{name: value for name, value in given.items() if value is not None})
        for option, value, least, most in (
            ("--count", wanted.count, self.least.count, MAX_COUNT),
            ("--batch-size", wanted.batch_size, self.least.batch_size, MAX_BATCH_SIZE),
        ):
            if not least <= value <= most:
                raise RequestError(f"{option} is {value}; the scenario {self.name} needs {least} to {most}.")
        return wanted
