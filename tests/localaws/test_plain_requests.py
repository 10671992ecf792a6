"""A plain request gets the same answer as a general one, and only a plain request is taken for one."""

import json
import socket

import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.http import HttpConnection, PlainRequest
from infra.localaws.request_head import shape_of
from infra.localaws.server import LocalAws, running_endpoint

PLAIN = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}"
)


class Transport:
    def write(self, data):
        pass

    def is_closing(self):
        return False

    def close(self):
        pass


def read_by_a_connection(data, *, takes_plain):
    """Return the plain and the general requests that a connection hands on."""
    plain, general = [], []

    def answer(request):
        general.append(request)
        return _Never()

    def answer_plain(request):
        plain.append(request)
        return _Never() if takes_plain else None

    connection = HttpConnection(answer, plain_application=answer_plain)
    connection.connection_made(Transport())
    connection.data_received(data)
    return plain, general


class _Never:
    def start(self, respond, is_open):
        pass

    def cancel(self):
        pass


@pytest.mark.parametrize(
    "head",
    [
        PLAIN,
        PLAIN.replace(b"Host", b"hOST").replace(b"X-Amz-Target", b"x-amz-TARGET"),
        PLAIN.replace(b"Host: ", b"User-Agent: Boto3/1 caf\xe9\r\nHost:\t"),
        PLAIN.replace(b"Host", b"Connection: keep-alive\r\nHost"),
    ],
    ids=["as sent", "spelled", "more headers", "kept alive"],
)
def test_a_plain_request_is_what_the_general_reading_gives(head):
    [plain], general = read_by_a_connection(head, takes_plain=True)
    assert isinstance(plain, PlainRequest)
    assert general == []
    _, [request] = read_by_a_connection(head, takes_plain=False)
    assert plain.request() == request
    assert plain.values[plain.places.target].decode() == request.headers["x-amz-target"]
    assert plain.values[plain.places.host].decode() == request.headers["host"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"POST / ", b"GET / "),
        (b"POST / ", b"POST /000000000000/q "),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"localhost", b"example.com"),
        (b"Host", b"Connection: close\r\nHost"),
        (b"Host", b"Origin: http://example.com\r\nHost"),
        (b"Host", b"Sec-Fetch-Site: cross-site\r\nHost"),
        (b"Host", b"Content-Encoding: gzip\r\nHost"),
        (b"Host", b"Expect: 100-continue\r\nHost"),
        (b"Host", b"X-Amzn-Trace-Id: Root=1\r\nHost"),
        (b"Host", b"X-Amz-Odd: 1\r\nHost"),
        (b"Host", b"A: 1\r\na: 2\r\nHost"),
        (b"Content-Type: application/x-amz-json-1.0\r\n", b""),
        (b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nHost: evil\r\n\r\n"),
    ],
)
def test_a_request_that_is_not_plain_takes_the_general_way(before, after):
    assert before in PLAIN
    plain, general = read_by_a_connection(PLAIN.replace(before, after), takes_plain=True)
    assert plain == []
    assert len(general) == (after != b"example.com" and b"Origin" not in after and b"Sec-Fetch" not in after)


def test_what_is_remembered_of_header_names_is_bounded():
    for number in range(2_000):
        shape_of((b"X-%d" % number,))
    assert shape_of.cache_info().currsize <= 64


def test_both_ways_give_the_same_answers_byte_by_byte(monkeypatch):
    config = EndpointConfig(seed=5)
    with running_endpoint(config) as endpoint:
        by_plain = list(_answers(endpoint.url))
    asked = []

    def leave_all(self, request):
        self._requests += 1
        asked.append(request)

    monkeypatch.setattr(LocalAws, "_answer_plain", leave_all)
    with running_endpoint(config) as endpoint:
        by_general = list(_answers(endpoint.url))
    assert len(asked) >= len(by_general) - 2
    for (name, one), (_, other) in zip(by_plain, by_general, strict=True):
        assert one == other, name


def _answers(url):
    """Send requests of each kind, and yield the answers without what differs from one endpoint to the next."""
    port = url.rpartition(":")[2]
    queue = f"{url}/000000000000/q"
    with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as connection:

        def ask(action, document, content_type="application/x-amz-json-1.0", region="us-west-1"):
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            scope = f"dummy/20260101/{region}/sqs/aws4_request"
            connection.sendall(
                f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.{action}\r\n"
                f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
                f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n\r\n".encode()
                + body
            )
            answer = _read(connection)
            shown = answer.partition(b"x-amzn-RequestId")[0] + answer.partition(b"\r\n\r\n")[2]
            return (action, shown.replace(port.encode(), b"PORT")), answer

        yield ask("CreateQueue", {"QueueName": "q", "Attributes": {"VisibilityTimeout": "0"}})[0]
        yield ask("CreateQueue", {"QueueName": "q"}, region="eu-west-1")[0]
        yield ask("SendMessage", {"QueueUrl": queue, "MessageBody": "one"})[0]
        yield ask("SendMessage", {"QueueUrl": queue, "MessageBody": "two"}, region="eu-west-1")[0]
        yield ask("SendMessage", {"QueueUrl": f"{queue}-none", "MessageBody": "one"})[0]
        yield ask("SendMessage", {"QueueUrl": queue, "MessageBody": ""})[0]
        yield ask("SendMessage", {"QueueUrl": queue, "MessageBody": "one"}, content_type="text/plain")[0]
        yield ask("SendMessage", {"QueueUrl": queue, "MessageBody": "x"}, "application/json; charset=utf-8")[0]
        yield ask("SendMessage", b"{not JSON")[0]
        yield ask("SendMessage", b"")[0]
        yield ask("NoSuchAction", {"QueueUrl": queue})[0]
        entries = [{"Id": str(number), "MessageBody": "three"} for number in range(3)]
        yield ask("SendMessageBatch", {"QueueUrl": queue, "Entries": entries})[0]
        for _ in range(8):
            shown, answer = ask("ReceiveMessage", {"QueueUrl": queue, "MaxNumberOfMessages": 2})
            yield shown
            for message in json.loads(answer.partition(b"\r\n\r\n")[2]).get("Messages", []):
                yield ask("DeleteMessage", {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]})[0]
        yield ask("ReceiveMessage", {"QueueUrl": queue, "WaitTimeSeconds": 1})[0]
        yield ask("DeleteMessage", {"QueueUrl": queue, "ReceiptHandle": "nonsense"})[0]


def _read(connection):
    data = b""
    while True:
        data += connection.recv(65_536)
        head, found, body = data.partition(b"\r\n\r\n")
        if found:
            [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) == int(length.partition(b":")[2]):
                return data
