"""The Runtime API: what a function's process asks of its execution environment, over HTTP on loopback.

Each environment listens on a port of its own, since a client knows no more than a host and a port. The answers are
those of AWS's own runtime emulator::

    GET  /2018-06-01/runtime/invocation/next           200 with the event, as soon as there is one
    POST /2018-06-01/runtime/invocation/ID/response    202; 413 too large; 400 unknown id; 403 in a wrong state
    POST /2018-06-01/runtime/invocation/ID/error       202; 400; 403
    POST /2018-06-01/runtime/init/error                202; 403 once an event was handed out

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, cast

import httptools

from infra.localaws.http import Request
from infra.localaws.lambda_.limits import MAX_PAYLOAD_BYTES

PREFIX: Final = "/2018-06-01/runtime/"
ERROR_TYPE: Final = "lambda-runtime-function-error-type"
ERROR_BODY: Final = "lambda-runtime-function-error-body"
MAX_HEAD_BYTES: Final = 2 * 1024 * 1024
"""A client may send a stack trace of 1 MiB in a header."""


@dataclass(slots=True)
class Event:
    """An invocation as its environment hands it out.

    Attributes:
        request_id: of the invocation.
        payload: the event, as JSON.
        deadline_ms: when the function is killed, in milliseconds since the epoch by the wall clock.
        function_arn: of the function.
        trace_id: the X-Ray header.
        client_context: of a direct invocation, as JSON; None where there is none.
    """

    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str
    client_context: str | None = None

    def head(self) -> bytes:
        """Return the head of the answer that hands it out."""
        context = f"Lambda-Runtime-Client-Context: {self.client_context}\r\n" if self.client_context else ""
        return (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self.payload)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {self.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {self.deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self.function_arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {self.trace_id}\r\n{context}\r\n"
        ).encode("latin-1")


class Phase(Enum):
    """Where the process is."""

    INIT = "it has not asked for an event yet"
    READY = "it waits for an event"
    RUNNING = "it has an event"
    ANSWERED = "it has answered, and not asked for the next event yet"
    FAILED = "it has reported that it cannot start"


class Environment(Protocol):
    """What the Runtime API tells the environment that it belongs to."""

    def on_ready(self) -> None:
        """The process waits for an event."""

    def on_answer(self, payload: bytes) -> bool:
        """The function has returned; False leaves its request without an answer."""

    def on_error(self, error_type: str, payload: bytes) -> None:
        """The function has failed."""

    def on_too_large(self, size: int) -> None:
        """The function has returned more bytes than it may."""

    def on_init_error(self, payload: bytes) -> None:
        """The process cannot start."""


class RuntimeApi:
    """The state of one environment's API.

    Args:
        environment: is told what the process does.
    """

    def __init__(self, environment: Environment) -> None:
        self.phase = Phase.INIT
        self._environment = environment
        self._event: Event | None = None
        self._waiting: _Connection | None = None
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> str:
        """Listen on a free port of loopback; return the address as host and port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.abort()

    def hand_out(self, event: Event) -> None:
        """Give an event to the process, which waits for one."""
        waiting = self._waiting
        if waiting is None:
            raise RuntimeError(f"An event was handed to a process of which it is known that {self.phase.value}.")
        self._waiting = None
        self._event = event
        self.phase = Phase.RUNNING
        # One write: with the body in a segment of its own the client's delayed acknowledgement costs 40 ms.
        waiting.write(event.head() + event.payload)

    # Requests

    def join(self, connection: "_Connection") -> None:
        """Take note of a connection."""
        self._connections.add(connection)

    def leave(self, connection: "_Connection") -> None:
        """Forget a connection; an event is not handed to a client that has gone."""
        self._connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None
            self.phase = Phase.ANSWERED if self._event else Phase.INIT

    def request(self, connection: "_Connection", request: Request, size: int) -> None:
        """Act on a request; ``size`` is its body's, of which only so much was kept as may be accepted."""
        path = request.target.partition("?")[0]
        if _may_be_a_page(request):
            connection.answer(403, "Forbidden", "The Runtime API answers the function's process alone, not web pages.")
        elif not path.startswith(PREFIX):
            connection.answer(404, "NotFound", f"The Runtime API has no {path}.")
        else:
            self._route(connection, request, path.removeprefix(PREFIX).split("/"), size)

    def _route(self, connection: "_Connection", request: Request, path: list[str], size: int) -> None:
        match request.method, path:
            case "GET", ["invocation", "next"]:
                self._next(connection)
            case "POST", ["invocation", request_id, "response" | "error" as kind]:
                self._finish(connection, request, request_id, size, is_error=kind == "error")
            case "POST", ["init", "error"]:
                self._init_error(connection, request)
            case _:
                connection.answer(404, "NotFound", f"The Runtime API has no {request.method} {request.target}.")

    def _next(self, connection: "_Connection") -> None:
        if self.phase in {Phase.RUNNING, Phase.FAILED} or self._waiting is not None:
            connection.answer(403, "InvalidStateTransition", f"No event is handed out now: {self.phase.value}.")
            return
        self._waiting = connection
        self.phase = Phase.READY
        self._environment.on_ready()

    def _finish(
        self, connection: "_Connection", request: Request, request_id: str, size: int, *, is_error: bool
    ) -> None:
        event = self._event
        if event is None or event.request_id != request_id:
            connection.answer(400, "InvalidRequestID", "Invalid request ID")
            return
        if self.phase is not Phase.RUNNING:
            connection.answer(403, "InvalidStateTransition", f"No answer is taken now: {self.phase.value}.")
            return
        self.phase = Phase.ANSWERED
        if size > MAX_PAYLOAD_BYTES:
            message = f"Exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
            connection.answer(413, "RequestEntityTooLarge", message)
            self._environment.on_too_large(size)
        elif is_error or ERROR_TYPE in request.headers:
            connection.accept()
            error_type = request.headers.get(ERROR_TYPE, "Runtime.UnknownReason")
            self._environment.on_error(error_type, _error_body(request))
        elif self._environment.on_answer(request.body):
            connection.accept()

    def _init_error(self, connection: "_Connection", request: Request) -> None:
        if self.phase is not Phase.INIT:
            connection.answer(403, "InvalidStateTransition", f"No init error is taken now: {self.phase.value}.")
            return
        self.phase = Phase.FAILED
        connection.accept()
        self._environment.on_init_error(_error_body(request))


