"""Broken consumers of Python's standard library alone; each has one bug that is common, and hard to see in a review.

    python broken.py --swallow      catches whatever its side effect raises, and deletes the message all the same
    python broken.py --whole-batch  deletes all that it has received, also what failed
    python broken.py --short-lease  claims for less time than its work takes
    python broken.py --collide      keeps its books under a key that two messages share

docs/your-own-consumer.md has the lab's contract.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

ENV = os.environ
BUG = sys.argv[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url, data=None, **headers):
    with opener.open(urllib.request.Request(url, data, headers), timeout=60) as answer:  # noqa: S310 - told by the lab
        return json.loads(answer.read() or b"{}")


def aws(target, **document):
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    return ask(ENV["AWS_ENDPOINT_URL"], json.dumps(document).encode(), **headers)


def sqs(action, **more):
    return aws(f"AmazonSQS.{action}", QueueUrl=ENV["QUEUE_URL"], **more)


def claim(key, seconds):
    """Claim a key by one conditional write; return whether it is ours now, and whether it was done before."""
    table = {"TableName": ENV["MESSAGE_STATUS_TABLE"], "Key": {"message_id": {"S": key}}}
    try:
        aws(
            "DynamoDB_20120810.UpdateItem",
            **table,
            ConditionExpression="attribute_not_exists(message_id) OR (done = :no AND lease <= :now)",
            UpdateExpression="SET done = :no, lease = :lease",
            ExpressionAttributeValues={
                ":no": {"BOOL": False},
                ":now": {"N": str(time.time())},
                ":lease": {"N": str(time.time() + seconds)},
            },
        )
    except urllib.error.HTTPError as error:
        with error:
            if "ConditionalCheckFailed" not in error.read().decode():
                raise
        found = aws("DynamoDB_20120810.GetItem", **table, ConsistentRead=True)
        return False, found["Item"]["done"]["BOOL"]
    return True, False


def complete(key):
    aws(
        "DynamoDB_20120810.UpdateItem",
        TableName=ENV["MESSAGE_STATUS_TABLE"],
        Key={"message_id": {"S": key}},
        UpdateExpression="SET done = :yes",
        ExpressionAttributeValues={":yes": {"BOOL": True}},
    )


def perform(key):
    if not ask(ENV["SIDE_EFFECT_URL"] + key)["executions"]:
        ask(ENV["SIDE_EFFECT_URL"] + key, b"")


def handle(message):
    """Return whether a message is done with."""
    payload = json.loads(message["Body"])
    key = str(payload["id"])
    books = f"order-{payload['sequence'] // 2}" if BUG == "--collide" else key
    ours, done = claim(books, 0.005 if BUG == "--short-lease" else 1.8)
    if not ours:
        return done
    try:
        perform(key)
    except OSError:
        if BUG != "--swallow":
            raise
    complete(books)
    return True


def main():
    while True:
        batch = sqs("ReceiveMessage", MaxNumberOfMessages=int(ENV["MAX_MESSAGES"]), WaitTimeSeconds=1)
        for message in batch.get("Messages") or ():
            try:
                done = handle(message)
            except OSError:
                done = BUG == "--whole-batch"
            if done:
                sqs("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main()
