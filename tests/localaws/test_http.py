"""The HTTP face: what it takes, what it refuses, and that no web page can drive it."""

import contextlib
import json
import socket
import threading
import time

import pytest

from infra.localaws import http, server
from infra.localaws.config import EndpointConfig
from infra.localaws.http import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_PIPELINED, HttpConnection
from infra.localaws.server import running_endpoint
from services.common.loopback import is_loopback
from tests.localaws.lab import client_of


def _exchange(connection, data):
    connection.sendall(data)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def _health(*headers, host="localhost", connection="close"):
    lines = ["GET /_localaws/health HTTP/1.1", f"Host: {host}", f"Connection: {connection}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_health_names_the_endpoint(raw, history_path):
    status, body = _exchange(raw(), _health())
    document = json.loads(body)
    assert status == 200
    assert document.pop("pid") > 0
    assert document == {
        "service": "queue-fundamentals",
        "region": "us-west-1",
        "history": str(history_path),
        "speed": 1.0,
    }


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "127.9.9.9", "[::1]:4566", "[::1]"])
def test_names_of_loopback_are_answered(raw, host):
    assert _exchange(raw(), _health(host=host))[0] == 200


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "10.0.0.1", "", "[::1", "0.0.0.0"])  # noqa: S104 - to be refused
def test_other_hosts_are_refused(raw, host):
    status, body = _exchange(raw(), _health(host=host))
    assert status == 403
    assert body.startswith("This endpoint answers on loopback only")


@pytest.mark.parametrize("origin", ["https://example.com", "http://localhost:3000", "null", "http://127.0.0.1"])
def test_the_origin_of_another_page_is_refused(raw, origin):
    status, body = _exchange(raw(), _health(f"Origin: {origin}", host="localhost:80"))
    assert status == 403
    assert "does not answer web pages" in body


def test_its_own_origin_is_answered(raw):
    assert _exchange(raw(), _health("Origin: http://localhost:80", host="localhost:80"))[0] == 200


@pytest.mark.parametrize(
    "data", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", b"\x16\x03\x01\x02\0\1"]
)
def test_what_is_not_http_is_answered_400(raw, data):
    assert _exchange(raw(), data)[0] == 400


def test_an_upgrade_is_answered_400(raw):
    data = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert _exchange(raw(), data)[0] == 400


def test_too_large_a_body_is_refused_before_it_is_read(raw):
    data = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    assert _exchange(raw(), data)[0] == 413


def test_too_large_a_chunked_body_is_refused(raw):
    connection = raw()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    answer = b""
    try:
        for _ in range(20):
            connection.sendall(chunk)
        answer = connection.recv(100)
    except ConnectionError:
        return  # refused and closed while there was still more to send
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_too_large_a_head_is_refused(raw):
    assert _exchange(raw(), _health("X: " + "x" * 70_000))[0] == 431


def test_a_client_that_asks_may_go_on_with_its_body(raw):
    connection = raw()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"{}")
    assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_request_in_pieces_and_several_in_one_piece_are_all_answered(raw):
    connection = raw()
    for byte in _health(connection="keep-alive"):
        connection.sendall(bytes([byte]))
    data = _health(connection="keep-alive") * 3 + _health()
    connection.sendall(data)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    assert answer.count(b"HTTP/1.1 200 OK") == 5


