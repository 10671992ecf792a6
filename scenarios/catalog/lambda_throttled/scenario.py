"""Throttles: the mapping receives more than the function may run, and messages are dead-lettered that never ran.

The function has a reserved concurrency of two, and other functions take even that for a moment. A batch that cannot be
invoked stays in the mapping's hand and is tried again until its visibility timeout is over. Then the message comes by
another receive. With ``MaximumConcurrency`` no higher than the reserved concurrency the mapping holds no more batches
than can run, so the moment costs a message one receive at most.

The naive twin leaves ``MaximumConcurrency`` out. The mapping begins with five batches and adds more. Those that wait in
vain lose a receive with each visibility timeout, and the queue dead-letters messages that no invocation ever saw.
"""

from __future__ import annotations

from scenarios.catalog.lambda_throttled.checks import THROTTLED_AND_DONE
from scenarios.checks.functions import FUNCTION_SPEED, FunctionStage
from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: Invocations at once that the function may have.
RESERVED = 2
#: Seconds that each message takes.
WORK = 0.3
#: Seconds for which other functions take all of the account's concurrency.
SHORTAGE = 0.5


def run(lab: Lab) -> None:
    """Stage the scenario."""
    lab.produce()

    takes_a_moment = Fault("delay", "PerformSideEffect", nth=0, seconds=WORK)
    shortage = Fault("throttle", "InvokeFunction", nth=3, seconds=SHORTAGE)
    consumer = lab.start_consumer(faults=[takes_a_moment, shortage], max_messages=lab.parameters.batch_size)
    lab.settle(deadline=30 + (WORK + 0.1) * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="lambda-throttled",
    summary="a mapping receives more than its function may run; messages must not be dead-lettered that never ran",
    theme="Lambda",
    pattern="MaximumConcurrency within the reserved concurrency",
    pace="fast",
    speed=FUNCTION_SPEED,
    seconds=5,
    run=run,
    invariants=STANDARD,
    witnesses=(THROTTLED_AND_DONE,),
    naive_twin=NaiveTwin(
        consumer="",
        without="MaximumConcurrency",
        violation="wrongly-dead-lettered",
        function={"maximum_concurrency": None},
    ),
    consumer="services.consumer.lambda_handler:LambdaConsumer",
    function=FunctionStage(
        staged={"reserved_concurrency": RESERVED},
        pattern={"report_batch_item_failures": True, "maximum_concurrency": RESERVED},
    ),
    defaults=Parameters(count=24, batch_size=1),
    max_batch_size=1,
    # No duplicates of the queue's own: whatever comes twice here, comes because it waited in vain.
    delivery=DeliveryRates(duplicate=0.0),
    judged_on="embedded endpoint",
    any_handler=True,
)
