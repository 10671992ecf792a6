"""SQS through boto3 and HTTP: every action, its errors, long polls, and what a disconnect does."""

import json
import threading
import time

import pytest
from botocore.exceptions import ClientError

from infra.localaws.sqs.wire import ACTIONS
from tests.localaws.lab import post

DEADLINE = 10


def _refused(call, **parameters):
    """Return code, HTTP status and message of the error that a call must give."""
    with pytest.raises(ClientError) as results:
        call(**parameters)
    error = results.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"]


def _wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def test_a_queues_life(sqs, endpoint):
    url = sqs.create_queue(QueueName="life", Attributes={"DelaySeconds": "1"}, tags={"a": "1"})["QueueUrl"]
    assert url == f"{endpoint.url}/000000000000/life"
    assert sqs.get_queue_url(QueueName="life")["QueueUrl"] == url
    assert url in sqs.list_queues(QueueNamePrefix="li")["QueueUrls"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds", "QueueArn"])["Attributes"]
    assert attributes == {"DelaySeconds": "0", "QueueArn": "arn:aws:sqs:us-west-1:000000000000:life"}
    sqs.tag_queue(QueueUrl=url, Tags={"b": "2"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    sqs.purge_queue(QueueUrl=url)
    assert _refused(sqs.purge_queue, QueueUrl=url)[:2] == ("AWS.SimpleQueueService.PurgeQueueInProgress", 403)
    sqs.delete_queue(QueueUrl=url)
    assert _refused(sqs.get_queue_url, QueueName="life") == (
        "AWS.SimpleQueueService.NonExistentQueue",
        400,
        "The specified queue does not exist.",
    )
    assert _refused(sqs.create_queue, QueueName="life")[0] == "AWS.SimpleQueueService.QueueDeletedRecently"


def test_a_missing_queue_is_the_sdks_own_exception(sqs, endpoint):
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.receive_message(QueueUrl=f"{endpoint.url}/000000000000/none")


def test_lists_come_in_pages(sqs):
    names = [f"page-{number}" for number in range(5)]
    urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in names]
    pages = [
        page["QueueUrls"]
        for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 2})
    ]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [url for page in pages for url in page] == urls
    arn = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    for url in urls[1:]:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    page = sqs.list_dead_letter_source_queues(QueueUrl=urls[0], MaxResults=3)
    assert page["queueUrls"] == urls[1:4]
    rest = sqs.list_dead_letter_source_queues(QueueUrl=urls[0], MaxResults=3, NextToken=page["NextToken"])
    assert rest["queueUrls"] == urls[4:]
    assert "NextToken" not in rest


def test_a_message_arrives_whole(sqs, new_queue):
    url = new_queue()
    attributes = {
        "text": {"DataType": "String", "StringValue": "ü"},
        "blob": {"DataType": "Binary.x", "BinaryValue": b"\x00\xff"},
        "number.a": {"DataType": "Number", "StringValue": "1"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    # boto3 checks the digests that the endpoint answers.
    sent = sqs.send_message(
        QueueUrl=url, MessageBody="päck", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    assert sent["MD5OfMessageSystemAttributes"]
    [message] = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], VisibilityTimeout=0
    )["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "päck")
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"].keys() == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "AWSTraceHeader",
    }
    assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60
    [message] = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["number.*"], AttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert message["MessageAttributes"].keys() == {"number.a"}
    assert message["Attributes"] == {"ApproximateReceiveCount": "2"}


def test_without_asking_no_attributes_come(sqs, new_queue):
    url = new_queue()
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes={"a": {"DataType": "Number", "StringValue": "1"}})
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message.keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}


