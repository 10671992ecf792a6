"""Graceful shutdown: a deployment costs no message a visibility timeout.

A consumer has received a batch and is at work on its second message when SIGTERM comes, and comes again: that must not
hurry it. It finishes that message, deletes what it has done, and makes the rest visible at once, without having begun
it. Another consumer is there. It receives the rest long before the visibility timeout could have ended. When the queue
is empty it is asked to end in the middle of a long poll. It waits for the poll's answer (closing the connection could
strand a message that is on its way) and ends. Both end with exit code 0.

The naive twin goes when it is told to. Nothing is lost, since the queue hands it all out again; but everything that it
held stands still for a whole visibility timeout, at every deployment.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.invariants import STANDARD
from scenarios.labs.base import Lab, in_a_long_poll, struck
from scenarios.model import DeliveryRates, NaiveTwin, Parameters, Scenario, knob
from scenarios.shutdown import ABANDONED, ENDED_IN_A_LONG_POLL, FINISHED_IN_HAND, RELEASED_EARLY
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class ShutdownParameters(Parameters):
    """What a user may change.

    Attributes:
        work: seconds that the message takes during which the signal comes.
    """

    work: float = knob(0.5, "seconds of work during which the signal comes", least=0.2, most=3)


def run(lab: Lab) -> None:
    """Tell the story."""
    parameters = ShutdownParameters.of(lab)
    lab.produce()
    slow_second = Fault("delay", "PerformSideEffect", nth=2, seconds=parameters.work)
    leaving = lab.start_consumer("leaving", faults=[slow_second], max_messages=parameters.batch_size)
    lab.wait_for(struck(leaving), deadline=30, what="a consumer to be in the middle of its batch")

    staying = lab.start_consumer("staying", max_messages=parameters.batch_size)
    lab.stop(leaving, leaving)

    lab.settle(deadline=30 + lab.queue.visibility_timeout + 0.1 * parameters.count)
    lab.wait_for(in_a_long_poll(staying), deadline=20, what="the other consumer to wait for messages")
    lab.stop(staying)


SCENARIO = Scenario(
    name="graceful-shutdown",
    summary="SIGTERM in the middle of a batch: what is in hand is finished, the rest is visible again at once",
    pace="fast",
    run=run,
    invariants=(*STANDARD, ABANDONED),
    witnesses=(FINISHED_IN_HAND, RELEASED_EARLY, ENDED_IN_A_LONG_POLL),
    naive_twin=NaiveTwin(
        consumer="services.consumer.naive:DropsWhatItHolds",
        without="giving back what it holds",
        violation="abandoned-at-shutdown",
    ),
    defaults=ShutdownParameters(count=10, batch_size=10),
    # One done, one in hand, one to give back.
    least=Parameters(count=3, batch_size=3),
    # In order, filled up and once: the first receive brings a whole batch, and whatever comes again was given back.
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
)
