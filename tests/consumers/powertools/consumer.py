"""A consumer by aws-lambda-powertools: its batch processor and its idempotency, as in a Lambda function.

    python consumer.py          what Powertools remembers keeps a side effect from being caused again
    python consumer.py --look   and the external system's ledger is asked first

The loop below stands in for Lambda's poller: it hands batches to the handler, and deletes what is not among the batch's
item failures. docs/your-own-consumer.md has the lab's contract.
"""

import json
import os
import signal
import sys

import boto3
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
from botocore.config import Config
from botocore.exceptions import ClientError

QUEUE_URL = os.environ["QUEUE_URL"]
LEDGER = os.environ["MESSAGE_SIDE_EFFECTS_TABLE"]
MARKER = os.environ.get("REJECT_PAYLOAD_MARKER")
KEY_FIELD = os.environ.get("BUSINESS_IDEMPOTENCY_FIELD") or "id"
LOOKS = "--look" in sys.argv
FIFO = QUEUE_URL.endswith(".fifo")

sqs = boto3.client("sqs")
# A payment adds, so the SDK must not repeat one whose reply was lost: the message comes again, and the ledger is asked.
dynamodb = boto3.client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
store = DynamoDBPersistenceLayer(table_name=os.environ["MESSAGE_STATUS_TABLE"], key_attr="message_id")
config = IdempotencyConfig(event_key_jmespath=KEY_FIELD, raise_on_no_idempotency_key=True)
processor = SqsFifoPartialProcessor(skip_group_on_error=True) if FIFO else BatchProcessor(EventType.SQS)


class Context:
    """What of Lambda's context Powertools reads: until then, what is in progress belongs to this invocation."""

    def __init__(self, seconds):
        self.seconds = seconds

    def get_remaining_time_in_millis(self):
        return int(self.seconds * 1000)


@idempotent_function(data_keyword_argument="order", persistence_store=store, config=config)
def pay(order):
    key = {"message_id": {"S": str(order[KEY_FIELD])}}
    if LOOKS and "Item" in dynamodb.get_item(TableName=LEDGER, Key=key, ConsistentRead=True):
        return {"paid": True}
    dynamodb.update_item(
        TableName=LEDGER,
        Key=key,
        UpdateExpression="ADD executions :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    return {"paid": True}


def handle_record(record):
    if MARKER and MARKER in record.body:
        raise ValueError(f"message {record.message_id} is poison")
    return pay(order=json.loads(record.body))


def handler(event, context):
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=handle_record, processor=processor, context=context)


def main():
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    asked = sqs.get_queue_attributes(QueueUrl=QUEUE_URL, AttributeNames=["VisibilityTimeout"])
    timeout = float(os.environ.get("CLAIM_LEASE_SECONDS") or 0.9 * int(asked["Attributes"]["VisibilityTimeout"]))
    processor.raise_on_entire_batch_failure = False
    while not stopping:
        messages = sqs.receive_message(
            QueueUrl=QUEUE_URL,
            MaxNumberOfMessages=int(os.environ["MAX_MESSAGES"]),
            WaitTimeSeconds=int(os.environ["WAIT_TIME_SECONDS"]),
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            continue
        answer = handler({"Records": [as_record(message) for message in messages]}, Context(timeout))
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        done = [message for message in messages if message["MessageId"] not in failed]
        for message in done:
            try:
                sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
            except ClientError as error:
                # A FIFO queue takes no expired handle. The message comes again, and is known to be done.
                sys.stderr.write(f"{error}\n")


def as_record(message):
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-west-1:000000000000:" + QUEUE_URL.rpartition("/")[2],
        "awsRegion": os.environ["AWS_REGION"],
    }


if __name__ == "__main__":
    main()
