"""Poison messages: what can never be done goes to the dead-letter queue, and everything else is done.

Every third message is marked as poison. The consumer rejects it: it does not delete it, so it comes again when its
visibility timeout is over. After max-receive-count receives the queue moves it to the dead-letter queue, where
an operator can look at it. The good messages around it are done and deleted meanwhile.

The naive twin rejects by deleting. The queue is clean, and the messages are gone for good.
"""

from __future__ import annotations

from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import DEAD_LETTERED_EXACTLY
from scenarios.lab import Lab
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters

POISON_EVERY = 3
#: How the producer marks a message as poison.
MARKER = '"poison": true'


def run(lab: Lab) -> None:
    """Stage the scenario."""
    consumer = lab.start_consumer(reject_payload_marker=MARKER, max_messages=lab.parameters.batch_size)
    lab.produce(poison_every=POISON_EVERY)

    rounds = lab.queue.max_receive_count + 1
    lab.settle(deadline=30 + rounds * lab.queue.visibility_timeout + 0.1 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="poison",
    summary="messages that can never be done go to the dead-letter queue; all others are done",
    theme="Work that fails",
    pattern="dead-letter queue",
    pace="fast",
    run=run,
    invariants=STANDARD,
    witnesses=(DEAD_LETTERED_EXACTLY,),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.poison.naive:DeletesRejected",
        without="leaving rejected messages to the redrive policy",
        violation="poison-acknowledged",
    ),
    defaults=Parameters(count=12, batch_size=1),
    least=Parameters(count=POISON_EVERY, batch_size=1),
    any_program=True,
    any_handler=True,
    any_effect=True,
)
