"""Small programs for the tests of lockstep, each written to a file when it is needed."""

import shlex
import sys
import textwrap

#: What all of them begin with: a call of AWS's JSON protocols by the standard library.
_BEGINNING = """
import json, os, signal, sys, threading, time, urllib.error, urllib.request
ENV = os.environ
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def ask(url, data=None, **headers):
    with opener.open(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return json.loads(answer.read() or b"{}")
def aws(target, **document):
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    return ask(ENV["AWS_ENDPOINT_URL"], json.dumps(document).encode(), **headers)
def sqs(action, **more):
    return aws("AmazonSQS." + action, QueueUrl=ENV["QUEUE_URL"], **more)
def receive(wait=1):
    return sqs("ReceiveMessage", MaxNumberOfMessages=10, WaitTimeSeconds=wait).get("Messages", [])
def key_of(message):
    return json.loads(message["Body"])["id"]
def perform(key):
    ask(ENV["SIDE_EFFECT_URL"] + key, b"")
def was_done(key):
    return ask(ENV["SIDE_EFFECT_URL"] + key)["executions"] > 0
def delete(message):
    sqs("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
"""


def written(directory, body, name="program.py"):
    """Write a program, and return the command line that starts it."""
    path = directory / name
    path.write_text(_BEGINNING + textwrap.dedent(body))
    return shlex.join([sys.executable, str(path)])


#: Asks the ledger, performs, deletes: correct where one consumer holds a message at a time.
LOOKS = """
while True:
    for message in receive():
        if not was_done(key_of(message)):
            perform(key_of(message))
        delete(message)
"""

#: Writes each version on the condition that what it read is still there. ``AS`` is what it takes a version for.
COMPARES_VERSIONS = """
def is_written(entity, version):
    key = {"message_id": {"S": "state/" + entity}}
    table = ENV["MESSAGE_SIDE_EFFECTS_TABLE"]
    there = aws("DynamoDB_20120810.GetItem", TableName=table, Key=key, ConsistentRead=True).get("Item")
    old = there and there["version"]["N"]
    if old is not None and AS(old) >= AS(version):
        return True
    asks = {"ConditionExpression": "attribute_not_exists(message_id)"}
    if old is not None:
        asks = {"ConditionExpression": "version = :o", "ExpressionAttributeValues": {":o": {"N": old}}}
    try:
        item = {**key, "version": {"N": version}}
        aws("DynamoDB_20120810.PutItem", TableName=table, Item=item, **asks)
    except urllib.error.HTTPError:
        return False
    return True
while True:
    for message in receive():
        update = json.loads(message["Body"])
        if is_written(update["entity"], str(update["version"])):
            delete(message)
"""
