"""What SQS refuses, in both protocols: status, code and text; and the near requests that it takes."""

import html
import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest

ACCOUNT = "000000000000"
PREFIX = "AWS.SimpleQueueService."
BODY = 1_048_576
NAME_TEXT = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
ENTRY_ID_TEXT = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters "
    "long."
)
BATCHES = {
    "SendMessageBatch": {"MessageBody": "x"},
    "DeleteMessageBatch": {"ReceiptHandle": "x"},
    "ChangeMessageVisibilityBatch": {"ReceiptHandle": "x", "VisibilityTimeout": 1},
}
#: Names in a form where they are not those of the members; a list's items are numbered under theirs.
FIELDS = {
    "Attributes": "Attribute",
    "Tags": "Tag",
    "tags": "Tag",
    "MessageAttributes": "MessageAttribute",
    "AttributeNames": "AttributeName",
    "TagKeys": "TagKey",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
}


def _fields(action, value, path=""):
    """Return the fields of a form that say what the JSON protocol's parameters do."""
    if isinstance(value, list):
        parts = [(str(number), item) for number, item in enumerate(value, 1)]
    elif path.rpartition(".")[2] in {"Attribute", "Tag", "MessageAttribute"}:
        key = "Key" if path.endswith("Tag") else "Name"
        parts = [(str(number), {key: name, "Value": item}) for number, (name, item) in enumerate(value.items(), 1)]
    elif isinstance(value, dict):
        entries = f"{action}RequestEntry"
        parts = [(entries if name == "Entries" else FIELDS.get(name, name), item) for name, item in value.items()]
    else:
        return {path: str(value)}
    fields = {}
    for name, item in parts:
        fields |= _fields(action, item, f"{path}.{name}".lstrip("."))
    return fields


@pytest.fixture(params=["json", "query"])
def call(endpoint, request):
    """Return a function that calls an action and gives status, error code, text and the answer as text."""

    def send(action, /, **parameters):
        if request.param == "json":
            body = json.dumps(parameters).encode()
            headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        else:
            body = urllib.parse.urlencode({"Action": action} | _fields(action, parameters)).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        outgoing = urllib.request.Request(endpoint.url, body, headers)  # noqa: S310 - loopback
        try:
            answer = urllib.request.urlopen(outgoing, timeout=10)  # noqa: S310 - loopback
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
            if answer.status == 200:
                return 200, None, None, text
            if request.param == "json":
                code, _, kind = answer.headers["x-amzn-query-error"].partition(";")
                assert kind == "Sender"
                return answer.status, code, json.loads(text)["message"], text
            assert "<Type>Sender</Type>" in text
            code, message = (re.search(f"<{each}>(.*?)</{each}>", text, re.DOTALL)[1] for each in ("Code", "Message"))
            return answer.status, code, html.unescape(message), text

    return send


@pytest.fixture
def refused(call):
    """Return a function that asserts with which status, code and text an action is refused."""

    def check(action, code, text, /, status=400, **parameters):
        assert call(action, **parameters)[:3] == (status, code, text), parameters

    return check


# Queues


@pytest.mark.parametrize("name", ["a" * 81, "a b", "a/b", "ü", "a.b", "x.fifo"])
def test_a_name_that_a_queue_cannot_have(refused, name):
    refused("CreateQueue", "InvalidParameterValue", NAME_TEXT, QueueName=name)


def test_an_existing_queue_is_refused_by_the_first_attribute_of_the_request_that_differs(refused, call, new_queue):
    name = new_queue(DelaySeconds="1", VisibilityTimeout="2").rpartition("/")[2]
    for attributes in ({}, {"DelaySeconds": "1"}, {"VisibilityTimeout": "2", "DelaySeconds": "1"}):
        assert call("CreateQueue", QueueName=name, Attributes=attributes)[0] == 200
    for attributes, first in (
        ({"VisibilityTimeout": "3", "DelaySeconds": "3"}, "VisibilityTimeout"),
        ({"DelaySeconds": "3", "VisibilityTimeout": "3"}, "DelaySeconds"),
        ({"DelaySeconds": "1", "VisibilityTimeout": "3"}, "VisibilityTimeout"),
    ):
        text = f"A queue already exists with the same name and a different value for attribute {first}"
        refused("CreateQueue", "QueueAlreadyExists", text, QueueName=name, Attributes=attributes)