def _may_be_a_page(request: Request) -> bool:
    """Return whether a browser may have sent a request: by its own headers, or under a name that points to loopback."""
    host = request.headers.get("host", "").partition(":")[0]
    return host not in _HOSTS or not _BROWSERS.isdisjoint(request.headers)


def _error_body(request: Request) -> bytes:
    """Return an error's description, which a streaming client sends as a trailer after what it had written by then."""
    trailer = request.headers.get(ERROR_BODY)
    if trailer is None:
        return request.body
    try:
        return base64.b64decode(trailer, validate=True)
    except (binascii.Error, ValueError):
        return json.dumps({"errorType": request.headers.get(ERROR_TYPE), "errorMessage": trailer}).encode()


class _Connection(asyncio.Protocol):
    """One client's connection; it reads chunked bodies and takes their trailers as headers."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self.on_message_begin()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send a whole answer."""
        if self._transport is not None:
            self._transport.write(data)

    def accept(self) -> None:
        """Answer that all is well."""
        self.write(_ACCEPTED)

    def answer(self, status: int, error_type: str, message: str) -> None:
        """Answer a refusal, in the form that AWS's clients read."""
        body = json.dumps({"errorMessage": message, "errorType": error_type}).encode()
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        self.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._api.join(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        self._transport = None
        self._api.leave(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.answer(400, "BadRequest", f"This is not a request that the Runtime API understands: {error}.")
            if self._transport is not None:
                self._transport.close()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_size = 0
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._head_size += len(name) + len(value)
        if self._head_size <= MAX_HEAD_BYTES:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Let a client send its body that waits for leave to."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, and only count what is too much."""
        self._size += len(body)
        if self._size <= MAX_PAYLOAD_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        """Act."""
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, self._target.decode("latin-1"), self._headers, bytes(self._body))
        self._api.request(self, request, self._size)


_ACCEPTED: Final = (
    b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
)
_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
_BROWSERS: Final = frozenset({"origin", "sec-fetch-site"})
_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Content Too Large",
}
