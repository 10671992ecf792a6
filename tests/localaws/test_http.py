"""The HTTP face: what it takes, what it refuses, and that no web page can drive it."""

import contextlib
import json
import socket

import pytest

from infra.localaws import http, server
from infra.localaws.config import EndpointConfig
from infra.localaws.http import MAX_BODY_BYTES, is_loopback
from infra.localaws.server import running_endpoint


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
def test_a_foreign_origin_is_refused(raw, origin):
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
    assert endpoint._model.queue(url.rpartition("/")[2])._deliveries < 60