def test_batches_fail_in_part_and_the_rest_is_done(sqs, new_queue):
    url = new_queue(VisibilityTimeout="60")
    answer = sqs.send_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "MessageBody": "x"},
            {"Id": "bad", "MessageBody": "\0"},
            {"Id": "worse", "MessageBody": "x", "DelaySeconds": 901},
        ],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]] == [
        ("bad", "InvalidMessageContents", True),
        ("worse", "InvalidParameterValueException", True),
    ]
    [message] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    handle = message["ReceiptHandle"]
    answer = sqs.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "1", "ReceiptHandle": handle, "VisibilityTimeout": 30},
            {"Id": "2", "ReceiptHandle": "nonsense", "VisibilityTimeout": 30},
            {"Id": "3", "ReceiptHandle": handle, "VisibilityTimeout": 43201},
            {"Id": "4", "ReceiptHandle": handle},
        ],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["1"]
    assert [entry["Code"] for entry in answer["Failed"]] == [
        "ReceiptHandleIsInvalid",
        "InvalidParameterValueException",
        "MissingRequiredParameterException",
    ]
    answer = sqs.delete_message_batch(
        QueueUrl=url,
        Entries=[{"Id": "1", "ReceiptHandle": handle}, {"Id": "2", "ReceiptHandle": "nonsense"}],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["1"]
    assert [entry["Id"] for entry in answer["Failed"]] == ["2"]


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([str(number) for number in range(11)], "TooManyEntriesInBatchRequest"),
        (["a", "a"], "BatchEntryIdsNotDistinct"),
        (["a b"], "InvalidBatchEntryId"),
        (["x" * 81], "InvalidBatchEntryId"),
    ],
)
def test_a_malformed_batch_fails_as_a_whole(sqs, new_queue, ids, code):
    url = new_queue()
    entries = [{"Id": entry_id, "MessageBody": "x"} for entry_id in ids]
    assert _refused(sqs.send_message_batch, QueueUrl=url, Entries=entries)[0] == f"AWS.SimpleQueueService.{code}"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_batch_is_at_most_as_large_as_a_message(sqs, new_queue):
    url = new_queue()
    half = 1_048_576 // 2
    entries = [{"Id": "a", "MessageBody": "x" * half}, {"Id": "b", "MessageBody": "x" * half}]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 2
    entries[0]["MessageBody"] += "x"
    code, _, text = _refused(sqs.send_message_batch, QueueUrl=url, Entries=entries)
    assert code == "AWS.SimpleQueueService.BatchRequestTooLong"
    assert text == "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."


def test_a_fifo_send_gives_a_sequence_number_and_the_receive_names_its_group(sqs, new_queue):
    url = new_queue(fifo=True)
    sent = sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="d")
    assert len(sent["SequenceNumber"]) == 20
    [message] = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert message["Attributes"]["SequenceNumber"] == sent["SequenceNumber"]
    assert message["Attributes"]["MessageGroupId"] == "g"
    assert message["Attributes"]["MessageDeduplicationId"] == "d"


def test_a_dead_lettered_message_names_its_source(sqs, new_queue):
    target = new_queue()
    arn = sqs.get_queue_attributes(QueueUrl=target, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = new_queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
    sent = sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    [message] = sqs.receive_message(QueueUrl=target, MessageSystemAttributeNames=["All"])["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    source = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == source


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            {"MaxNumberOfMessages": 20},
            "Value 20 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            {"WaitTimeSeconds": 21},
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            {"VisibilityTimeout": 43201},
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200, if provided.",
        ),
    ],
)
def test_a_receive_out_of_range_has_awss_text(sqs, new_queue, parameters, text):
    assert _refused(sqs.receive_message, QueueUrl=new_queue(), **parameters) == ("InvalidParameterValue", 400, text)


def test_every_action_of_aws_is_served(sqs):
    assert set(sqs.meta.service_model.operation_names) == ACTIONS.keys()


def test_an_action_that_aws_has_not_is_said_so(raw):
    head, answer = _call(raw, "SendMassage", {})
    assert head.startswith("HTTP/1.1 400 ")
    assert answer["__type"].endswith("#UnknownOperationException")
    assert answer["message"] == "The action SendMassage is not valid for this endpoint."


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Content-Encoding: gzip", "The Content-Encoding 'gzip' is not one that this endpoint reads."),
        ("Content-Type: text/csv", "The Content-Type 'text/csv' is not one that this endpoint reads"),
        ("X-Amz-Surprise: 1", "The header x-amz-surprise is not one that this endpoint knows."),
    ],
)
def test_a_header_that_is_not_understood_is_said_so(raw, header, text):
    head, answer = _call(raw, "ListQueues", {}, header)
    assert head.startswith("HTTP/1.1 400 ")
    assert text in answer["message"]


