"""Timeouts: Lambda kills the function between a side effect and its bookkeeping, and the record stays in progress.

    claim ─▶ side effect ─▶ (no answer for long) ✗ SIGKILL at the function's timeout      complete ─▶ delete

The payment is made, and its confirmation takes longer than the function may live. Nothing of the function runs at its
end: the record in progress stays as it is. The message comes again when its visibility timeout is over. The retry must
not be refused for ever by the record, and must not pay a second time either. The claim holds until the deadline and no
longer, and whoever claims a key that was claimed before asks the external system first.

The naive twin takes the expired record for work that was not done, and pays twice.
"""

from __future__ import annotations

from scenarios.catalog.lambda_timeout.checks import KILLED_AFTER_EFFECT
from scenarios.checks.function_witnesses import FUNCTION_FAULTS
from scenarios.checks.functions import FUNCTION_SPEED, FunctionStage
from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: The function's timeout in seconds, well below the queue's visibility timeout.
TIMEOUT = 1
#: Seconds for which the external system's answer to the first side effect is on its way.
SILENCE = 5.0


def run(lab: Lab) -> None:
    """Stage the scenario."""
    lab.produce()

    no_answer = Fault("delay", "PerformSideEffect", "during", seconds=SILENCE)
    consumer = lab.start_consumer(faults=[no_answer], max_messages=lab.parameters.batch_size)
    lab.settle(deadline=30 + 2 * lab.queue.visibility_timeout + 0.1 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="lambda-timeout",
    summary="Lambda kills the function after a side effect and before its bookkeeping; the retry does not repeat it",
    theme="Lambda",
    pattern="a claim that ends with the deadline, and a look into the ledger",
    pace="fast",
    speed=FUNCTION_SPEED,
    seconds=5,
    run=run,
    invariants=STANDARD,
    # The campaigns of this scenario meet every fault of a function.
    witnesses=(KILLED_AFTER_EFFECT, *FUNCTION_FAULTS),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.lambda_timeout.naive:AsksNothing",
        without="a look into the ledger after a claim that has expired",
        violation="duplicated-side-effect",
    ),
    consumer="services.consumer.lambda_handler:LambdaConsumer",
    function=FunctionStage(
        staged={"maximum_concurrency": 2, "function_timeout": TIMEOUT}, pattern={"report_batch_item_failures": True}
    ),
    defaults=Parameters(count=4, batch_size=1),
    # No duplicates of the queue's own: whatever comes twice here, comes because the function was killed.
    delivery=DeliveryRates(duplicate=0.0),
    judged_on="embedded endpoint",
    any_handler=True,
)
