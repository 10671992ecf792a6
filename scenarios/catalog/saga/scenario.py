"""A saga: the last step is refused, the coordinator dies while it undoes the others, and nothing is undone twice.

An order is reserved, charged and shipped, each by a system that knows nothing of the others; no transaction spans the
three. For some orders the carrier refuses, so the charge is refunded and the goods are released, in that order. In the
middle of this, between refund and release, the coordinator dies by SIGKILL. The order's message comes again. Another
order is refused halfway, by the payment provider: what was done of it is undone, and nothing else.

    reserve ─▶ charge ─▶ ship: refused ─▶ refund ─▶ ✗
                                          refund: it is there ─▶ release ─▶ done       (another coordinator)
    reserve ─▶ charge: refused ─▶ release ─▶ done

Each step and each compensation has a key of its own in the ledger. The next coordinator asks for them one by one: what
was undone stays so. The carrier has changed its mind by then and would take the order. No coordinator asks it, for with
the first compensation the order was given up.

The naive twin undoes without asking, and refunds twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.saga.checks import (
    CRASHED_COMPENSATING,
    PARTIAL_SAGA,
    REFUSED_HALFWAY,
    SAGA_COMPENSATED,
    UNDONE_BEFORE_DONE,
    UNDONE_OUT_OF_ORDER,
    WENT_THROUGH,
)
from scenarios.checks.invariants import (
    DUPLICATED_SIDE_EFFECT,
    ENDPOINT_MISMATCH,
    IN_FLIGHT_AT_THE_END,
    WRONGLY_DEAD_LETTERED,
)
from scenarios.lab import Lab, has_died
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.consumer.saga import REFUSED, STEPS, key_of_step
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class SagaParameters(Parameters):
    """What a user may change.

    Attributes:
        refused: orders that are refused: one by the payment provider, the others by the carrier.
    """

    refused: int = parameter(2, "orders that are refused, one of them by the payment provider", min=2, max=3)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = SagaParameters.of(lab)
    orders = [order.key for order in lab.produce()[: parameters.refused]]
    by_the_carrier, by_the_provider, *others = orders
    at_the_end = [_refusal(order, "ship") for order in others]
    halfway = _refusal(by_the_provider, "charge")

    # It dies after its first compensation, whichever that is.
    dies = [
        Fault("crash", "PerformSideEffect", "after", where={"key": key_of_step(by_the_carrier, step.undo)})
        for step in STEPS
        if step.undo
    ]
    faults = [_refusal(by_the_carrier, "ship"), halfway, *at_the_end, *dies]
    doomed = lab.start_consumer("dies-going-back", faults=faults, max_messages=1)
    lab.wait_for(has_died(doomed), deadline=30 + 0.1 * parameters.count, what="the doomed coordinator to die")

    # The carrier would take the order now that its coordinator has died over.
    rescuer = lab.start_consumer("rescuer", faults=[halfway, *at_the_end], max_messages=parameters.batch_size)
    lab.settle(deadline=30 + 0.1 * parameters.count)
    lab.stop(rescuer)


def _refusal(order: str, step: str) -> Fault:
    """Return that a participant refuses an order, however often it is asked."""
    return Fault("error", "PerformSideEffect", nth=0, where={"key": key_of_step(order, step)}, code=REFUSED)


SCENARIO = Scenario(
    name="saga",
    summary="a step is refused; the earlier steps are undone once, in reverse, although the coordinator dies",
    theme="Several systems, no transaction",
    pattern="saga with compensations",
    pace="fast",
    seconds=2,
    run=run,
    invariants=(
        PARTIAL_SAGA,
        DUPLICATED_SIDE_EFFECT,
        UNDONE_BEFORE_DONE,
        UNDONE_OUT_OF_ORDER,
        WRONGLY_DEAD_LETTERED,
        IN_FLIGHT_AT_THE_END,
        ENDPOINT_MISMATCH,
    ),
    witnesses=(WENT_THROUGH, SAGA_COMPENSATED, REFUSED_HALFWAY, CRASHED_COMPENSATING),
    consumer="services.consumer.saga:SagaConsumer",
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.saga.naive:CompensatesBlindly",
        without="asking whether a step is undone already",
        violation="duplicated-side-effect",
    ),
    defaults=SagaParameters(count=8, batch_size=10),
    # One more than may be refused at most.
    least=Parameters(count=4, batch_size=1),
    # No duplicates of the queue's own: whatever is undone twice here, is so because a coordinator died.
    delivery=DeliveryRates(duplicate=0.0),
)
