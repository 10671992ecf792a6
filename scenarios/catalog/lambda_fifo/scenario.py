"""FIFO: one message of a batch fails; the rest of its group is returned with it, and nothing overtakes.

Three message groups share a FIFO queue, and one invocation gets messages of all of them. The second message of the
first group fails once. The handler does nothing more for that group: it names the failed message and all that come
after it in its group. The other groups go on. The named messages come again when the visibility timeout is over, in
their order.

The naive twin names the failed message alone and goes on with the rest of its group, which overtakes it.
"""

from __future__ import annotations

from dataclasses import replace

from scenarios.catalog.fifo_order.checks import GROUP_STOPPED_AND_RESUMED, OTHER_GROUPS_RAN_ON
from scenarios.catalog.fifo_order.scenario import GROUPS
from scenarios.checks.functions import FUNCTION_SPEED, FunctionStage
from scenarios.checks.invariants import FIFO
from scenarios.lab import Lab
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault


def run(lab: Lab) -> None:
    """Stage the scenario."""
    sent = lab.produce(groups=GROUPS)
    second_of_the_first_group = sent[GROUPS]
    unavailable = Fault("error", "PerformSideEffect", where={"key": second_of_the_first_group.key})

    consumer = lab.start_consumer(faults=[unavailable], max_messages=lab.parameters.batch_size)
    lab.settle(deadline=30 + 2 * lab.queue.visibility_timeout + 0.1 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="lambda-fifo",
    summary="one message of a FIFO batch fails; the handler returns the rest of its group as well, in their order",
    theme="Lambda",
    pattern="stop the group, return the rest",
    pace="fast",
    speed=FUNCTION_SPEED,
    seconds=5,
    run=run,
    invariants=FIFO,
    # What is a consumer's own pattern elsewhere is what this scenario asks of every handler.
    witnesses=(replace(GROUP_STOPPED_AND_RESUMED, pattern=None), replace(OTHER_GROUPS_RAN_ON, pattern=None)),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.lambda_fifo.naive:GoesOn",
        without="stopping a group at its first failure",
        violation="order-violated",
    ),
    consumer="services.consumer.lambda_handler:LambdaConsumer",
    function=FunctionStage(staged={"maximum_concurrency": 2}, pattern={"report_batch_item_failures": True}),
    defaults=Parameters(count=9, batch_size=6),
    # Three of the first group in one batch: one before the failure, the failure, and one for it to hold back.
    least=Parameters(count=3 * GROUPS, batch_size=3),
    judged_on="embedded endpoint",
    any_handler=True,
)
