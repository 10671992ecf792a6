"""Retries with backoff: an outage passes, and the messages have not used up their receives by then.

For a few seconds the consumer cannot reach the outside: every side effect fails. A redrive policy counts receives and
asks for no reason, so each failure costs a message one of the few that it has. The consumer puts off what failed, with
ChangeMessageVisibility: by a second after the first receive, two to three after the second, four to seven after the
third. Chance says how long exactly, so that what failed together does not come back together. Another consumer, with a
way to the outside, takes its place, and everything is done.

The naive twin retries at once. Its messages fail as often as they may within a blink, and the dead-letter queue fills
with good messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.catalog.retry_backoff.checks import HEALED_AFTER_RETRIES, PUT_OFF_APART, PUT_OFF_FOR_LONGER
from scenarios.checks.invariants import STANDARD
from scenarios.history import History
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: Seconds between two looks whether the outage is over.
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class BackoffParameters(Parameters):
    """What a user may change.

    Attributes:
        outage: seconds for which every side effect fails.
    """

    outage: float = parameter(1.9, "seconds for which every side effect fails", min=1.3, max=3)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = BackoffParameters.of(lab)
    lab.produce()
    refused = Fault("error", "PerformSideEffect", nth=0, code="ServiceUnavailable")
    cut_off = lab.start_consumer("cut-off", faults=[refused], max_messages=parameters.batch_size)
    over = _outage_is_over(parameters.outage)
    lab.watch(over, every=LOOK_EVERY, deadline=40 + parameters.outage, what="the outage to end")
    lab.stop(cut_off)

    connected = lab.start_consumer("connected", max_messages=parameters.batch_size)
    lab.settle(deadline=60)
    lab.stop(connected)


def _outage_is_over(seconds: float) -> Callable[[History, float], bool]:
    """Return a look that says enough when the first failure is so long ago."""

    def look(history: History, now: float) -> bool:
        failures = [fault for fault in history.faults if fault.planned]
        return bool(failures) and now - failures[0].time >= seconds

    return look


SCENARIO = Scenario(
    name="retry-backoff",
    summary="messages fail in an outage; each retry waits longer, and all are done when the outage is over",
    theme="Work that fails",
    pattern="backoff with jitter, kept by the queue",
    pace="fast",
    seconds=5.5,
    run=run,
    invariants=STANDARD,
    # Jitter is looked for and not demanded: an outage of one consumer is survived without.
    witnesses=(HEALED_AFTER_RETRIES, PUT_OFF_FOR_LONGER, PUT_OFF_APART),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.retry_backoff.naive:RetriesAtOnce",
        without="waiting between retries",
        violation="wrongly-dead-lettered",
    ),
    consumer="services.consumer.backoff:BackoffConsumer",
    defaults=BackoffParameters(count=2, batch_size=10),
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
    any_program=True,
)
