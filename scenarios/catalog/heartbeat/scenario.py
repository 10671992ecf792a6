"""Heartbeat: work lasts longer than the visibility timeout, and the queue is kept informed.

How long work takes is not known beforehand; a visibility timeout that covers the worst case makes every crash wait for
it. So the timeout is short, and the consumer that is still at work says so in good time: it extends the message's
visibility and its own claim, again and again, until it is done. A second consumer is free again before, and gets
everything but that message. Had the first one died, its heartbeat would have died with it.

A third consumer has caused its side effect, and then the table hears nothing of it for a while: neither its heartbeats
nor that the work is complete. Its lease runs out, and the second consumer takes the message over and finds the side
effect in the ledger. The next heartbeat of the third is told so. It stops extending, may not complete what is no longer
its own, and deletes nothing.

The naive twin works on in silence. Its message and its claim run out, the second consumer takes both over, and the
work is done twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.heartbeat.checks import LOST_LEASE, WORK_EXCEEDED_TIMEOUT, WORK_OUTLASTED_TIMEOUT
from scenarios.checks.invariants import DUPLICATED_SIDE_EFFECT, STANDARD, WRONGLY_DEAD_LETTERED
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.consumer.patterns import Pattern
from services.faults import Fault

#: Heartbeats in a visibility timeout: two may come late, and nothing is lost.
BEATS = 3
#: Visibility timeouts that the other consumer's first work lasts: it is free when the long work's message, unless it is
#: extended, is visible again.
SHORTER_WORK = 1.15
#: Heartbeats of the third consumer that the table does not hear of: the last is after its message is visible again.
UNHEARD = 5
#: Visibility timeouts until the table hears that its work is complete.
CUT_OFF = 2.25


@dataclass(frozen=True, slots=True)
class HeartbeatParameters(Parameters):
    """What a user may change.

    Attributes:
        work: visibility timeouts that the long work lasts.
    """

    work: float = parameter(1.8, "visibility timeouts that the long work lasts", min=1.5, max=4)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = HeartbeatParameters.of(lab)
    timeout = lab.queue.visibility_timeout
    beat = timeout / BEATS

    long, shorter = (
        lab.start_consumer(
            name,
            faults=[Fault("delay", "PerformSideEffect", seconds=work * timeout)],
            heartbeat_seconds=beat,
            max_messages=1,
        )
        for name, work in (("long", parameters.work), ("shorter", SHORTER_WORK))
    )
    unheard = [Fault("error", "RenewClaim", nth=number) for number in range(1, UNHEARD + 1)]
    cut_off = lab.start_consumer(
        "cut-off",
        faults=[*unheard, Fault("delay", "Complete", seconds=CUT_OFF * timeout)],
        heartbeat_seconds=beat,
        max_messages=1,
    )
    lab.wait_for(has_started(long, shorter, cut_off), deadline=20, what="the consumers to be ready")
    lab.produce()
    lab.settle(deadline=30 + parameters.work * timeout + 0.1 * parameters.count)
    lab.stop(long, shorter, cut_off)


SCENARIO = Scenario(
    name="heartbeat",
    summary="work outlasts the visibility timeout; a heartbeat extends it until the work is done",
    theme="Work that takes long",
    pattern="extend visibility and claim while at work",
    pace="fast",
    seconds=5,
    run=run,
    invariants=STANDARD,
    witnesses=(WORK_OUTLASTED_TIMEOUT, WORK_EXCEEDED_TIMEOUT, LOST_LEASE),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.heartbeat.naive:WithoutHeartbeat",
        without="a heartbeat",
        violation="duplicated-side-effect",
    ),
    defaults=HeartbeatParameters(count=4, batch_size=1),
    # One for each consumer.
    least=Parameters(count=3, batch_size=1),
    # One message at a time, so that the long work is known to be one message's.
    max_batch_size=1,
    # No duplicates of the queue's own: whatever comes twice here, comes because the work took too long.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    relies_on=dict.fromkeys((DUPLICATED_SIDE_EFFECT.name, WRONGLY_DEAD_LETTERED.name), Pattern.HEARTBEAT),
)
