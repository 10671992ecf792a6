"""A raw load generator: scripts of requests made beforehand, one connection each, all served by one loop.

A script is a generator that yields the bytes of a request and is sent those of the answer's body. Nothing is signed,
validated or turned into objects here, so that the server is what is measured and not the client.
"""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

from scenarios.errors import BenchmarkError

Script = Generator[bytes, bytes, None]

SQS = "AmazonSQS"
DYNAMODB = "DynamoDB_20120810"
ANSWER_SECONDS = 30.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def request(service: str, action: str, parameters: dict[str, Any]) -> bytes:
    """Return a request of the JSON protocol with the headers that an SDK sends, its signature made up."""
    body = json.dumps(parameters, separators=(",", ":")).encode()
    scope = "sqs" if service == SQS else "dynamodb"
    return (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {service}.{action}\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=dummy/20260101/us-west-1/{scope}/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection:
    """A blocking connection that is opened anew when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = self._connect()
        self._received = b""

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send a request."""
        self._received = b""
        try:
            self._socket.sendall(data)
        except OSError:
            self.close()
            self._socket = self._connect()
            self._socket.sendall(data)

    def read(self) -> bytes | None:
        """Take what has arrived; return the answer's body once it is whole, None before."""
        piece = self._socket.recv(1 << 18)
        self._received += piece
        head, found, body = self._received.partition(_HEAD_END)
        length = _LENGTH.search(head) if found else None
        if not piece and length is None:
            raise BenchmarkError("A server closed a connection in the middle of an answer.")
        if length is None or len(body) < int(length[1]):
            return None
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise BenchmarkError(f"A server refused a request: {body[:300].decode(errors='replace')}")
        if b"connection: close" in head.lower() or head.startswith(b"HTTP/1.0"):
            self.close()
            self._socket = self._connect()
        return body

    def call(self, data: bytes) -> bytes:
        """Make one request and wait for its answer's body."""
        self.send(data)
        while (body := self.read()) is None:
            pass
        return body

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def run(port: int, scripts: Iterable[Callable[[], Script]], seconds: float) -> int:
    """Run scripts side by side until all have ended or the time is over; return how many answers came.

    Args:
        port: the server's, on loopback.
        scripts: each gets a connection of its own.
        seconds: after which no script is given another turn.
    """
    poll = select.poll()
    running: dict[int, tuple[Connection, Script]] = {}
    deadline = time.perf_counter() + seconds
    answers = 0
    try:
        for start in scripts:
            connection, script = Connection(port), start()
            _advance(running, poll, connection, script, None)
        while running:
            for descriptor, _ in poll.poll(1000 * ANSWER_SECONDS) or _late():
                connection, script = running[descriptor]
                body = connection.read()
                if body is None:
                    continue
                answers += 1
                poll.unregister(descriptor)
                del running[descriptor]
                if time.perf_counter() < deadline:
                    _advance(running, poll, connection, script, body)
                else:
                    connection.close()
    finally:
        for connection, _ in running.values():
            connection.close()
    return answers


def _advance(
    running: dict[int, tuple[Connection, Script]],
    poll: select.poll,
    connection: Connection,
    script: Script,
    body: bytes | None,
) -> None:
    """Let a script go on with an answer; None starts it."""
    try:
        data = next(script) if body is None else script.send(body)
    except StopIteration:
        connection.close()
        return
    connection.send(data)
    running[connection.fileno()] = connection, script
    poll.register(connection.fileno(), select.POLLIN)


def _late() -> list[tuple[int, int]]:
    raise BenchmarkError(f"A server did not answer within {ANSWER_SECONDS:.0f} seconds.")