@pytest.mark.parametrize(
    ("request_head", "status", "sentence"),
    [
        ("GET /nowhere", 404, "use an AWS SDK"),
        ("GET /_localaws/nowhere", 404, "There is no such route"),
        ("POST /_localaws/health", 404, "There is no such route"),
        ("POST /_localaws/queues/none/reset", 404, "There is no queue 'none' to reset."),
        ("POST /?Action=SendMessage", 400, "The request must contain the parameter QueueUrl."),
        ("POST /", 400, "The request must contain the parameter Action."),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(raw, request_head, status, sentence):
    data = f"{request_head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    answer = _exchange(raw(), data)
    assert answer[0] == status
    assert sentence in answer[1]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "the body is not JSON"),
        ("[]", "the body must be an object"),
        ('{"sed":1}', "the body must be an object"),
        ('{"seed":"1"}', "seed must be an integer"),
        ('{"delivery":{"reorder":2}}', "reorder is a probability from 0 to 1, not 2"),
        ('{"delivery":{"x":0}}', "delivery must be an object"),
        ('{"purge":-1}', "purge is a number of seconds from 0 on, not -1"),
        ('{"purge":"60"}', "purge is a number of seconds from 0 on, not '60'"),
    ],
)
def test_a_malformed_reset_changes_nothing_and_says_why(raw, sqs, new_queue, body, sentence):
    url = new_queue()
    sqs.send_message(QueueUrl=url, MessageBody="x")
    path = f"/_localaws/queues/{url.rpartition('/')[2]}/reset"
    data = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    status, answer = _exchange(raw(), data.encode())
    assert status == 400
    assert sentence in answer
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.com", False), ("", False)],  # noqa: S104 - to be refused
)
def test_what_counts_as_loopback(host, expected):
    assert is_loopback(host) is expected


