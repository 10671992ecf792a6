"""The walk: every SQS action through one client, each with a look at what it did."""

import base64
import json
import time

import pytest

from tests.clients.client import Refused

DEADLINE = 10
BLOB = base64.b64encode(b"\0\xff").decode()
NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}


def walk(call, prefix):
    """Perform all actions; return the names of those that did what they should, in their order.

    Args:
        call: performs an action, see ``Client.started``.
        prefix: begins the names of the queues.
    """
    steps = _Steps(call)
    dead, source = f"{prefix}-dead", f"{prefix}-source"
    dead_url = steps("CreateQueue", QueueName=dead)["queueurl"]
    dead_arn = _attributes(steps, dead_url)["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url = steps("CreateQueue", QueueName=source, Attributes={"RedrivePolicy": redrive}, tags={"a": "1"})["queueurl"]
    _look_at_the_queue(steps, prefix, source, url)
    _send_and_receive(steps, url)
    _batches(steps, url)
    _order(steps, prefix)
    _bring_dead_letters_back(steps, url, dead_url, dead_arn)
    steps("PurgeQueue", QueueUrl=url)
    assert "messages" not in _present(steps("ReceiveMessage", QueueUrl=url))
    steps("DeleteQueue", QueueUrl=url)
    with pytest.raises(Refused) as refused:
        call("GetQueueUrl", QueueName=source)
    assert refused.value.code in NO_QUEUE
    return steps.done


class _Steps:
    def __init__(self, call):
        self._call = call
        self.done = []

    def __call__(self, action, **parameters):
        output = self._call(action, **parameters)
        if action not in self.done:
            self.done.append(action)
        return output


def _look_at_the_queue(call, prefix, name, url):
    assert call("GetQueueUrl", QueueName=name)["queueurl"] == url
    assert url in call("ListQueues", QueueNamePrefix=prefix)["queueurls"]
    call("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    assert _attributes(call, url)["VisibilityTimeout"] == "0"
    call("TagQueue", QueueUrl=url, Tags={"b": "2 é"})
    call("UntagQueue", QueueUrl=url, TagKeys=["a"])
    assert call("ListQueueTags", QueueUrl=url)["tags"] == {"b": "2 é"}
    call("AddPermission", QueueUrl=url, Label="all", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    assert json.loads(_attributes(call, url)["Policy"])["Statement"][0]["Sid"] == "all"
    call("RemovePermission", QueueUrl=url, Label="all")
    assert "Policy" not in _attributes(call, url)


def _send_and_receive(call, url):
    body = "<a & b>\r\n é"
    attributes = {
        "text": {"DataType": "String", "StringValue": "ü"},
        "blob": {"DataType": "Binary", "BinaryValue": BLOB},
    }
    sent = call("SendMessage", QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    assert sent["md5ofmessagebody"]
    [message] = call(
        "ReceiveMessage", QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], VisibilityTimeout=30
    )["messages"]
    assert (message["Body"], message["MessageId"]) == (body, sent["messageid"])
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["MessageAttributes"]["text"]["StringValue"] == "ü"
    # The AWS CLI takes a blob as the bytes of its text.
    blobs = {BLOB, base64.b64encode(BLOB.encode()).decode()}
    assert message["MessageAttributes"]["blob"]["BinaryValue"] in blobs
    call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)
    call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert _attributes(call, url)["ApproximateNumberOfMessagesNotVisible"] == "0"


def _batches(call, url):
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(3)]
    answer = call("SendMessageBatch", QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["successful"]] == ["0", "1", "2"]
    messages = call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30)["messages"]
    handles = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(messages)]
    longer = [entry | {"VisibilityTimeout": 60} for entry in handles]
    changed = call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=longer)
    assert len(changed["successful"]) == 3
    deleted = call("DeleteMessageBatch", QueueUrl=url, Entries=[*handles, {"Id": "bad", "ReceiptHandle": "nonsense"}])
    assert len(deleted["successful"]) == 3
    assert [entry["Code"] for entry in deleted["failed"]] == ["ReceiptHandleIsInvalid"]


def _order(call, prefix):
    """A FIFO queue gives a group's messages in order, and swallows a duplicate."""
    url = call("CreateQueue", QueueName=f"{prefix}.fifo", Attributes={"FifoQueue": "true"})["queueurl"]
    for number in (1, 2, 2):
        call(
            "SendMessage",
            QueueUrl=url,
            MessageBody=str(number),
            MessageGroupId="g",
            MessageDeduplicationId=str(number),
        )
    messages = call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["messages"]
    assert [message["Body"] for message in messages] == ["1", "2"]
    assert messages[0]["Attributes"]["SequenceNumber"] < messages[1]["Attributes"]["SequenceNumber"]


def _bring_dead_letters_back(call, url, dead_url, dead_arn):
    assert call("ListDeadLetterSourceQueues", QueueUrl=dead_url)["queueurls"] == [url]
    for number in range(3):
        call("SendMessage", QueueUrl=url, MessageBody=f"poison {number}")
    deadline = time.monotonic() + DEADLINE
    while _attributes(call, dead_url)["ApproximateNumberOfMessages"] != "3":
        call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        assert time.monotonic() < deadline
    handle = call("StartMessageMoveTask", SourceArn=dead_arn, MaxNumberOfMessagesPerSecond=1)["taskhandle"]
    [task] = call("ListMessageMoveTasks", SourceArn=dead_arn)["results"]
    assert (task["Status"], task["TaskHandle"]) == ("RUNNING", handle)
    moved = call("CancelMessageMoveTask", TaskHandle=handle)["approximatenumberofmessagesmoved"]
    assert moved in range(1, 4)


def _attributes(call, url):
    return call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["attributes"]


def _present(output):
    return {name: value for name, value in output.items() if value}
