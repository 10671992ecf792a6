"""The Query protocol: forms by POST and GET, on the endpoint's and on a queue's URL, answered in XML."""

import base64
import re
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import pytest

from infra.localaws.sqs.context import Wire
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.query import NAMESPACE, parse_form, read_request, write_answer

NO_ARN = "arn:aws:sqs:us-west-1:000000000000:x"
FORM = "Content-Type: application/x-www-form-urlencoded; charset=utf-8"


def _send(raw, method, target, body="", *headers):
    connection = raw()
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    data = body.encode() if isinstance(body, str) else body
    connection.sendall("\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode() + data)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    top, _, content = answer.partition(b"\r\n\r\n")
    assert "text/xml" in top.decode()
    return int(top.split()[1]), ET.fromstring(content)  # noqa: S314 - our own endpoint's


def _post(raw, target="/", /, **fields):
    return _send(
        raw, "POST", target, urlencode({name.replace("__", "."): value for name, value in fields.items()}), FORM
    )


def _text(tree, path):
    return tree.findtext("/".join(f"{{{NAMESPACE}}}{step}" for step in path.split("/")))


def _error(answer):
    status, tree = answer
    assert tree.tag == f"{{{NAMESPACE}}}ErrorResponse"
    assert _text(tree, "RequestId")
    return status, _text(tree, "Error/Code"), _text(tree, "Error/Message")


def test_a_message_goes_through_by_post_and_get_and_on_both_urls(raw, sqs, new_queue):
    url = new_queue(VisibilityTimeout="0")
    path = url[url.index("/", 8) :]
    for number, (method, target, fields) in enumerate(
        [("POST", "/", {"QueueUrl": url}), ("GET", "/", {"QueueUrl": url}), ("POST", path, {}), ("GET", path, {})]
    ):
        body = f'a <b> & "c" \r\n é {number}'
        signed = {} if method == "POST" else {"X-Amz-Signature": "0"}
        query = urlencode({"Action": "SendMessage", "Version": "2012-11-05", "MessageBody": body, **fields, **signed})
        status, tree = _send(raw, method, *((target, query, FORM) if method == "POST" else (f"{target}?{query}",)))
        assert status == 200
        assert tree.tag == f"{{{NAMESPACE}}}SendMessageResponse"
        assert _text(tree, "SendMessageResult/MessageId")
        [message] = sqs.receive_message(QueueUrl=url)["Messages"]
        assert message["Body"] == body
        status, tree = _post(raw, path, Action="ReceiveMessage", AttributeName__1="All")
        assert _text(tree, "ReceiveMessageResult/Message/Body") == body
        status, tree = _post(
            raw,
            Action="DeleteMessage",
            QueueUrl=url,
            ReceiptHandle=_text(tree, "ReceiveMessageResult/Message/ReceiptHandle"),
        )
        assert [child.tag for child in tree] == [f"{{{NAMESPACE}}}ResponseMetadata"]


def test_lists_and_maps_are_read_by_their_numbers(raw, sqs):
    _post(
        raw,
        Action="CreateQueue",
        QueueName="by-form",
        Attribute__2__Name="DelaySeconds",
        Attribute__2__Value="0",
        Attribute__10__Name="VisibilityTimeout",
        Attribute__10__Value="7",
        Tag__1__Key="k",
        Tag__1__Value="v",
    )
    url = sqs.get_queue_url(QueueName="by-form")["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"k": "v"}
    status, tree = _post(raw, Action="GetQueueAttributes", QueueUrl=url, AttributeName__1="VisibilityTimeout")
    assert status == 200
    assert _text(tree, "GetQueueAttributesResult/Attribute/Name") == "VisibilityTimeout"
    assert _text(tree, "GetQueueAttributesResult/Attribute/Value") == "7"
    blob = base64.b64encode(b"\0\xff").decode()
    _post(
        raw,
        Action="SendMessageBatch",
        QueueUrl=url,
        SendMessageBatchRequestEntry__1__Id="a",
        SendMessageBatchRequestEntry__1__MessageBody="x",
        SendMessageBatchRequestEntry__1__MessageAttribute__1__Name="with.dots",
        SendMessageBatchRequestEntry__1__MessageAttribute__1__Value__DataType="Binary",
        SendMessageBatchRequestEntry__1__MessageAttribute__1__Value__BinaryValue=blob,
    )
    [message] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == {"with.dots": {"DataType": "Binary", "BinaryValue": b"\0\xff"}}


def test_a_batch_that_fails_in_part_says_so_in_its_xml(raw, new_queue):
    status, tree = _post(
        raw,
        Action="SendMessageBatch",
        QueueUrl=new_queue(),
        SendMessageBatchRequestEntry__1__Id="good",
        SendMessageBatchRequestEntry__1__MessageBody="x",
        SendMessageBatchRequestEntry__2__Id="bad",
        SendMessageBatchRequestEntry__2__MessageBody="x",
        SendMessageBatchRequestEntry__2__DelaySeconds="901",
    )
    assert status == 200
    assert _text(tree, "SendMessageBatchResult/SendMessageBatchResultEntry/Id") == "good"
    assert _text(tree, "SendMessageBatchResult/BatchResultErrorEntry/Id") == "bad"
    assert _text(tree, "SendMessageBatchResult/BatchResultErrorEntry/SenderFault") == "true"


@pytest.mark.parametrize(
    ("fields", "status", "code", "text"),
    [
        ({}, 400, "MissingAction", "The request must contain the parameter Action."),
        ({"Action": "Nonsense"}, 400, "InvalidAction", "The action Nonsense is not valid for this endpoint."),
        ({"Action": "ListQueues", "Version": "1"}, 400, "NoSuchVersion", "The requested version ( 1 ) is not valid."),
        ({"Action": "ListQueues", "Surprise": "1"}, 400, "AWS.SimpleQueueService.UnsupportedOperation", "Surprise is"),
        ({"Action": "ListQueues", "MaxResults": "x"}, 400, "InvalidParameterValue", "Must be an integer."),
        ({"Action": "ListQueues", "MaxResults.1": "1"}, 400, "InvalidParameterValue", "has a value and no parts"),
        ({"Action": "DeleteQueue"}, 400, "MissingParameter", "must contain the parameter QueueUrl"),
        (
            {"Action": "ReceiveMessage", "QueueUrl": "URL", "AttributeName": "All"},
            400,
            "InvalidParameterValue",
            "parts",
        ),
        (
            {"Action": "ReceiveMessage", "QueueUrl": "URL", "AttributeName.x": "All"},
            400,
            "InvalidParameterValue",
            "number",
        ),
        ({"Action": "TagQueue", "QueueUrl": "URL", "Tag.1.Key": "k"}, 400, "InvalidParameterValue", "both a Key and a"),
        (
            {"Action": "TagQueue", "QueueUrl": "URL", "Tag.1.Key": "k", "Tag.1.X": "k"},
            400,
            "AWS.SimpleQueueService.UnsupportedOperation",
            "Tag.1.X is not",
        ),
        (
            {"Action": "GetQueueUrl", "QueueName": "none"},
            400,
            "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist for this wsdl version.",
        ),
        (
            {"Action": "DeleteMessage", "QueueUrl": "URL", "ReceiptHandle": "\0<&"},
            400,
            "ReceiptHandleIsInvalid",
            'The input receipt handle "\ufffd<&" is not',
        ),
        (
            {"Action": "ListMessageMoveTasks", "SourceArn": NO_ARN},
            404,
            "ResourceNotFoundException",
            "SourceArn",
        ),
    ],
)
def test_what_is_refused_has_awss_code_and_text(refuse, fields, status, code, text):
    answer = refuse(fields)
    assert answer[:2] == (status, code)
    assert text in answer[2]


@pytest.fixture
def refuse(raw, new_queue):
    """Return a function that posts fields and returns the error that they get; URL stands for a queue's."""

    def post(fields):
        if fields.get("QueueUrl") == "URL":
            fields = fields | {"QueueUrl": new_queue()}
        return _error(_post(raw, **fields))

    return post


@pytest.mark.parametrize(
    "body", ["Action=ListQueues&QueueNamePrefix=%", "Action=%zz", b"Action=\xff", "Action=a&Action=b"]
)
def test_a_form_that_cannot_be_read_is_said_so(raw, body):
    assert _error(_send(raw, "POST", "/", body, FORM))[:2] == (400, "MalformedQueryString")


def test_a_form_under_another_content_type_is_refused(raw):
    status, code, text = _error(_send(raw, "POST", "/", "Action=ListQueues", "Content-Type: text/plain"))
    assert (status, code) == (400, "AWS.SimpleQueueService.UnsupportedOperation")
    assert "text/plain" in text


def test_a_presigned_request_is_understood(raw, new_queue):
    new_queue()
    signature = "&".join(
        f"X-Amz-{name}={quote('a/b')}"
        for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
    )
    status, tree = _send(raw, "GET", f"/?Action=ListQueues&{signature}")
    assert status == 200
    assert _text(tree, "ListQueuesResult/QueueUrl").startswith("http://")


def test_a_long_poll_is_answered_in_xml(raw, new_queue):
    status, tree = _post(raw, Action="ReceiveMessage", QueueUrl=new_queue(), WaitTimeSeconds="1")
    assert (status, _text(tree, "ReceiveMessageResult")) == (200, "")
    assert tree.tag == f"{{{NAMESPACE}}}ReceiveMessageResponse"


def test_too_many_fields_and_too_deep_ones_are_refused():
    with pytest.raises(SqsError, match="more than 2000 parameters"):
        parse_form(b"&".join(b"a%d=1" % number for number in range(3000)))
    with pytest.raises(SqsError):
        read_request(parse_form(b"Action=ListQueues&MaxResults" + b".1" * 5000 + b"=1"), None)


def test_the_queue_of_the_url_is_meant_only_by_actions_on_a_queue():
    assert read_request({"Action": "ListQueues"}, "http://h/0/q") == ("ListQueues", {})
    assert read_request({"Action": "DeleteQueue"}, "u") == ("DeleteQueue", {"QueueUrl": "u"})
    assert read_request({"Action": "DeleteQueue", "QueueUrl": "v"}, "u") == ("DeleteQueue", {"QueueUrl": "v"})


def test_xml_holds_no_character_that_xml_cannot():
    written = write_answer("GetQueueUrl", {"QueueUrl": "a\0\ud800\x0b&<>\r"}, "id").decode()
    assert re.search("<QueueUrl>(.*)</QueueUrl>", written)[1] == "a\ufffd\ufffd\ufffd&amp;&lt;&gt;&#xD;"


def test_an_address_that_is_no_url_is_an_invalid_address(lab):
    with pytest.raises(SqsError, match="is not valid for this endpoint"):
        Wire(lab.model, "http://h").queue_name({"QueueUrl": "http://[x/0/q"})
