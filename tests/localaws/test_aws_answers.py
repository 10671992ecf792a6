"""What SQS answers to odd requests, word for word, as it was seen on AWS."""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


def _refused(call, /, **arguments):
    """Return the status, the code and the text with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def _client(endpoint, region="us-west-1"):
    return boto3.client(
        "sqs",
        endpoint_url=endpoint.url,
        region_name=region,
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


@pytest.fixture
def ask(endpoint):
    """Return a function that sends a signed request of the Query protocol, and gives status, type and text."""

    def send(method, path, accept=None, **fields):
        form = urllib.parse.urlencode({name.replace("__", "."): value for name, value in fields.items()})
        url = endpoint.url + path + (f"?{form}" if method == "GET" and form else "")
        headers = {"Accept": accept} if accept else {}
        body = None
        if method == "POST":
            headers["Content-Type"], body = "application/x-www-form-urlencoded", form.encode()
        request = AWSRequest(method, url, data=body, headers=headers)
        SigV4Auth(Credentials("dummy", "dummy"), "sqs", "us-west-1").add_auth(request)
        signed = request.prepare()
        outgoing = urllib.request.Request(signed.url, body, dict(signed.headers), method=method)  # noqa: S310 - loopback
        try:
            answer = urllib.request.urlopen(outgoing, timeout=10)  # noqa: S310 - loopback
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()

    return send


def _path(url):
    return urllib.parse.urlsplit(url).path


# Batches


ENTRY = {"Id": "a", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "a"}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"MessageDeduplicationId": "b"}, "The request must contain the parameter MessageGroupId."),
        (
            {"MessageGroupId": "g"},
            (
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            ),
        ),
        (
            {"MessageGroupId": "g", "MessageDeduplicationId": "b", "DelaySeconds": 1},
            (
                "Value 1 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not "
                "valid for this queue type."
            ),
        ),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_one_entry_fails_a_whole_fifo_batch(sqs, new_queue, entry, text, fast):
    url = new_queue(fifo=True)
    entries = [ENTRY, {"Id": "b", "MessageBody": "x"} | entry]
    if not fast:
        entries[0] = ENTRY | {"MessageAttributes": {"n": {"DataType": "String", "StringValue": "v"}}}
    refused = _refused(sqs.send_message_batch, QueueUrl=url, Entries=entries)
    assert refused == (400, "InvalidParameterValue", text)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_fifo_batch_that_has_what_it_needs_can_fail_in_part(sqs, new_queue):
    url = new_queue(fifo=True)
    bad = ENTRY | {"Id": "b", "MessageGroupId": "with space"}
    answer = sqs.send_message_batch(QueueUrl=url, Entries=[ENTRY, bad])
    assert [entry["Id"] for entry in answer["Successful"]] == ["a"]
    assert [entry["Id"] for entry in answer["Failed"]] == ["b"]
    assert "Successful" not in sqs.send_message_batch(QueueUrl=url, Entries=[bad])


@pytest.mark.parametrize("action", ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
def test_an_empty_batch_has_its_code_in_both_protocols(endpoint, new_queue, ask, action):
    url = new_queue()
    client = _client(endpoint)
    call = {
        "SendMessageBatch": client.send_message_batch,
        "DeleteMessageBatch": client.delete_message_batch,
        "ChangeMessageVisibilityBatch": client.change_message_visibility_batch,
    }[action]
    status, code, _ = _refused(call, QueueUrl=url, Entries=[])
    assert (status, code) == (400, "AWS.SimpleQueueService.EmptyBatchRequest")
    for fields in ({}, {"Entries": ""}):
        status, _, text = ask("POST", _path(url), Action=action, **fields)
        assert status == 400
        assert "<Code>AWS.SimpleQueueService.EmptyBatchRequest</Code>" in text


# Attributes


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("FifoQueue", "Unknown Attribute FifoQueue."),
        ("ContentBasedDeduplication", "Unknown Attribute ContentBasedDeduplication."),
        ("DeduplicationScope", "You can specify the DeduplicationScope only when FifoQueue is set to true."),
        ("FifoThroughputLimit", "You can specify the FifoThroughputLimit only when FifoQueue is set to true."),
    ],
)
def test_attributes_that_need_a_fifo_queue(sqs, new_queue, attribute, text):
    url = new_queue()
    values = ("queue",) if attribute == "DeduplicationScope" else ("true", "false")
    for value in values:
        refused = _refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={attribute: value})
        assert refused == (400, "InvalidAttributeName", text)
    refused = _refused(sqs.create_queue, QueueName="no-fifo", Attributes={attribute: values[-1]})
    assert refused == (400, "InvalidAttributeName", text)


def test_a_queues_type_cannot_change(sqs, new_queue):
    url = new_queue(fifo=True)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"FifoQueue": "true", "VisibilityTimeout": "7"})
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"] == {
        "VisibilityTimeout": "7"
    }
    assert _refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"FifoQueue": "false"}) == (
        400,
        "InvalidAttributeValue",
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
    )


def test_a_fifo_queue_needs_its_suffix(sqs):
    assert _refused(sqs.create_queue, QueueName="plain", Attributes={"FifoQueue": "true"}) == (
        400,
        "InvalidParameterValue",
        (
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with "
            ".fifo suffix and be 1 to 80 in length"
        ),
    )


def test_an_empty_redrive_policy_removes_it(sqs, new_queue):
    dead = sqs.get_queue_attributes(QueueUrl=new_queue(), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = new_queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": "5"}))
    wanted = {"QueueUrl": url, "AttributeNames": ["RedrivePolicy"]}
    policy = sqs.get_queue_attributes(**wanted)["Attributes"]["RedrivePolicy"]
    assert json.loads(policy) == {"deadLetterTargetArn": dead, "maxReceiveCount": 5}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert "Attributes" not in sqs.get_queue_attributes(**wanted)


def test_the_two_encryptions_exclude_each_other(sqs, new_queue):
    url = new_queue()
    both = {"KmsMasterKeyId": "alias/aws/sqs", "SqsManagedSseEnabled": "true"}
    text = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
    assert _refused(sqs.set_queue_attributes, QueueUrl=url, Attributes=both) == (400, "InvalidAttributeValue", text)


def test_a_redrive_permission_that_is_no_text_is_refused(sqs, new_queue):
    status, code, _ = _refused(
        sqs.set_queue_attributes, QueueUrl=new_queue(), Attributes={"RedriveAllowPolicy": '{"redrivePermission":[]}'}
    )
    assert (status, code) == (400, "InvalidParameterValue")


# Message attributes


NAME_TEXT = (
    "Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and "
    "underscores. "
)
RESERVED_TEXT = (
    "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for "
    "internal use. Additionally, they cannot start or end with '.'."
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, NAME_TEXT) for name in ("a!", 'a"', "a§", "a(", "a?", "a b", "a..b", "")),
        *((name, RESERVED_TEXT) for name in ("aws.x", "AWS.x", "amazon.x", "AmAzOn.x", ".a", "a.")),
        ("a" * 257, "Message (user) attribute names must be shorter than 256 Bytes"),
    ],
)
def test_a_name_that_an_attribute_cannot_have(sqs, new_queue, name, text):
    attributes = {name: {"DataType": "String", "StringValue": "x"}}
    refused = _refused(sqs.send_message, QueueUrl=new_queue(), MessageBody="x", MessageAttributes=attributes)
    assert refused == (400, "InvalidParameterValue", text)


@pytest.mark.parametrize("name", ["attr.1øßä", "awsx", "a" * 256, "-a_b.c"])
def test_a_name_that_an_attribute_can_have(sqs, new_queue, name):
    url = new_queue()
    sqs.send_message(
        QueueUrl=url, MessageBody="x", MessageAttributes={name: {"DataType": "String", "StringValue": "v"}}
    )
    [message] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == {name: {"DataType": "String", "StringValue": "v"}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", "Message (user) attribute 'NAME' must contain a non-empty value of type 'String'."),
        (
            "a\x01",
            (
                "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 "
                "to #xFFFD | #x10000 to #x10FFFF"
            ),
        ),
    ],
)
def test_a_value_that_an_attribute_cannot_have(sqs, new_queue, value, text):
    attributes = {"NAME": {"DataType": "String", "StringValue": value}}
    refused = _refused(sqs.send_message, QueueUrl=new_queue(), MessageBody="x", MessageAttributes=attributes)
    assert refused == (400, "InvalidParameterValue", text)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (["All"], {"foo", "foo.a", "foo.b", "bar"}),
        (["*"], {"foo", "foo.a", "foo.b", "bar"}),
        ([".*"], {"foo", "foo.a", "foo.b", "bar"}),
        (["foo.*"], {"foo", "foo.a", "foo.b"}),
        (["foo"], {"foo"}),
        (["foo", "bar", "none"], {"foo", "bar"}),
        (["foo*"], set()),
        ([], set()),
    ],
)
def test_message_attributes_are_asked_for_by_name_and_prefix(sqs, new_queue, asked, given):
    url = new_queue()
    names = ("foo", "foo.a", "foo.b", "bar")
    sqs.send_message(
        QueueUrl=url,
        MessageBody="x",
        MessageAttributes={name: {"DataType": "String", "StringValue": "v"} for name in names},
    )
    [message] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=asked)["Messages"]
    assert message.get("MessageAttributes", {}).keys() == given


def test_the_query_protocols_empty_lists_ask_for_nothing(sqs, new_queue, ask):
    url = new_queue(VisibilityTimeout="0")
    attributes = {"a": {"DataType": "String", "StringValue": "v"}}
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    status, _, text = ask("POST", _path(url), Action="ReceiveMessage", MessageAttributeNames="", AttributeNames="")
    assert status == 200
    assert "<Body>x</Body>" in text
    assert "Attribute" not in text
    status, _, text = ask("POST", _path(url), Action="GetQueueAttributes", AttributeNames="")
    assert status == 200
    assert "<GetQueueAttributesResult/>" in text


def test_the_trace_header_of_a_send_becomes_a_system_attribute(endpoint, new_queue):
    url = new_queue()
    client = _client(endpoint)
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    def add_trace(request, **_):
        request.headers["X-Amzn-Trace-Id"] = trace

    client.meta.events.register("before-send.sqs.SendMessage", add_trace)
    client.send_message(QueueUrl=url, MessageBody="by the header")
    own = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-own"}}
    client.send_message(QueueUrl=url, MessageBody="by the request", MessageSystemAttributes=own)
    received = [
        client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["AWSTraceHeader"])["Messages"][0]
        for _ in range(2)
    ]
    assert [message["Attributes"]["AWSTraceHeader"] for message in received] == [trace, "Root=1-own"]
    client.close()


# Queue URLs and regions


def test_a_bare_name_is_a_queues_url(sqs, new_queue):
    url = new_queue()
    sqs.send_message(QueueUrl=url.rpartition("/")[2], MessageBody="x")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"
    assert _refused(sqs.send_message, QueueUrl="no-such", MessageBody="x")[1] == NO_QUEUE


def test_two_regions_queues_of_one_name_are_two_queues(endpoint, sqs, ask):
    far = _client(endpoint, "eu-central-1")
    near_url = sqs.create_queue(QueueName="both")["QueueUrl"]
    far_url = far.create_queue(QueueName="both", Attributes={"DelaySeconds": "0"})["QueueUrl"]
    assert near_url != far_url
    far.create_queue(QueueName="both-far")
    assert sqs.list_queues(QueueNamePrefix="both")["QueueUrls"] == [near_url]
    assert [url.rpartition("/")[2] for url in far.list_queues(QueueNamePrefix="both")["QueueUrls"]] == [
        "both",
        "both-far",
    ]
    for client, url, region in ((sqs, near_url, "us-west-1"), (far, far_url, "eu-central-1")):
        assert client.get_queue_url(QueueName="both")["QueueUrl"] == url
        arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        assert arn == f"arn:aws:sqs:{region}:{ACCOUNT}:both"
    far.send_message(QueueUrl=far_url, MessageBody="far")
    sqs.send_message(QueueUrl=near_url, MessageBody="near")
    far.send_message(QueueUrl="both", MessageBody="far too")
    assert sqs.receive_message(QueueUrl=near_url, MaxNumberOfMessages=10)["Messages"][0]["Body"] == "near"
    # The URL counts, whichever region the signature names, in both protocols.
    [message] = sqs.receive_message(QueueUrl=far_url)["Messages"]
    assert message["Body"] == "far"
    status, _, text = ask("POST", _path(far_url), Action="ReceiveMessage")
    assert (status, "<Body>far too</Body>" in text) == (200, True)
    assert far.receive_message(QueueUrl=near_url).get("Messages") is None
    far.close()


def test_a_long_poll_in_another_region_wakes_at_its_own_send(endpoint):
    far = _client(endpoint, "ap-south-1")
    url = far.create_queue(QueueName="waiting", Attributes={"DelaySeconds": "1"})["QueueUrl"]
    far.send_message(QueueUrl=url, MessageBody="late")
    assert far.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"] == "late"
    far.close()


def test_a_request_signed_in_its_url_belongs_to_the_region_of_that_signature(endpoint):
    far = _client(endpoint, "sa-east-1")
    far.create_queue(QueueName="presigned")
    form = urllib.parse.urlencode(
        {
            "Action": "GetQueueUrl",
            "QueueName": "presigned",
            "X-Amz-Credential": "dummy/20300101/sa-east-1/sqs/aws4_request",
            "X-Amz-Signature": "0",
        }
    )
    with urllib.request.urlopen(f"{endpoint.url}/?{form}", timeout=10) as answer:  # noqa: S310 - loopback
        assert b"/queue/sa-east-1/000000000000/presigned</QueueUrl>" in answer.read()
    far.close()


def test_the_history_names_another_regions_queues_with_their_region(endpoint, history_path):
    far = _client(endpoint, "sa-east-1")
    far.create_queue(QueueName="told")
    far.close()
    queues = [json.loads(line)["queue"] for line in history_path.read_text().splitlines()]
    assert "sa-east-1/told" in queues


def test_what_is_no_regions_name_is_the_endpoints_own(endpoint):
    strange = _client(endpoint, "nowhere")
    url = strange.create_queue(QueueName="from-nowhere")["QueueUrl"]
    assert url == f"{endpoint.url}/{ACCOUNT}/from-nowhere"
    strange.close()


# The Query protocol


def test_no_such_queue_has_another_text_in_each_protocol(sqs, ask):
    path = f"/{ACCOUNT}/none"
    assert _refused(sqs.purge_queue, QueueUrl=path) == (400, NO_QUEUE, "The specified queue does not exist.")
    status, _, text = ask("POST", path, Action="PurgeQueue")
    assert status == 400
    assert "<Message>The specified queue does not exist for this wsdl version.</Message>" in text


def test_a_get_that_accepts_json_is_answered_in_json(sqs, new_queue, ask):
    url = new_queue(DelaySeconds="3")
    name = url.rpartition("/")[2]
    accept = "application/json"
    status, kind, text = ask("GET", "/", accept, Action="ListQueues", QueueNamePrefix=name)
    answer = json.loads(text)["ListQueuesResponse"]
    assert (status, kind, answer["ListQueuesResult"]) == (200, "application/json", {"QueueUrl": url})
    assert answer["ResponseMetadata"]["RequestId"]
    status, _, text = ask(
        "GET", _path(url), accept, Action="GetQueueAttributes", AttributeName__1="DelaySeconds", AttributeName__2="All"
    )
    attributes = json.loads(text)["GetQueueAttributesResponse"]["GetQueueAttributesResult"]["Attribute"]
    assert {"Name": "DelaySeconds", "Value": "3"} in attributes
    status, _, text = ask("GET", _path(url), accept, Action="ReceiveMessage")
    assert json.loads(text)["ReceiveMessageResponse"]["ReceiveMessageResult"] is None
    status, kind, text = ask("GET", f"/{ACCOUNT}/none", accept, Action="GetQueueAttributes")
    assert (status, kind, json.loads(text)["Error"]["Code"]) == (400, "application/json", NO_QUEUE)
    _, kind, text = ask("GET", "/", None, Action="ListQueues", QueueNamePrefix=name)
    assert (kind, text[:5]) == ("text/xml", "<?xml")


def test_an_empty_receive_is_an_empty_element(new_queue, ask):
    status, _, text = ask("GET", _path(new_queue()), Action="ReceiveMessage")
    assert status == 200
    assert "<ReceiveMessageResult/>" in text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_queues_url_does_not_take(new_queue, ask, method):
    path = _path(new_queue())
    for action in ("CreateQueue", "ListQueues", "Nonsense"):
        status, _, text = ask(method, path, Action=action, QueueName="made-here")
        assert status == 400
        assert "<Code>InvalidAction</Code>" in text
        assert f"<Message>The action {action} is not valid for this endpoint.</Message>" in text
    assert ask(method, path)[::2] == (404, "<UnknownOperationException/>")
    assert ask(method, path, Version="2012-11-05")[::2] == (404, "<UnknownOperationException/>")


# Move tasks


def _handle(task, arn):
    return base64.b64encode(json.dumps({"taskId": task, "sourceArn": arn}).encode()).decode()


def test_handles_that_cancel_no_task(sqs, new_queue):
    arn = sqs.get_queue_attributes(QueueUrl=new_queue(), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cancel = sqs.cancel_message_move_task
    task = "8a0a7bd5-7a4e-4a4b-8a1b-2a6dba7cdd60"
    assert _refused(cancel, TaskHandle=_handle(task, f"{arn}-none")) == (
        404,
        "ResourceNotFoundException",
        "The resource that you specified for the SourceArn parameter doesn't exist.",
    )
    assert _refused(cancel, TaskHandle=_handle(task, arn)) == (
        404,
        "ResourceNotFoundException",
        "Task does not exist.",
    )
    for handle in ("x", base64.b64encode(b"none").decode()):
        assert _refused(cancel, TaskHandle=handle) == (
            400,
            "InvalidParameterValue",
            "Value for parameter TaskHandle is invalid.",
        )
    for call in (sqs.start_message_move_task, sqs.list_message_move_tasks):
        assert _refused(call, SourceArn="x") == (
            400,
            "InvalidParameterValue",
            (
                "You must use this format to specify the SourceArn: "
                "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
            ),
        )
