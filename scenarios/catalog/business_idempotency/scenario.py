"""Business idempotency: a customer clicks twice, and the order is paid once.

To the queue these are different messages: each has a MessageId and an id of its own, and no guard against redelivery
ever sees that they mean the same. Only the order's number tells. Two consumers wait; all messages for one order arrive
at once, then those for another. The consumer that receives the first message claims the order, not the message. The
others find it claimed while it is being paid, or paid, and cause nothing.

The naive twin knows a side effect by its message: each click is a payment.
"""

from __future__ import annotations

from scenarios.catalog.business_idempotency.checks import several_messages
from scenarios.checks.business import done_once, messages_by, none_left_out, nothing_else
from scenarios.checks.invariants import ENDPOINT_MISMATCH, IN_FLIGHT_AT_THE_END, WRONGLY_DEAD_LETTERED
from scenarios.checks.witnesses import CLAIM_CONTENTION
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.consumer.patterns import Pattern
from services.faults import Fault

#: The payload field that names the order.
FIELD = "order_id"
ORDERS = ("order-1", "order-2")
#: Seconds that the first payment of each consumer takes, so that the other one comes meanwhile.
PAYMENT = 0.5


def run(lab: Lab) -> None:
    """Stage the scenario."""
    takes_a_moment = Fault("delay", "PerformSideEffect", seconds=PAYMENT)
    consumers = [
        lab.start_consumer(
            faults=[takes_a_moment], business_idempotency_field=FIELD, max_messages=lab.parameters.batch_size
        )
        for _ in range(2)
    ]
    lab.wait_for(has_started(*consumers), deadline=20, what="both consumers to be ready")
    for order in ORDERS:
        lab.produce(fields={FIELD: order})

    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(*consumers)


SCENARIO = Scenario(
    name="business-idempotency",
    summary="several messages name one order, also in two consumers at once; the order is paid once",
    theme="The same work, twice",
    pattern="a business key",
    pace="fast",
    run=run,
    invariants=(
        none_left_out(FIELD),
        done_once(FIELD),
        nothing_else(FIELD),
        WRONGLY_DEAD_LETTERED,
        IN_FLIGHT_AT_THE_END,
        ENDPOINT_MISMATCH,
    ),
    witnesses=(several_messages(messages_by, FIELD), CLAIM_CONTENTION),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.business_idempotency.naive:KeyedByMessage",
        without="a key that names the order",
        violation="paid-twice",
    ),
    defaults=Parameters(count=6, batch_size=1),
    least=Parameters(count=2, batch_size=1),
    # No duplicates of the queue's own: whatever is paid twice here, is paid because it was ordered twice.
    delivery=DeliveryRates(duplicate=0.0, underfill=0.0),
    any_program=True,
    relies_on={"paid-twice": Pattern.BUSINESS_KEY},
    any_handler=True,
)
