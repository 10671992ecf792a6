"""Whatever arrives, the endpoint answers, survives and loses nothing.

``FUZZ_EXAMPLES=20000`` runs so many examples of each test in place of a few hundred.
"""

import base64
import http.client
import json
import os
import re
import socket
from urllib.parse import quote_plus, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.localaws.config import EndpointConfig
from infra.localaws.http import MAX_BODY_BYTES
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from infra.localaws.sqs.shapes import service_model
from infra.localaws.sqs.wire import ACTIONS
from tests.localaws.lab import client_of

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "400"))
pytestmark = pytest.mark.thorough

PATIENCE = 20
KEPT = 10
TOO_LARGE = 413
REFUSALS = {400, 403, 404, 405, 413, 431}


@pytest.fixture(scope="module")
def target():
    """An endpoint with messages that nothing here knows of: at the end all of them are still there."""
    with running_endpoint(EndpointConfig(rates=STRICT)) as endpoint:
        sqs = client_of(endpoint, "sqs")
        kept = sqs.create_queue(QueueName="kept")["QueueUrl"]
        for number in range(KEPT):
            sqs.send_message(QueueUrl=kept, MessageBody=str(number))
        sqs.create_queue(QueueName="fuzz")
        yield endpoint
        received = sqs.receive_message(QueueUrl=kept, MaxNumberOfMessages=10)["Messages"]
        assert [message["Body"] for message in received] == [str(number) for number in range(KEPT)]
        sqs.close()


class Huge(str):
    """A long text that Hypothesis reports in a few characters."""

    __slots__ = ()

    def __repr__(self):
        return f"Huge({self[:5]!r}, {len(self)})"


class HugeBytes(bytes):
    """Likewise."""

    __slots__ = ()

    def __repr__(self):
        return f"HugeBytes({self[:9]!r}, {len(self)})"


# Structured requests: every action with members that are right, wrong, huge, deep or missing

odd_text = st.one_of(
    st.sampled_from(
        [
            "",
            "fuzz",
            "All",
            "String",
            Huge("a" * 1_100_000),
            "\0",
            "\ud800",
            Huge("{" * 5_000),
            Huge("[" * 5_000),
            Huge("9" * 5_000),
        ]
    ),
    st.text(max_size=20),
    st.sampled_from(
        [
            "arn:aws:sqs:us-west-1:000000000000:fuzz",
            "http://localhost/000000000000/fuzz",
            "http://localhost/000000000000/%ff",
            "http://[",
            base64.b64encode(b"[" * 3_000).decode(),
            json.dumps(
                {"deadLetterTargetArn": "arn:aws:sqs:us-west-1:000000000000:fuzz", "maxReceiveCount": "9" * 5_000}
            ),
            json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [[]]}),
        ]
    ),
)
odd_number = st.one_of(st.integers(-2, 12), st.sampled_from([10**400, -(10**30), 2**63, 1e308, 0.5, True]))
odd_value = st.recursive(
    st.one_of(st.none(), odd_text, odd_number),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=2),
    max_leaves=4,
)


def _values(shapes, name):
    """Return values of a shape, some of them not quite."""
    shape = shapes[name]
    match shape["type"]:
        case "structure":
            members = {member: _values(shapes, each["shape"]) for member, each in shape["members"].items()}
            required = set(shape.get("required", ()))
            right = st.fixed_dictionaries(
                {member: members[member] for member in required},
                optional={member: values for member, values in members.items() if member not in required},
            )
        case "list":
            right = st.lists(_values(shapes, shape["member"]["shape"]), max_size=3)
        case "map":
            right = st.dictionaries(odd_text, _values(shapes, shape["value"]["shape"]), max_size=2)
        case "string":
            right = st.just("http://localhost/000000000000/fuzz") | odd_text
        case "blob":
            right = st.binary(max_size=5).map(lambda data: base64.b64encode(data).decode())
        case "boolean":
            right = st.booleans()
        case _:
            right = st.integers(-1, 20)
    return st.one_of(right, right, right, right, odd_value)


def _requests():
    model = service_model()
    return st.sampled_from(sorted(ACTIONS)).flatmap(
        lambda action: st.tuples(
            st.just(action), _values(model["shapes"], model["operations"][action]["input"]["shape"]).map(_without_waits)
        )
    )


def _without_waits(request):
    """A long poll that waits as it should looks like a hang, and a deleted queue would leave nothing to fuzz."""
    if isinstance(request, dict):
        request.pop("WaitTimeSeconds", None)
    return request


def _post(endpoint, headers, body):
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=PATIENCE)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionError:
        # A body that is larger than any is refused before it is sent to its end, and the client may not see how.
        assert len(body) > MAX_BODY_BYTES
        return TOO_LARGE, b""
    finally:
        connection.close()


