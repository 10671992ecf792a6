"""Handlers by Powertools for AWS Lambda (Python): its batch processor, with and without its idempotency.

careful             idempotent, registers Lambda's context, and asks the ledger where a record had expired
without_ledger      the same, and never asks the ledger
forgets_context     the same as careful, and never registers Lambda's context
without_idempotency the batch processor alone
silent              the batch processor, and its answer is not returned
"""

import json
import os
import urllib.request

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

FIFO = os.environ["QUEUE_URL"].endswith(".fifo")
MARKER = os.environ.get("REJECT_PAYLOAD_MARKER")
KEY_FIELD = os.environ.get("BUSINESS_IDEMPOTENCY_FIELD") or "id"

open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
store = DynamoDBPersistenceLayer(table_name=os.environ["MESSAGE_STATUS_TABLE"], key_attr="message_id")
config = IdempotencyConfig(event_key_jmespath=KEY_FIELD, raise_on_no_idempotency_key=True)


def side_effect(key, method):
    request = urllib.request.Request(os.environ["SIDE_EFFECT_URL"] + key, method=method)  # noqa: S310 - told by the lab
    with open_url(request, timeout=60) as answer:
        return json.load(answer)["executions"]


def pay(order):
    side_effect(str(order[KEY_FIELD]), "POST")
    return {"paid": True}


def look_and_pay(order):
    if side_effect(str(order[KEY_FIELD]), "GET"):
        return {"paid": True}
    return pay(order)


def once(function):
    return idempotent_function(function, data_keyword_argument="order", persistence_store=store, config=config)


pay_once, look_and_pay_once = once(pay), once(look_and_pay)


def each(event, context, act):
    def handle(record):
        if MARKER and MARKER in record.body:
            raise ValueError(f"message {record.message_id} is poison")
        return act(order=json.loads(record.body))

    processor = SqsFifoPartialProcessor(skip_group_on_error=True) if FIFO else BatchProcessor(EventType.SQS)
    # A batch of which everything failed is answered like any other.
    processor.raise_on_entire_batch_failure = False
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)


def careful(event, context):
    config.register_lambda_context(context)
    return each(event, context, look_and_pay_once)


def without_ledger(event, context):
    config.register_lambda_context(context)
    return each(event, context, pay_once)


def forgets_context(event, context):
    return each(event, context, look_and_pay_once)


def without_idempotency(event, context):
    return each(event, context, pay)


def silent(event, context):
    config.register_lambda_context(context)
    each(event, context, look_and_pay_once)
