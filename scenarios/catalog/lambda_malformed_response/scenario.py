"""Malformed responses: an answer that names failures by the wrong id, under the wrong key, or not as JSON.

The batches hold good messages and poison, as in ``lambda-partial-response``. The handler answers in the one form that
AWS reads: ``batchItemFailures`` is a list, and each ``itemIdentifier`` the messageId of a record of this very batch.
What deviates is read as complete failure, or as complete success, and no error says so:

    an id that is not in the batch, null, or empty       complete failure: the whole batch comes again
    text, a list, another key than itemIdentifier        complete failure
    another key than batchItemFailures                   complete success: the failed messages are deleted

The naive twin names the payload's own id. Its good messages are done, come again with the poison, and are dead-lettered
with it. Its other forms are in the room as well.
"""

from __future__ import annotations

from scenarios.catalog.lambda_partial_response.checks import NAMED_IN_THE_ANSWER
from scenarios.catalog.lambda_partial_response.scenario import run
from scenarios.catalog.poison.scenario import POISON_EVERY
from scenarios.checks.functions import FUNCTION_SPEED, FunctionStage
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import DEAD_LETTERED_EXACTLY
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters

SCENARIO = Scenario(
    name="lambda-malformed-response",
    summary="an answer names failures by a wrong id or key; AWS takes it for complete failure, or complete success",
    theme="Lambda",
    pattern="an answer of messageIds alone",
    pace="fast",
    speed=FUNCTION_SPEED,
    seconds=5,
    run=run,
    invariants=STANDARD,
    witnesses=(NAMED_IN_THE_ANSWER, DEAD_LETTERED_EXACTLY),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.lambda_malformed_response.naive:NamesThePayload",
        without="messageIds in its answer",
        violation="wrongly-dead-lettered",
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