@pytest.mark.parametrize(
    ("attribute", "bounds"),
    [
        ("DelaySeconds", (0, 900)),
        ("KmsDataKeyReusePeriodSeconds", (60, 86_400)),
        ("MaximumMessageSize", (1_024, BODY)),
        ("MessageRetentionPeriod", (60, 1_209_600)),
        ("ReceiveMessageWaitTimeSeconds", (0, 20)),
        ("VisibilityTimeout", (0, 43_200)),
    ],
)
def test_the_ranges_of_attributes(refused, call, new_queue, attribute, bounds):
    url = new_queue()
    lowest, highest = bounds
    for value in (lowest, highest):
        assert call("SetQueueAttributes", QueueUrl=url, Attributes={attribute: str(value)})[0] == 200
    for value in (lowest - 1, highest + 1, "x", "1.5", ""):
        asked = {"Attributes": {attribute: str(value)}}
        text = f"Invalid value for the parameter {attribute}."
        refused("SetQueueAttributes", "InvalidAttributeValue", text, QueueUrl=url, **asked)
        refused("CreateQueue", "InvalidAttributeValue", text, QueueName="none", **asked)


@pytest.mark.parametrize("attribute", ["Foo", "QueueArn", "ApproximateNumberOfMessages", "All"])
def test_what_cannot_be_set(refused, new_queue, attribute):
    asked = {"Attributes": {attribute: "1"}}
    text = f"Unknown Attribute {attribute}."
    refused("SetQueueAttributes", "InvalidAttributeName", text, QueueUrl=new_queue(), **asked)
    refused("CreateQueue", "InvalidAttributeName", text, QueueName="none", **asked)


@pytest.mark.parametrize("most", [0, 1_001, -1])
def test_the_range_of_a_page(refused, most):
    text = (
        f"Value {most} for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000."
    )
    refused("ListQueues", "InvalidParameterValue", text, MaxResults=most)


def test_tags_have_a_number_that_they_cannot_exceed(refused, call, new_queue):
    url = new_queue()
    text = f"Too many tags added for queue {url.rpartition('/')[2]}."
    many = {f"k{number}": "" for number in range(51)}
    refused("TagQueue", "InvalidParameterValue", text, QueueUrl=url, Tags=many)
    refused(
        "CreateQueue", "InvalidParameterValue", "Too many tags added for queue tagged.", QueueName="tagged", tags=many
    )
    assert "k1" not in call("ListQueueTags", QueueUrl=url)[3]
    del many["k0"]
    assert call("TagQueue", QueueUrl=url, Tags=many)[0] == 200
    assert call("TagQueue", QueueUrl=url, Tags={"k1": "again"})[0] == 200
    refused("TagQueue", "InvalidParameterValue", text, QueueUrl=url, Tags={"k0": ""})


@pytest.mark.parametrize(("action", "member", "empty"), [("TagQueue", "Tags", {}), ("UntagQueue", "TagKeys", [])])
def test_no_tag_at_all_is_a_missing_parameter(refused, new_queue, action, member, empty):
    text = f"The request must contain the parameter {member}."
    refused(action, "MissingParameter", text, QueueUrl=new_queue(), **{member: empty})
    refused(action, "MissingParameter", text, QueueUrl=new_queue())


# Dead-letter queues


@pytest.fixture
def refused_policy(refused, new_queue):
    def check(policy, reason):
        text = policy if isinstance(policy, str) else json.dumps(policy)
        said = f"Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"
        attributes = {"RedrivePolicy": text}
        refused("SetQueueAttributes", "InvalidParameterValue", said, QueueUrl=new_queue(), Attributes=attributes)
        refused("CreateQueue", "InvalidParameterValue", said, QueueName="none", Attributes=attributes)

    return check


@pytest.fixture
def arn(sqs):
    def find(url):
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    return find


