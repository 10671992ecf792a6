"""Redrive: the dead-letter queue is emptied back into the queue, and each is paid once.

A release has two bugs. It refuses the payments of one account; those of the other it makes, and fails to write down
that it made them. Each message fails as often as it may and is dead-lettered: half of them unpaid, half of them paid.
The release is stopped, a fixed one is started, and StartMessageMoveTask moves everything back. A moved message has a
new MessageId; its payload is the same. The consumer knows a payment by the id in the payload. So it finds in the ledger
what was paid, pays the rest, and the dead-letter queue is empty.

The naive twin knows a payment by its MessageId. What was paid before the redrive is new to it, and is paid again.
"""

from __future__ import annotations

from scenarios.catalog.dlq_redrive.checks import (
    DONE_BEFORE_THE_REDRIVE,
    DONE_BY_THE_FIX,
    LEFT_IN_DEAD_LETTER_QUEUE,
    MOVED_BACK,
)
from scenarios.checks.business import done_once, none_left_out, nothing_else
from scenarios.checks.invariants import ENDPOINT_MISMATCH, IN_FLIGHT_AT_THE_END
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: The payload field by which a payment is known: the producer gave it, and no queue changes it.
FIELD = "id"
#: The producer pays to e0 and e1 in turn; the broken release refuses what contains this.
REFUSED = '"entity": "e1"'


def run(lab: Lab) -> None:
    """Stage the scenario."""
    batch_size = lab.parameters.batch_size
    lab.produce(entities=2)
    cannot_write_it_down = Fault("error", "Complete", nth=0, code="ValidationException")
    # A program's bookkeeping is its own affair. Its paid messages are dead-lettered because it cannot delete them.
    cannot_delete = Fault("error", "Delete", nth=0)
    broken = lab.start_consumer(
        "broken", faults=[cannot_write_it_down, cannot_delete], reject_payload_marker=REFUSED, max_messages=batch_size
    )
    rounds = lab.queue.max_receive_count + 1
    allowed = 30 + rounds * lab.queue.visibility_timeout + 0.2 * lab.parameters.count
    lab.settle(deadline=allowed, leave_dead_letters=True)
    lab.stop(broken)

    # One at a time: each message then has a whole visibility timeout of its own, on a busy machine too.
    fixed = lab.start_consumer("fixed", max_messages=1)
    lab.redrive(deadline=30 + 0.1 * lab.parameters.count)
    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(fixed)


SCENARIO = Scenario(
    name="dlq-redrive",
    summary="a bug dead-letters orders, some already paid; after the fix they are moved back, and each is paid once",
    theme="Work that fails",
    pattern="redrive after the fix, with a key that survives it",
    pace="fast",
    seconds=4.5,
    run=run,
    invariants=(
        none_left_out(FIELD),
        done_once(FIELD),
        nothing_else(FIELD),
        LEFT_IN_DEAD_LETTER_QUEUE,
        IN_FLIGHT_AT_THE_END,
        ENDPOINT_MISMATCH,
    ),
    witnesses=(MOVED_BACK, DONE_BEFORE_THE_REDRIVE, DONE_BY_THE_FIX),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.dlq_redrive.naive:KeyedByMessageId",
        without="a key that survives the redrive",
        violation="paid-twice",
    ),
    defaults=Parameters(count=8, batch_size=10),
    # One message for each account.
    least=Parameters(count=2, batch_size=1),
    # No duplicates of the queue's own: whatever is paid twice here, is paid because it came back.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    any_handler=True,
)
