"""Retries with backoff: an outage passes, and the messages have not used up their receives by then.

For a few seconds the consumer cannot reach the outside: every side effect fails. A redrive policy counts receives and
asks for no reason, so each failure costs a message one of the few that it has. The consumer puts off what failed, with
ChangeMessageVisibility: about a second after the first receive, two after the second, four after the third, each with
jitter, so that what failed together does not come back together. Another consumer, with a way to the outside, takes its
place, and everything is done.

The naive twin retries at once. Its messages fail as often as they may within a blink, and the dead-letter queue fills
with good messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.history import History
from scenarios.invariants import STANDARD
from scenarios.labs.base import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Parameters, Scenario, knob
from scenarios.pattern_witnesses import HEALED_AFTER_RETRIES
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class BackoffParameters(Parameters):
    """What a user may change.

    Attributes:
        outage: seconds for which every side effect fails.
    """

    outage: float = knob(2.2, "seconds for which every side effect fails", least=1.5, most=5)


def run(lab: Lab) -> None:
    """Tell the story."""
    parameters = BackoffParameters.of(lab)
    lab.produce()
    refused = Fault("error", "PerformSideEffect", nth=0, code="ServiceUnavailable")
    cut_off = lab.start_consumer("cut-off", faults=[refused], max_messages=parameters.batch_size)
    lab.wait_for(_failing_for(parameters.outage), deadline=40 + parameters.outage, what="the outage to end")
    lab.stop(cut_off)

    connected = lab.start_consumer("connected", max_messages=parameters.batch_size)
    lab.settle(deadline=60)
    lab.stop(connected)


def _failing_for(seconds: float) -> Callable[[History], bool]:
    """Return the condition that side effects have been failing for so long."""

    def condition(history: History) -> bool:
        return bool(history.faults) and history.records[-1]["time"] - history.faults[0].time >= seconds

    return condition


SCENARIO = Scenario(
    name="retry-backoff",
    summary="what fails in an outage is put off for longer each time, and is done when the outage is over",
    pace="fast",
    run=run,
    invariants=STANDARD,
    witnesses=(HEALED_AFTER_RETRIES,),
    naive_twin=NaiveTwin(
        consumer="services.consumer.naive:RetriesAtOnce",
        without="waiting between tries",
        violation="wrongly-dead-lettered",
    ),
    consumer="services.consumer.backoff:BacksOff",
    defaults=BackoffParameters(count=2, batch_size=10),
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
    any_program=True,
)