def test_half_a_request_does_not_keep_its_connection_for_ever(monkeypatch):
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.05)
    with running_endpoint(EndpointConfig()) as endpoint:
        port = int(endpoint.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as idle:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
                half.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
                with contextlib.suppress(ConnectionResetError):
                    assert half.recv(1) == b""
            # One between two requests may stay.
            idle.sendall(_health(connection="keep-alive"))
            assert idle.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_takes_no_answers_fills_no_memory(raw, endpoint, new_queue, sqs):
    url = new_queue(VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="x" * 1_000_000)
    body = json.dumps({"QueueUrl": url}).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: {len(body)}"
    )
    connection = raw()
    with contextlib.suppress(ConnectionError):
        connection.sendall((head.encode() + b"\r\n\r\n" + body) * 60)
    sqs.list_queues()
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "1"
    assert endpoint._sqs.home.model.queue(url.rpartition("/")[2])._deliveries < 60


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "anything"])
def test_what_a_page_causes_without_an_origin_is_refused(raw, site):
    status, body = _exchange(raw(), _health(f"Sec-Fetch-Site: {site}"))
    assert status == 403
    assert "does not answer web pages" in body


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_an_address_that_a_user_types_is_answered(raw, site):
    assert _exchange(raw(), _health(f"Sec-Fetch-Site: {site}"))[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("action", ["SendMessage&MessageBody=x", "PurgeQueue", "DeleteQueue", "ReceiveMessage"])
def test_an_unsigned_request_changes_nothing_but_by_post(raw, sqs, new_queue, method, action):
    url = new_queue()
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    path = url[url.index("/", 8) :]
    head = f"{method} {path}?Action={action} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, body = _exchange(raw(), head.encode())
    assert status == 403
    assert "MissingAuthenticationToken" in body or method == "HEAD"
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == ["kept"]


@pytest.mark.parametrize(
    ("query", "header"),
    [
        ("&X-Amz-Signature=0", ""),
        ("&Signature=0", ""),
        ("", "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-west-1/sqs/aws4_request, Signature=0\r\n"),
    ],
)
def test_a_signed_get_may_change_something(raw, sqs, new_queue, query, header):
    url = new_queue()
    path = url[url.index("/", 8) :]
    target = f"{path}?Action=SendMessage&MessageBody=signed{query}"
    data = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n"
    assert _exchange(raw(), data.encode())[0] == 200
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "signed"


def test_an_unsigned_get_reads(raw, new_queue):
    path = new_queue()
    path = path[path.index("/", 8) :]
    target = f"{path}?Action=GetQueueAttributes&AttributeName.1=All"
    status, body = _exchange(raw(), f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert status == 200
    assert "VisibilityTimeout" in body


@pytest.mark.parametrize("second", ["example.com", "localhost"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_two_host_headers_are_refused(raw, second, place):
    hosts = ["Host: localhost", f"Host: {second}"]
    lines = ["GET /_localaws/health HTTP/1.1", *(hosts if place == "after" else reversed(hosts)), "", ""]
    status, body = _exchange(raw(), "\r\n".join(lines).encode())
    assert (status, body) == (400, "The request has more than one host header.\n")


def test_a_trailer_does_not_replace_a_header(raw):
    data = (
        b"POST /?Action=ListQueues HTTP/1.1\r\nHost: example.com\r\nOrigin: http://example.com\r\n"
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: localhost\r\nX: y\r\n\r\n"
    )
    assert _exchange(raw(), data)[0] == 403
    data = data.replace(b"Host: example.com\r\nOrigin: http://example.com", b"Host: localhost")
    assert _exchange(raw(), data.replace(b"0\r\nHost: localhost", b"0\r\nHost: example.com"))[0] == 200


@pytest.mark.parametrize(
    "request_", [_health(connection="keep-alive"), b"POST /?Action=ListQueues HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_more_requests_in_one_piece_than_may_wait_are_all_answered(raw, sqs, new_queue, request_):
    """The first one waits, so that the others have to."""
    body = json.dumps({"QueueUrl": new_queue(), "WaitTimeSeconds": 1})
    head = f"Host: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: {len(body)}"
    first = f"POST / HTTP/1.1\r\n{head}\r\n\r\n{body}"
    count = 20 * MAX_PIPELINED
    connection = raw()
    sender = threading.Thread(target=connection.sendall, args=(first.encode() + request_ * count + _health(),))
    sender.start()
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    sender.join()
    assert answer.count(b"HTTP/1.1 200 OK") == count + 2


def test_requests_after_a_closing_one_are_not_performed(raw, sqs, new_queue):
    url = new_queue()
    path = url[url.index("/", 8) :]
    send = f"POST {path}?Action=SendMessage&MessageBody=x HTTP/1.1\r\nHost: localhost\r\n"
    data = f"{send}Connection: close\r\nContent-Length: 0\r\n\r\n{send}Content-Length: 0\r\n\r\n"
    assert _exchange(raw(), data.encode())[0] == 200
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "1"


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;x=",
    ],
    ids=["target", "header", "name", "trailer", "chunk extension"],
)
def test_a_head_that_never_ends_is_refused_while_it_arrives(raw, start):
    """The client sends on until it is refused: the endpoint holds at most its limit and what one read brings."""
    connection = raw()
    sent = 0
    with contextlib.suppress(ConnectionError):
        connection.sendall(start)
        while sent < 64 * MAX_HEAD_BYTES:
            connection.sendall(b"x" * 4096)
            sent += 4096
    assert sent < 64 * MAX_HEAD_BYTES
    with contextlib.suppress(ConnectionError):
        assert connection.recv(100)[:13] in {b"HTTP/1.1 431 ", b"HTTP/1.1 400 "}


@pytest.mark.parametrize("piece", [1_000, 16_384, 65_536, 1_000_000])
def test_an_unfinished_head_is_never_held_beyond_its_limit(piece):
    connection = HttpConnection(lambda _: None)
    transport = FakeTransport()
    connection.connection_made(transport)
    connection.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    fed = 0
    while not transport.written:
        connection.data_received(b"x" * piece)
        fed += piece
    assert transport.written.startswith(b"HTTP/1.1 431 ")
    assert fed <= MAX_HEAD_BYTES + max(piece, 16_384)


class FakeTransport:
    def __init__(self):
        self.written = b""
        self.is_closed = False

    def write(self, data):
        self.written += data

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed


def test_a_client_that_never_reads_is_cut_off(monkeypatch):
    monkeypatch.setattr(http, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.1)
    with running_endpoint(EndpointConfig()) as endpoint:
        port = int(endpoint.url.rpartition(":")[2])
        sqs = client_of(endpoint, "sqs")
        url = sqs.create_queue(QueueName="large", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="x" * 1_000_000)
        body = json.dumps({"QueueUrl": url})
        head = f"Host: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: {len(body)}"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(f"POST / HTTP/1.1\r\n{head}\r\n\r\n{body}".encode() * 50)
            deadline = time.monotonic() + 20
            while endpoint._sqs.home.model.queue("large")._deliveries == 0:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            while len(endpoint._connections) > 1:  # the SDK's own stays
                assert time.monotonic() < deadline
                time.sleep(0.01)
        sqs.close()
