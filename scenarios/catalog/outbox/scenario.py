"""The outbox: orders are committed, producers and relays die on the way to the queue, and every order is sent.

A shop takes orders. Each changes its own database and has to be told to others through the queue, and no transaction
spans the two. So the message is written into an outbox, in the transaction that writes the order, and a relay sends
what it finds there. The shop dies by SIGKILL right after its last commit. A relay takes over and dies before it has
sent anything. The next one sends, and dies before it can mark what it sent. The last one sends all of it again.

    commit order and message ─▶ ✗ shop    read ─▶ ✗ send    read ─▶ send ─▶ ✗ mark    read ─▶ send ─▶ mark

What arrives twice has the order's key, and the consumer does it once. In the end every order that is committed was
told, and nothing was told that was not committed.

The naive twin writes to its database, then to the queue. What it committed when it died is never sent.
"""

from __future__ import annotations

from scenarios.catalog.outbox.checks import (
    CHANGE_WITHOUT_MESSAGE,
    DIED_BEFORE_SENDING,
    LEFT_IN_THE_OUTBOX,
    MESSAGE_WITHOUT_CHANGE,
    SENT_TWICE,
)
from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: The relays that die, and where. A relay is a shop that takes no orders.
DOOMED = (
    ("relay-dies-before-send", Fault("crash", "Send", "before")),
    ("relay-dies-before-mark", Fault("crash", "MarkSent", "before")),
)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    consumer = lab.start_consumer(max_messages=lab.parameters.batch_size)
    dies = Fault("crash", "CommitChange", "after", nth=lab.parameters.count)
    shop = lab.start_producer("shop", faults=[dies])
    lab.wait_for(has_ended(shop), deadline=30, what="the shop to die")

    for name, fault in DOOMED:
        relay = lab.start_producer(name, faults=[fault], count=0)
        lab.wait_for(has_ended(relay), deadline=30, what="a relay to die")

    lab.produce()
    lab.settle(deadline=30 + 0.2 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="outbox",
    summary="a change and its message are committed together; shop and relays die, and every message is sent",
    theme="Several systems, no transaction",
    pattern="outbox and relay",
    pace="fast",
    seconds=2,
    run=run,
    invariants=(*STANDARD, CHANGE_WITHOUT_MESSAGE, MESSAGE_WITHOUT_CHANGE),
    witnesses=(LEFT_IN_THE_OUTBOX, DIED_BEFORE_SENDING, SENT_TWICE),
    producer="services.producer.outbox:OutboxProducer",
    naive_twin=NaiveTwin(
        consumer="",
        without="one transaction for the change and its message",
        violation="change-without-message",
        producer="scenarios.catalog.outbox.naive:DualWrite",
    ),
    defaults=Parameters(count=6, batch_size=10),
    # No duplicates of the queue's own: whatever comes twice here, was sent twice.
    delivery=DeliveryRates(duplicate=0.0),
)
