"""Purge timing: PurgeQueue answers at once, and goes on deleting for up to a minute.

A queue holds leftovers. A producer empties it and begins anew: it asks for a purge, waits for 60 seconds as SQS says,
and then sends what it counts on. All the while another producer sends a message a second. Every one of these is
acknowledged. When all is over a consumer receives what is there, and what is missing tells how long the purge went on,
and that it took messages which were sent well after it was asked for.

The naive twin's producer sends as soon as the call has returned. Its messages are acknowledged, too, and about half of
them are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.catalog.purge_timing.checks import (
    DANGER_WINDOW,
    LEFTOVER,
    LEFTOVERS_PURGED,
    PROBE,
    PURPOSE,
    WORK,
    WORK_LOST,
)
from scenarios.checks.invariants import LOST, STANDARD
from scenarios.history import History
from scenarios.lab import Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.producer.producer import PURGE_SECONDS

#: Messages that are in the queue before.
LEFTOVERS = 10
#: Seconds for which probes are sent: a producer has to start and ask for the purge, and the purge has to end.
PROBING = PURGE_SECONDS + 20


@dataclass(frozen=True, slots=True)
class PurgeParameters(Parameters):
    """What a user may change.

    Attributes:
        rate: probes a second.
    """

    rate: float = parameter(1.0, "probes a second", min=0.5, max=5)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = PurgeParameters.of(lab)
    lab.produce(count=LEFTOVERS, fields={PURPOSE: LEFTOVER})
    probe = lab.start_producer(
        "probe", count=round(PROBING * parameters.rate), rate=parameters.rate, fields={PURPOSE: PROBE}
    )
    lab.wait_for(_somebody_sent_more_than(LEFTOVERS), deadline=30, what="the first probe")

    lab.produce(purge_wait=PURGE_SECONDS, fields={PURPOSE: WORK})
    lab.wait_for(has_ended(probe), deadline=30 + PROBING, what="the last probe")

    consumer = lab.start_consumer(max_messages=parameters.batch_size)
    lab.settle(deadline=60 + 0.1 * parameters.count)
    lab.stop(consumer)


def _somebody_sent_more_than(messages: int) -> Callable[[History], bool]:
    """Return the condition that more messages than these were sent."""
    return lambda history: len(history.sends) > messages


SCENARIO = Scenario(
    name="purge-timing",
    summary="a purge takes up to a minute after its call, and deletes what is sent meanwhile",
    theme="Load",
    pattern="wait for the end of the purge",
    pace="slow",
    seconds=9,
    run=run,
    invariants=(WORK_LOST, *(invariant for invariant in STANDARD if invariant is not LOST)),
    witnesses=(LEFTOVERS_PURGED, DANGER_WINDOW),
    naive_twin=NaiveTwin(
        consumer="",
        without="waiting until the purge is over",
        violation="work-lost",
        producer="scenarios.catalog.purge_timing.naive:SendsIntoThePurge",
    ),
    defaults=PurgeParameters(count=20, batch_size=10),
    least=Parameters(count=10, batch_size=1),
    # What is not received was purged: nothing else is to hide it.
    delivery=DeliveryRates(duplicate=0.0),
    speed=10.0,
    purge_seconds=PURGE_SECONDS,
)
