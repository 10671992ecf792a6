"""Handlers for tests: each is written to a directory of its own, below what all of them share."""

SHARED = """
import asyncio, datetime, json, os, sys, threading, time, urllib.error, urllib.request
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LEDGER, STATUS = os.environ["MESSAGE_SIDE_EFFECTS_TABLE"], os.environ["MESSAGE_STATUS_TABLE"]
dynamodb = boto3.client("dynamodb")
once = boto3.client("dynamodb", config=Config(retries={"max_attempts": 0}))
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

def keys(event):
    return [json.loads(record["body"])["id"] for record in event["Records"]]

def was_done(key):
    return "Item" in dynamodb.get_item(TableName=LEDGER, Key={"message_id": {"S": key}}, ConsistentRead=True)

def perform(key, client=once):
    one = {":one": {"N": "1"}}
    key = {"message_id": {"S": key}}
    client.update_item(TableName=LEDGER, Key=key, UpdateExpression="ADD executions :one", ExpressionAttributeValues=one)

def look_and_perform(event, client=once):
    for key in keys(event):
        if not was_done(key):
            perform(key, client)
"""


def written(directory, text):
    """Write a handler's module; return the directory."""
    (directory / "app.py").write_text(SHARED + text)
    return directory