def test_a_message_move_task_brings_dead_letters_back_as_new_messages(sqs, new_queue):
    dead = new_queue()
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = new_queue(RedrivePolicy=redrive, VisibilityTimeout="0")
    sent = sqs.send_message(QueueUrl=url, MessageBody="x")["MessageId"]
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    results = []
    waiting = _receive_in_background(sqs, results, QueueUrl=url, WaitTimeSeconds=20)
    sqs.start_message_move_task(SourceArn=arn)
    waiting.join(DEADLINE)
    assert [message["Body"] for message in results[0]] == ["x"]
    assert results[0][0]["MessageId"] != sent
    _wait_until(lambda: sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"] == "COMPLETED")
    [task] = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (1, 1)
    assert "TaskHandle" not in task
    assert _refused(sqs.start_message_move_task, SourceArn=arn + "x")[:2] == ("ResourceNotFoundException", 404)


# What an SDK would not send


def _call(raw, action, body, *headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = raw()
    head = [
        "POST / HTTP/1.1",
        "Host: localhost",
        f"X-Amz-Target: AmazonSQS.{action}",
        f"Content-Length: {len(data)}",
        "Connection: close",
        *headers,
    ]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + data)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), json.loads(body)


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (b"{", "SerializationException", "not JSON"),
        ([], "SerializationException", "START_ARRAY can not be converted to a structure"),
        ({}, "MissingRequiredParameterException", "The request must contain the parameter QueueUrl."),
        ({"QueueUrl": 1}, "SerializationException", "NUMBER_VALUE can not be converted to a String"),
        (
            {"QueueUrl": "URL", "MaxNumberOfMessages": "1"},
            "SerializationException",
            "STRING_VALUE can not be converted",
        ),
        ({"QueueUrl": "URL", "MaxNumberOfMessages": True}, "SerializationException", "BOOLEAN_VALUE can not be"),
        ({"QueueUrl": "URL", "Surprise": 1}, "UnsupportedOperation", "Surprise is not a parameter of ReceiveMessage"),
        ({"QueueUrl": "http://h/no/queue/url"}, "InvalidAddress", "The address http://h/no/queue/url is not valid"),
        ({"QueueUrl": "http://h/111111111111/q"}, "QueueDoesNotExist", "does not exist"),
    ],
)
def test_a_malformed_request_is_answered_in_awss_form(raw, new_queue, body, error, text):
    if isinstance(body, dict) and body.get("QueueUrl") == "URL":
        body = body | {"QueueUrl": new_queue()}
    head, answer = _call(raw, "ReceiveMessage", body)
    assert head.splitlines()[0].split()[1] in {"400", "404"}
    assert "x-amzn-query-error: " in head
    assert answer["__type"].split("#")[1] == error
    assert text in answer["message"]


def test_null_members_count_as_left_out(raw, new_queue):
    head, answer = _call(raw, "ReceiveMessage", {"QueueUrl": new_queue(), "MaxNumberOfMessages": None})
    assert head.startswith("HTTP/1.1 200 ")
    assert answer == {}


# Long polls


def _receive_in_background(sqs, results, **parameters):
    def run():
        results.append(sqs.receive_message(**parameters).get("Messages", []))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _waiting(endpoint):
    return sum(len(receives) for receives in endpoint._sqs.home.polls._waiting.values())


def test_a_long_poll_wakes_at_a_send(sqs, new_queue, endpoint):
    url = new_queue()
    results = []
    thread = _receive_in_background(sqs, results, QueueUrl=url, WaitTimeSeconds=20)
    _wait_until(lambda: _waiting(endpoint) == 1)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    thread.join(DEADLINE)
    assert [message["Body"] for message in results[0]] == ["x"]
    assert _waiting(endpoint) == 0


@pytest.mark.parametrize("way", ["visible again", "delay over", "visibility given up"])
def test_a_long_poll_wakes_when_a_message_becomes_visible(sqs, new_queue, way):
    url = new_queue(VisibilityTimeout="1")
    sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=1 if way == "delay over" else 0)
    timer = None
    if way != "delay over":
        [message] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=1 if way == "visible again" else 60)["Messages"]
        if way == "visibility given up":
            parameters = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            timer = threading.Timer(0.1, sqs.change_message_visibility, kwargs=parameters)
            timer.start()
    started = time.monotonic()
    messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert [message["Body"] for message in messages] == ["x"]
    assert time.monotonic() - started < DEADLINE
    if timer:
        timer.join()