def test_a_refused_redrive_policy_is_told_as_it_was_given(refused_policy, new_queue, arn):
    target = arn(new_queue())
    lacks = "Redrive policy does not contain mandatory attribute:"
    refused_policy("x", "Redrive policy is not a valid JSON map.")
    refused_policy({"deadLetterTargetArn": target}, f"{lacks} maxReceiveCount.")
    refused_policy({"maxReceiveCount": 3}, f"{lacks} deadLetterTargetArn.")
    for count in (0, 1_001, "x"):
        reason = f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive."
        refused_policy({"deadLetterTargetArn": target, "maxReceiveCount": count}, reason)
    for no_arn in ("dummy", "", 7, ["a"]):
        policy = {"deadLetterTargetArn": no_arn, "maxReceiveCount": 42}
        refused_policy(policy, "Invalid value for deadLetterTargetArn.")
    refused_policy({"deadLetterTargetArn": target + "x", "maxReceiveCount": 3}, "Dead letter target does not exist.")
    refused_policy(
        {"deadLetterTargetArn": arn(new_queue(fifo=True)), "maxReceiveCount": 3},
        "Dead-letter queue must be same type of queue as the source.",
    )


@pytest.mark.parametrize("count", [1, 1_000, "7"])
def test_a_redrive_policy_is_answered_in_one_spelling(call, sqs, new_queue, arn, count):
    url, target = new_queue(), arn(new_queue())
    policy = json.dumps({"maxReceiveCount": count, "deadLetterTargetArn": target})
    assert call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": policy})[0] == 200
    kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    assert kept == f'{{"deadLetterTargetArn":"{target}","maxReceiveCount":{count}}}'


# Messages


def test_the_size_of_a_message_counts_bytes_and_attributes(refused, call, new_queue):
    url = new_queue(MaximumMessageSize="1024")
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    attributes = {"k": {"DataType": "String", "StringValue": "v"}}
    assert call("SendMessage", QueueUrl=url, MessageBody="é" * 512)[0] == 200
    assert call("SendMessage", QueueUrl=url, MessageBody="x" * 1_016, MessageAttributes=attributes)[0] == 200
    refused("SendMessage", "InvalidParameterValue", text, QueueUrl=url, MessageBody="é" * 512 + "x")
    body = "x" * 1_017
    refused("SendMessage", "InvalidParameterValue", text, QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


@pytest.mark.parametrize("delay", [-1, 901])
def test_the_range_of_a_delay(refused, new_queue, delay):
    text = f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
    refused("SendMessage", "InvalidParameterValue", text, QueueUrl=new_queue(), MessageBody="x", DelaySeconds=delay)


@pytest.mark.parametrize("number", ["x", "1x", "--1", "1e", "٣", " 1", "NaN", "0x10"])
def test_what_is_no_number(refused, new_queue, number):
    attributes = {"n": {"DataType": "Number", "StringValue": number}}
    text = "Can't cast the value of message attribute 'n' to a number."
    asked = {"QueueUrl": new_queue(), "MessageBody": "x", "MessageAttributes": attributes}
    refused("SendMessage", "InvalidParameterValue", text, **asked)


@pytest.mark.parametrize("number", ["0", "-1", "+3", "1.50", ".5", "5.", "1e125", "-2E-3"])
def test_what_is_a_number(call, new_queue, number):
    attributes = {"n": {"DataType": "Number.own", "StringValue": number}}
    assert call("SendMessage", QueueUrl=new_queue(), MessageBody="x", MessageAttributes=attributes)[0] == 200


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [
        *(("MaxNumberOfMessages", value, "Must be between 1 and 10, if provided.") for value in (0, 11, -1)),
        *(("WaitTimeSeconds", value, "Must be >= 0 and <= 20, if provided.") for value in (-1, 21)),
    ],
)
def test_the_ranges_of_a_receive(refused, new_queue, parameter, value, reason):
    text = f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    refused("ReceiveMessage", "InvalidParameterValue", text, QueueUrl=new_queue(), **{parameter: value})


# Batches