@settings(max_examples=EXAMPLES)
@given(_requests())
@example(
    (
        "SendMessageBatch",
        {"QueueUrl": "http://h/000000000000/fuzz", "Entries": [{"Id": "\ud800", "MessageBody": "\ud800"}]},
    )
)
def test_every_json_request_is_answered_or_refused_in_json(target, request_):
    action, document = request_
    if action in {"DeleteQueue", "SetQueueAttributes"}:
        action = "GetQueueAttributes"
    try:
        body = json.dumps(document).encode()
    except ValueError:
        return  # an integer too long for Python to write
    status, answer = _post(target, {"X-Amz-Target": f"AmazonSQS.{action}"}, body)
    assert status == 200 or status in REFUSALS, answer
    if status == TOO_LARGE:
        return
    assert isinstance(json.loads(answer), dict)


@settings(max_examples=EXAMPLES)
@given(_requests())
def test_every_form_is_answered_or_refused_in_xml(target, request_):
    action, document = request_
    if action in {"DeleteQueue", "SetQueueAttributes"}:
        action = "GetQueueAttributes"
    fields = {"Action": action}
    _flatten(document, "", fields)
    body = "&".join(
        f"{quote_plus(name, errors='replace')}={quote_plus(value, errors='replace')}" for name, value in fields.items()
    )
    status, answer = _post(target, {"Content-Type": "application/x-www-form-urlencoded"}, body.encode())
    assert status == 200 or status in REFUSALS, answer
    if status == TOO_LARGE:
        return
    assert b"Response" in ET.tostring(ET.fromstring(answer))  # noqa: S314 - our own endpoint's


def _flatten(value, path, fields):
    """Write a document down as a form, as far as it can be."""
    under = f"{path}." if path else ""
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{under}{name}", fields)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            _flatten(inner, f"{under.removesuffix('s.')}{number}", fields)
    elif path:
        try:
            fields[path] = str(value)
        except ValueError:
            fields[path] = Huge("9" * 5_000)


# Raw bytes: sound requests, cut, repeated, overwritten


def _sound(target, headers, body):
    head = [f"POST {target} HTTP/1.1", "Host: localhost", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


SOUND = (
    _sound(
        "/",
        ["X-Amz-Target: AmazonSQS.SendMessage", "Content-Type: application/x-amz-json-1.0"],
        b'{"QueueUrl":"http://localhost/000000000000/fuzz","MessageBody":"x","DelaySeconds":0}',
    ),
    _sound("/", ["X-Amz-Target: AmazonSQS.ReceiveMessage"], b'{"QueueUrl":"http://localhost/000000000000/fuzz"}'),
    _sound(
        "/000000000000/fuzz",
        ["Content-Type: application/x-www-form-urlencoded"],
        b"Action=SendMessage&MessageBody=x%20%c3%a9&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String",
    ),
    (
        b"GET /000000000000/fuzz?Action=ReceiveMessage&MaxNumberOfMessages=10&Signature=0 HTTP/1.1\r\n"
        b"Host: localhost\r\n\r\n"
    ),
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"X-Amz-Target: AmazonSQS.ListQueues\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
)
splices = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 30),
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [
                    b"",
                    b"%",
                    b"%zz",
                    b"\xff\xfe",
                    b"\r\n",
                    b"\0",
                    b"Content-Length: 5\r\n",
                    b"Content-Length: -1\r\n",
                    b"Content-Length: 99999999999999999999\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Expect: 100-continue\r\n",
                    HugeBytes(b"[" * 100_000),
                    HugeBytes(b'{"a":' * 50_000),
                    HugeBytes(b"a=1&" * 3_000),
                    HugeBytes(b"X: " + b"y" * 70_000 + b"\r\n"),
                ]
            ),
        ),
    ),
    max_size=4,
)


@settings(max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(SOUND), min_size=1, max_size=3), splices)
def test_every_stream_of_bytes_is_answered_or_closed(target, requests, changes):
    data = b"".join(requests)
    for place, length, piece in changes:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + length :]
    answers = _exchange(target, data)
    statuses = [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]
    assert all(status in REFUSALS | {100, 200} for status in statuses), answers
    if not changes:
        assert len(statuses) == len(requests)
    # The messages of which the answers tell are there, and the endpoint answers the next client.
    told = {found.decode() for found in re.findall(rb"MessageId[\":> ]+([0-9a-f-]{36})", answers)}
    assert told <= target._sqs.home.model.queue("fuzz")._messages.keys()
    status, answer = _post(target, {"X-Amz-Target": "AmazonSQS.GetQueueUrl"}, b'{"QueueName":"fuzz"}')
    assert status == 200, answer


def _exchange(target, data):
    """Send bytes, say farewell, and return all that comes."""
    parts = urlsplit(target.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        answers = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answers += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # the endpoint has heard enough, and closed while there was more to say
        return answers
