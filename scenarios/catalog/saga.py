"""A saga: the last step is refused, the coordinator dies while it undoes the others, and nothing is undone twice.

An order is reserved, charged and shipped, each by a system that knows nothing of the others; no transaction spans the
three. For some orders the carrier refuses, so the charge is refunded and the goods are released, in that order. In the
middle of this, between refund and release, the coordinator dies by SIGKILL. The order's message comes again.

    reserve ─▶ charge ─▶ ship: refused ─▶ refund ─▶ ✗
                                          refund: it is there ─▶ release ─▶ done       (another coordinator)

Each step and each compensation has a key of its own in the ledger. The next coordinator asks for them one by one: what
was undone stays so, and the carrier is not asked again, for with the first compensation the order was given up.

The naive twin undoes without asking, and refunds twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.invariants import DUPLICATED_SIDE_EFFECT, ENDPOINT_AGREES, IN_FLIGHT_AT_THE_END, WRONGLY_DEAD_LETTERED
from scenarios.labs.base import Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Parameters, Scenario, knob
from scenarios.sagas import DIED_GOING_BACK, HALF_DONE, UNDONE_OUT_OF_ORDER, WENT_BACK, WENT_THROUGH
from services.consumer.saga import REFUSED, key_of_step
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class SagaParameters(Parameters):
    """What a user may change.

    Attributes:
        refused: orders that the carrier refuses.
    """

    refused: int = knob(2, "orders that the carrier refuses", least=1, most=3)


def run(lab: Lab) -> None:
    """Tell the story."""
    parameters = SagaParameters.of(lab)
    refused = [order.key for order in lab.produce()[: parameters.refused]]
    refusals = [
        Fault("error", "PerformSideEffect", nth=0, where={"key": key_of_step(order, "ship")}, code=REFUSED)
        for order in refused
    ]

    dies = Fault("crash", "PerformSideEffect", "after", where={"key": key_of_step(refused[0], "refund")})
    doomed = lab.start_consumer("dies-going-back", faults=[*refusals, dies], max_messages=1)
    # Whatever else befalls it may keep it from dying there; then it does everything by itself.
    died = has_ended(doomed)
    lab.wait_for(
        lambda history: died(history) or not history.unsettled,
        deadline=30 + 0.1 * parameters.count,
        what="the doomed coordinator to die",
    )

    rescuer = lab.start_consumer("rescuer", faults=refusals, max_messages=parameters.batch_size)
    lab.settle(deadline=30 + 0.1 * parameters.count)
    lab.stop(rescuer)


SCENARIO = Scenario(
    name="saga",
    summary="a step is refused and the others are undone, once and in reverse, although the coordinator dies meanwhile",
    pace="fast",
    seconds=2,
    run=run,
    invariants=(
        HALF_DONE,
        DUPLICATED_SIDE_EFFECT,
        UNDONE_OUT_OF_ORDER,
        WRONGLY_DEAD_LETTERED,
        IN_FLIGHT_AT_THE_END,
        ENDPOINT_AGREES,
    ),
    witnesses=(WENT_THROUGH, WENT_BACK, DIED_GOING_BACK),
    consumer="services.consumer.saga:Saga",
    naive_twin=NaiveTwin(
        consumer="services.consumer.saga:CompensatesBlindly",
        without="asking whether a step is undone already",
        violation="duplicated-side-effect",
    ),
    defaults=SagaParameters(count=8, batch_size=10),
    # One more than the carrier may refuse at most.
    least=Parameters(count=4, batch_size=1),
    # No duplicates of the queue's own: whatever is undone twice here, is so because a coordinator died.
    delivery=DeliveryRates(duplicate=0.0),
)
