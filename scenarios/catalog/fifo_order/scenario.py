"""FIFO ordering: within a message group nothing overtakes what failed, and other groups do not wait for it.

Three message groups are sent in turn. A consumer takes batches; the side effect of the second message of the first
group fails once, because the outside is unavailable. The consumer stops that group: the rest of it in the same batch
goes back to the queue untouched. It goes on with the other groups, and a second consumer joins it. When the visibility
timeout of the failed message is over, the queue hands it out again, and the group goes on from there.

The naive twin treats the batch as a bag: it goes on with the group, and the failed message is done last.
"""

from __future__ import annotations

from scenarios.catalog.fifo_order.checks import GROUP_STOPPED_AND_RESUMED, OTHER_GROUPS_RAN_ON
from scenarios.checks.invariants import FIFO
from scenarios.checks.witnesses import FAILED_IN_A_GROUP
from scenarios.lab import Lab, struck
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

GROUPS = 3


def run(lab: Lab) -> None:
    """Stage the scenario."""
    sent = lab.produce(groups=GROUPS)
    second_of_the_first_group = sent[GROUPS]
    unavailable = Fault("error", "PerformSideEffect", where={"key": second_of_the_first_group.key})

    first = lab.start_consumer("first", faults=[unavailable], max_messages=lab.parameters.batch_size)
    lab.wait_for(struck(first), deadline=20, what="a side effect to fail")
    second = lab.start_consumer("second", max_messages=lab.parameters.batch_size)

    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(first, second)


SCENARIO = Scenario(
    name="fifo-order",
    summary="a failed message stops its own message group and no other; each group keeps its order",
    theme="Order",
    pattern="stop the group, not the queue",
    pace="fast",
    seconds=2,
    run=run,
    invariants=FIFO,
    witnesses=(FAILED_IN_A_GROUP, GROUP_STOPPED_AND_RESUMED, OTHER_GROUPS_RAN_ON),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.fifo_order.naive:GoesOnAfterFailure",
        without="stopping a group at its first failure",
        violation="order-violated",
    ),
    defaults=Parameters(count=18, batch_size=10),
    # Three of the first group in one receive: one before the failure, the failure, and one for it to hold back.
    least=Parameters(count=3 * GROUPS, batch_size=3),
    any_program=True,
    any_handler=True,
)
