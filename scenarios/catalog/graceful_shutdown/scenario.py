"""Graceful shutdown: a deployment costs no message a visibility timeout.

A consumer has received a batch and has done a part of it when SIGTERM comes, in the middle of the next message. It
finishes that message, makes the rest visible at once, without having begun it, and deletes what it has done. SIGTERM
comes again meanwhile: that must not hurry it. Another consumer is there, and receives the rest long before the
visibility timeout could have ended. When the queue is empty it is asked to end in the middle of a long poll. It waits
for the poll's answer (closing the connection could strand a message that is on its way) and ends. Both end with exit
code 0.

The naive twin goes when it is told to. Nothing is lost, since the queue hands it all out again; but everything that it
held stands still for a whole visibility timeout, at every deployment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.catalog.graceful_shutdown.checks import (
    ABANDONED,
    ASKED_TO_END_AT_WORK,
    ASKED_TWICE,
    BEGUN_AFTER_SIGTERM,
    ENDED_IN_A_LONG_POLL,
    FINISHED_IN_HAND,
    RELEASED_EARLY,
)
from scenarios.checks.invariants import STANDARD
from scenarios.history import History
from scenarios.lab import ConsumerHandle, Lab, has_ended, in_a_long_poll, is_it
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: By how much a lease exceeds the work that it is for, as a part of the visibility timeout: clocks differ.
LEASE_MARGIN = 0.1
#: Seconds that giving back takes: so long is there time for the second signal.
GIVING_BACK = 1.0


@dataclass(frozen=True, slots=True)
class ShutdownParameters(Parameters):
    """What a user may change.

    Attributes:
        work: seconds that each message of the batch takes.
    """

    work: float = parameter(0.5, "seconds that each message of the batch takes", min=0.2, max=2)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = ShutdownParameters.of(lab)
    lab.produce()
    slow = Fault("delay", "PerformSideEffect", nth=0, seconds=parameters.work)
    slow_release = Fault("delay", "ChangeVisibility", seconds=GIVING_BACK)
    leaving = lab.start_consumer(
        "leaving",
        faults=[slow, slow_release],
        max_messages=parameters.batch_size,
        min_lease_seconds=parameters.work + LEASE_MARGIN * lab.queue.visibility_timeout,
    )
    lab.wait_for(in_the_middle_of_a_batch(leaving), deadline=30, what="a consumer to be in the middle of its batch")

    lab.ask_to_end(leaving)
    staying = lab.start_consumer("staying", max_messages=parameters.batch_size)
    # Not before: two signals that come at once are one.
    lab.wait_for(gives_back(leaving), deadline=30, what="it to give back what it has not begun")
    lab.stop(leaving)

    lab.settle(deadline=30 + lab.queue.visibility_timeout + 0.1 * parameters.count)
    lab.wait_for(in_a_long_poll(staying), deadline=20, what="the other consumer to wait for messages")
    lab.stop(staying)


def in_the_middle_of_a_batch(consumer: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that a consumer has done a part of a batch, is at work, and has others to begin."""

    def condition(history: History) -> bool:
        receives = [call for call in history.calls("Receive") if is_it(call.process, consumer) and call.result]
        if not receives:
            return False
        batch = receives[-1]
        works = [
            effect.call
            for effect in history.effects
            if effect.process == batch.process and effect.call.started > batch.ended
        ]
        return bool(works) and works[-1].outcome is None and 1 < len(works) < len(batch.result)

    return condition


def gives_back(consumer: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that a consumer is giving messages back, or has ended without."""
    ended = has_ended(consumer)
    return lambda history: (
        ended(history) or any(is_it(call.process, consumer) for call in history.calls("ChangeVisibility"))
    )


SCENARIO = Scenario(
    name="graceful-shutdown",
    summary="SIGTERM amid a batch: the consumer finishes the message in hand and returns the others at once",
    theme="A process dies or shuts down",
    pattern="finish, release, exit",
    pace="fast",
    seconds=4,
    run=run,
    invariants=(*STANDARD, ABANDONED, BEGUN_AFTER_SIGTERM),
    witnesses=(ASKED_TO_END_AT_WORK, FINISHED_IN_HAND, ASKED_TWICE, RELEASED_EARLY, ENDED_IN_A_LONG_POLL),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.graceful_shutdown.naive:DropsWhatItHolds",
        without="giving back what it holds",
        violation="abandoned-at-shutdown",
    ),
    defaults=ShutdownParameters(count=10, batch_size=10),
    # One done, one in hand, one to give back.
    least=Parameters(count=3, batch_size=3),
    # In order, filled up and once: the first receive brings a whole batch, and whatever comes again was given back.
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
    any_program=True,
    gives_back=True,
)
