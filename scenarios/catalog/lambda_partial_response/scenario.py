"""Partial batch responses: one invocation has good and bad messages, and its answer tells them apart.

Every third message is poison. An event source mapping hands batches to a Lambda function and deletes what the function
has done. It knows that by the answer alone: the handler names the messages that failed, and they stay in the queue
until it dead-letters them. The others of the batch are deleted.

The naive twin answers nothing. The mapping takes that for complete success, and the poison is gone for good.
"""

from __future__ import annotations

from scenarios.catalog.lambda_partial_response.checks import NAMED_IN_THE_ANSWER
from scenarios.catalog.poison.scenario import MARKER, POISON_EVERY
from scenarios.checks.functions import FUNCTION_SPEED, FunctionStage
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import DEAD_LETTERED_EXACTLY
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters


def run(lab: Lab) -> None:
    """Stage the scenario."""
    lab.produce(poison_every=POISON_EVERY)

    consumer = lab.start_consumer(reject_payload_marker=MARKER, max_messages=lab.parameters.batch_size)
    rounds = lab.queue.max_receive_count + 1
    lab.settle(deadline=30 + rounds * lab.queue.visibility_timeout + 0.1 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="lambda-partial-response",
    summary="good and bad messages come in one invocation; its answer names the bad ones, and the others are deleted",
    theme="Lambda",
    pattern="a partial batch response",
    pace="fast",
    speed=FUNCTION_SPEED,
    seconds=5,
    run=run,
    invariants=STANDARD,
    witnesses=(NAMED_IN_THE_ANSWER, DEAD_LETTERED_EXACTLY),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.lambda_partial_response.naive:AnswersNothing",
        without="an answer that names what failed",
        violation="poison-acknowledged",
    ),
    consumer="services.consumer.lambda_handler:LambdaConsumer",
    function=FunctionStage(staged={"maximum_concurrency": 2}, pattern={"report_batch_item_failures": True}),
    defaults=Parameters(count=6, batch_size=6),
    least=Parameters(count=2 * POISON_EVERY, batch_size=POISON_EVERY),
    # In order and filled up: each batch holds both kinds.
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
    judged_on="embedded endpoint",
    any_handler=True,
)