@pytest.mark.parametrize("action", BATCHES)
def test_a_batch_that_is_refused_as_a_whole(refused, new_queue, action):
    url, entry = new_queue(), BATCHES[action]
    eleven = [{"Id": f"a{number}"} | entry for number in range(11)]
    text = "Maximum number of entries per request are 10. You have sent 11."
    refused(action, PREFIX + "TooManyEntriesInBatchRequest", text, QueueUrl=url, Entries=eleven)
    twice = [{"Id": "a"} | entry] * 2
    refused(action, PREFIX + "BatchEntryIdsNotDistinct", "Id a repeated.", QueueUrl=url, Entries=twice)
    for entry_id in ("", "a" * 81, "a:b", "ü", "a b"):
        odd = [{"Id": entry_id} | entry]
        refused(action, PREFIX + "InvalidBatchEntryId", ENTRY_ID_TEXT, QueueUrl=url, Entries=odd)


def test_a_batch_is_at_most_as_large_as_a_message(refused, call, new_queue):
    url = new_queue()
    entries = [{"Id": "a", "MessageBody": "x" * (BODY - 1)}, {"Id": "b", "MessageBody": "yy"}]
    text = f"Batch requests cannot be longer than {BODY} bytes. You have sent {BODY + 1} bytes."
    refused("SendMessageBatch", PREFIX + "BatchRequestTooLong", text, QueueUrl=url, Entries=entries)
    entries[1]["MessageBody"] = "y"
    assert call("SendMessageBatch", QueueUrl=url, Entries=entries)[0] == 200


def test_an_entry_that_fails_has_the_errors_name_as_its_code(sqs, new_queue):
    url = new_queue(fifo=True, ContentBasedDeduplication="true", MaximumMessageSize="1024", VisibilityTimeout="0")
    bodies = {"good": "x", "long": "x" * 1_025, "odd": "\x08", "none": ""}
    answer = sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": name, "MessageBody": body, "MessageGroupId": "g"} for name, body in bodies.items()],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert {entry["Id"]: (entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]} == {
        "long": ("InvalidParameterValueException", True),
        "odd": ("InvalidMessageContents", True),
        "none": ("MissingRequiredParameterException", True),
    }
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    stale = {"Id": "stale", "ReceiptHandle": message["ReceiptHandle"]}
    answer = sqs.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[stale | {"VisibilityTimeout": 1}, {"Id": "no", "ReceiptHandle": "x", "VisibilityTimeout": 1}],
    )
    assert [entry["Code"] for entry in answer["Failed"]] == ["MessageNotInflight", "ReceiptHandleIsInvalid"]


# Missing parameters and queues


@pytest.mark.parametrize(
    ("action", "given", "missing"),
    [
        ("AddPermission", {}, "Label"),
        ("CancelMessageMoveTask", None, "TaskHandle"),
        ("ChangeMessageVisibility", {"ReceiptHandle": "x"}, "VisibilityTimeout"),
        ("CreateQueue", None, "QueueName"),
        ("DeleteMessage", {}, "ReceiptHandle"),
        ("GetQueueUrl", None, "QueueName"),
        ("ListMessageMoveTasks", None, "SourceArn"),
        ("ReceiveMessage", None, "QueueUrl"),
        ("RemovePermission", {}, "Label"),
        ("SendMessage", {}, "MessageBody"),
        ("StartMessageMoveTask", None, "SourceArn"),
    ],
)
def test_a_missing_parameter_is_named(refused, new_queue, action, given, missing):
    given = {} if given is None else {"QueueUrl": new_queue()} | given
    refused(action, "MissingParameter", f"The request must contain the parameter {missing}.", **given)


@pytest.mark.parametrize(
    ("action", "given"),
    [
        ("DeleteQueue", {}),
        ("GetQueueAttributes", {"AttributeNames": ["All"]}),
        ("ListDeadLetterSourceQueues", {}),
        ("ListQueueTags", {}),
        ("PurgeQueue", {}),
        ("ReceiveMessage", {}),
        ("SendMessage", {"MessageBody": "x"}),
        ("SetQueueAttributes", {"Attributes": {"DelaySeconds": "1"}}),
        ("TagQueue", {"Tags": {"k": "v"}}),
        *((action, {"Entries": [{"Id": "a"} | entry]}) for action, entry in BATCHES.items()),
    ],
)
def test_a_queue_that_is_not_there(call, endpoint, action, given):
    status, code, text, _ = call(action, QueueUrl=f"{endpoint.url}/{ACCOUNT}/none", **given)
    assert (status, code) == (400, PREFIX + "NonExistentQueue")
    assert text.startswith("The specified queue does not exist")