def test_a_long_poll_on_a_dead_letter_queue_wakes_at_a_move(sqs, new_queue, endpoint):
    target = new_queue()
    arn = sqs.get_queue_attributes(QueueUrl=target, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = new_queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    results = []
    thread = _receive_in_background(sqs, results, QueueUrl=target, WaitTimeSeconds=20)
    _wait_until(lambda: _waiting(endpoint) == 1)
    sqs.receive_message(QueueUrl=url)
    thread.join(DEADLINE)
    assert [message["Body"] for message in results[0]] == ["x"]


def test_a_queues_own_wait_makes_a_long_poll_that_ends_empty(sqs, new_queue):
    url = new_queue(ReceiveMessageWaitTimeSeconds="1")
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert time.monotonic() - started >= 0.9


def test_each_waiting_receive_gets_its_message_in_the_order_of_arrival(sqs, new_queue, endpoint):
    url = new_queue()
    results = [[], []]
    threads = []
    for number, result in enumerate(results, start=1):
        threads.append(_receive_in_background(sqs, result, QueueUrl=url, WaitTimeSeconds=20))
        _wait_until(lambda number=number: _waiting(endpoint) == number)
    for body in ("first", "second"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    for thread in threads:
        thread.join(DEADLINE)
    assert [result[0][0]["Body"] for result in results] == ["first", "second"]


def test_a_waiting_receive_learns_that_its_queue_is_deleted(sqs, new_queue, endpoint):
    url = new_queue()
    results = []

    def run():
        try:
            sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        except ClientError as error:
            results.append(error.response["Error"]["Code"])

    thread = threading.Thread(target=run)
    thread.start()
    _wait_until(lambda: _waiting(endpoint) == 1)
    sqs.delete_queue(QueueUrl=url)
    thread.join(DEADLINE)
    assert results == ["AWS.SimpleQueueService.NonExistentQueue"]


def _long_poll_bytes(url):
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )


@pytest.mark.parametrize("notices", [True, False])
def test_a_client_that_left_during_a_long_poll_swallows_no_message(sqs, new_queue, endpoint, raw, notices):
    url = new_queue()
    connection = raw()
    connection.sendall(_long_poll_bytes(url))
    _wait_until(lambda: _waiting(endpoint) == 1)
    connection.close()
    if notices:
        _wait_until(lambda: _waiting(endpoint) == 0)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"], WaitTimeSeconds=5)["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_requests_behind_a_long_poll_are_answered_after_it(sqs, new_queue, endpoint, raw):
    url = new_queue()
    connection = raw()
    connection.sendall(_long_poll_bytes(url) + b"GET /_localaws/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    _wait_until(lambda: _waiting(endpoint) == 1)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    answer = b""
    while b"queue-fundamentals" not in answer:
        answer += connection.recv(65536)
    assert answer.index(b"ReceiptHandle") < answer.index(b"queue-fundamentals")


# The history and the lab's own routes


def test_the_history_tells_each_change_in_order(sqs, new_queue, history_path):
    before = len(history_path.read_text().splitlines())
    url = new_queue(VisibilityTimeout="0")
    sent = sqs.send_message(QueueUrl=url, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    entries = [json.loads(line) for line in history_path.read_text().splitlines()]
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    assert [entry["time"] for entry in entries] == sorted(entry["time"] for entry in entries)
    new = entries[before:]
    assert [entry["event"] for entry in new] == ["queue-created", "sent", "delivered", "deleted"]
    assert {(entry["process"], entry["type"], entry["queue"]) for entry in new} == {
        ("endpoint", "event", url.rpartition("/")[2])
    }
    assert new[2] | {"message_id": sent["MessageId"], "receive_count": 1, "visible_until_in": 0} == new[2]
    assert abs(new[-1]["time"] - time.monotonic()) < 60


def test_a_reset_sets_rates_and_forgets_all_messages(sqs, new_queue, endpoint, history_path):
    url = new_queue()
    name = url.rpartition("/")[2]
    sqs.send_message(QueueUrl=url, MessageBody="old")
    sqs.purge_queue(QueueUrl=url)
    sqs.send_message(QueueUrl=url, MessageBody="old")
    reset = f"{endpoint.url}/_localaws/queues/{name}/reset"
    assert post(reset, {"seed": 7, "delivery": {"duplicate": 1}}) == {"waiting": 0}
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.purge_queue(QueueUrl=url)
    sqs.send_message(QueueUrl=url, MessageBody="new")
    for _ in range(2):
        assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == ["new"]
    entries = [json.loads(line) for line in history_path.read_text().splitlines()]
    delivered = [entry for entry in entries if entry["queue"] == name and entry["event"] == "delivered"]
    assert [entry.get("chaos") for entry in delivered] == [None, ["duplicate"]]
    post(reset, {"delivery": {"duplicate": 0}})
    sqs.send_message(QueueUrl=url, MessageBody="new")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
