"""HTTP/1.1 on loopback: an asyncio protocol over httptools, with keep-alive, pipelining and pending answers.

The application is one function from a request to a response, or to a ``Pending`` whose response comes later (a long
poll). Requests of one connection are answered in the order in which they came.
"""

import asyncio
import select
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, cast

import httptools

from infra.localaws.faults import FAULTS
from infra.localaws.pages import names_loopback, refuse_page
from infra.localaws.request_head import PlainPlaces, RepeatedHeaderError, Shape, shape_of

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A batch of 1 MiB can grow sixfold when a client escapes every character of it in JSON."""
MAX_HEAD_BYTES: Final = 64 * 1024
REQUEST_SECONDS: Final = 60.0
"""How long a client may take to send one request; after that its connection is closed."""
WRITE_SECONDS: Final = 60.0
"""How long answers may wait for a client that does not read them; after that its connection is closed."""
MAX_PIPELINED: Final = 64
"""Requests of one connection that wait for their turn; with more of them the connection is not read for a while."""

_PIECE_BYTES: Final = 16 * 1024
"""The parser gets no more at once, so that an unfinished head is noticed soon after it is too large."""
_LINE_BYTES: Final = 4
"""A header's colon, space and line end."""


@dataclass(slots=True)
class Request:
    """One request; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool = True


class PlainRequest(NamedTuple):
    """A kept-alive ``POST /`` of which no header changes how it is read: what an SDK sends for each message.

    Attributes:
        shape: the names of the headers, the plain ones among them.
        values: the headers' values.
        places: where the values of interest stand.
        body: the body.
    """

    shape: Shape
    values: list[bytes]
    places: PlainPlaces
    body: bytes

    def request(self) -> Request:
        """Return the same as a general request."""
        return Request("POST", "/", self.shape.headers(self.values), self.body)


@dataclass(slots=True)
class Response:
    """One response; ``Content-Length`` and ``Connection`` are added when it is written.

    Attributes:
        length: the ``Content-Length`` where the body is left out, as in the answer to a HEAD; None for the body's own.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None

    @property
    def reason(self) -> str:
        """What its status line says beside the status."""
        return _REASONS.get(self.status, "Unknown")

    def without_body(self) -> "Response":
        """Return the answer to a HEAD: the same headers, and no body."""
        length = len(self.body) if self.length is None else self.length
        return Response(self.status, b"", self.content_type, self.headers, length)

    def to_bytes(self, *, keep_alive: bool = True) -> bytes:
        """Return the response as it goes over the wire."""
        extra = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        if not keep_alive:
            extra += "Connection: close\r\n"
        length = len(self.body) if self.length is None else self.length
        head = (
            f"HTTP/1.1 {self.status} {self.reason}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {length}\r\n{extra}\r\n"
        )
        return head.encode("latin-1") + self.body


class Pending(Protocol):
    """A response that comes later."""

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:
        """Begin to wait.

        Args:
            respond: to be called once, not before this returns, unless ``cancel`` comes first.
            is_open: tells whether the client is still there, just before something is handed to it for good.
        """

    def cancel(self) -> None:
        """Give up: the client has gone."""


Application = Callable[[Request], "Response | Pending"]
PlainApplication = Callable[[PlainRequest], "bytes | Pending | None"]
"""Gives the bytes of the answer to a plain request; None if the request has to be answered as a general one."""
BodyLimit = Callable[[bytes], int]
"""Gives the bytes that a body may have, by the request's target."""


class HttpConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(
        self,
        application: Application,
        body_limit: BodyLimit = lambda _: MAX_BODY_BYTES,
        plain_application: PlainApplication = lambda _: None,
    ) -> None:
        self._application = application
        self._plain_application = plain_application
        self._body_limit = body_limit
        self._body_bytes = MAX_BODY_BYTES
        self._is_between_requests = True
        self._began = 0.0
        self._blocked_since: float | None = None
        self._is_held_back = False
        self._is_refusing = False
        self._unread_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request | PlainRequest | Response] = deque()
        self._pending: Pending | None = None
        self._shape = shape_of(())
        self._headers: dict[str, str] | None = None
        self._begin_message()

    def abort(self) -> None:
        """Close the connection, whatever is under way."""
        if self._transport:
            self._transport.abort()

    def is_overdue(self, now: float) -> bool:
        """Return whether the client sends one request, or takes one answer, for too long.

        Args:
            now: the time of the monotonic clock.
        """
        if self._blocked_since is not None:
            return now - self._blocked_since > WRITE_SECONDS
        return not self._is_between_requests and now - self._began > REQUEST_SECONDS

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports have the methods of asyncio.Transport without being of that class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is pending."""
        del exc
        self._transport = None
        self._waiting.clear()
        self._abandon()

    def eof_received(self) -> bool:
        """Close the transport: a client that ends its side leaves."""
        return False

    def pause_writing(self) -> None:
        """Read and answer no more while the client does not take its answers."""
        self._blocked_since = time.monotonic()
        self._hold_back()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked_since = None
        self._drain()

    def data_received(self, data: bytes) -> None:
        """Parse, and answer what is complete."""
        if self._is_refusing:
            return
        try:
            if len(data) <= _PIECE_BYTES:
                self._feed(data)
            else:
                for start in range(0, len(data), _PIECE_BYTES):
                    self._feed(data[start : start + _PIECE_BYTES])
        except httptools.HttpParserUpgrade:
            # httptools has queued the request up and takes all further bytes for another protocol's.
            self._waiting.pop()
            self._refuse(400, "This endpoint speaks plain HTTP/1.1 and upgrades to nothing else.")
        except httptools.HttpParserError as error:
            if not isinstance(error.__context__, _Refusal):
                self._refuse(400, f"This is not an HTTP/1.1 request that this endpoint understands: {error}.")
        except _Refusal:
            pass
        self._drain()
        if len(self._waiting) >= MAX_PIPELINED:
            self._hold_back()

    def _feed(self, piece: bytes) -> None:
        """Parse a piece; the parser itself keeps a header that is not complete, however long it gets."""
        self._unread_bytes += len(piece)
        self._parser.feed_data(piece)
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._head_too_large()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_between_requests = False
        self._began = time.monotonic()
        self._begin_message()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which comes after the body and changes nothing any more."""
        self._names.append(name)
        self._values.append(value)

    def on_headers_complete(self) -> None:
        """Look at what the headers announce."""
        # The head may have begun in the piece in which the last request ended.
        if self._unread_bytes + _PIECE_BYTES > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            self._head_too_large()
        self._unread_bytes = 0
        self._shape = shape = shape_of(tuple(self._names))
        self._headers = None if shape.plain else self._read_headers(shape)
        self._body_bytes = self._body_limit(self._target)
        # The parser has checked that it is a number, and that it fits into 64 bits.
        if shape.length is not None and int(self._values[shape.length]) > self._body_bytes:
            self._body_too_large()
        if shape.has_expect:
            self._let_body_come()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unread_bytes = 0
        self._body.append(body)
        self._body_length += len(body)
        if self._body_length > self._body_bytes:
            self._body_too_large()

    def on_message_complete(self) -> None:
        """Queue the request up."""
        self._is_between_requests = True
        self._unread_bytes = 0
        parser, shape, target = self._parser, self._shape, self._target
        body = b"".join(self._body)
        method, keep_alive = parser.get_method(), parser.should_keep_alive()
        if shape.plain is not None and target == b"/" and method == b"POST" and keep_alive:
            self._waiting.append(PlainRequest(shape, self._values, shape.plain, body))
            return
        headers = shape.headers(self._values) if self._headers is None else self._headers
        self._waiting.append(Request(method.decode("latin-1"), target.decode("latin-1"), headers, body, keep_alive))

    # Within

    def _let_body_come(self) -> None:
        expected = self._headers["expect"].lower() if self._headers else ""
        if expected == "100-continue" and self._transport and self._pending is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin_message(self) -> None:
        self._target = b""
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._body: list[bytes] = []
        self._body_length = 0

    def _head_bytes(self) -> int:
        fields = sum(map(len, self._names)) + sum(map(len, self._values))
        return len(self._target) + fields + _LINE_BYTES * len(self._names)

    def _read_headers(self, shape: Shape) -> dict[str, str]:
        try:
            return shape.headers(self._values)
        except RepeatedHeaderError as repeated:
            self._refuse(400, f"The request has more than one {repeated.name} header.")
            raise _Refusal from None

    def _head_too_large(self) -> None:
        self._refuse(431, f"The request line and headers are larger than {MAX_HEAD_BYTES} bytes.")
        raise _Refusal

    def _body_too_large(self) -> None:
        self._refuse(413, f"The body is larger than {self._body_bytes} bytes.")
        raise _Refusal

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer what came before, then this, then close."""
        if not self._is_refusing:
            self._is_refusing = True
            self._waiting.append(text_response(status, sentence))

    def _hold_back(self) -> None:
        if self._transport and not self._is_held_back and not self._transport.is_closing():
            self._is_held_back = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._transport and self._is_held_back and not self._transport.is_closing():
            self._is_held_back = False
            self._transport.resume_reading()

    def _drain(self) -> None:
        while self._waiting and self._is_ready():
            following = self._waiting.popleft()
            if isinstance(following, Response):
                self._waiting.clear()
                self._write(following, keep_alive=False)
                return
            if isinstance(following, PlainRequest):
                self._answer_plain(following)
            else:
                self._answer(following)
        if len(self._waiting) < MAX_PIPELINED and self._blocked_since is None:
            self._read_on()

    def _is_ready(self) -> bool:
        """Return whether the next request may be answered: one after a closing answer would be performed in vain."""
        transport = self._transport
        return (
            self._pending is None
            and self._blocked_since is None
            and transport is not None
            and not transport.is_closing()
        )

    def _answer_plain(self, request: PlainRequest) -> None:
        answer = None
        if names_loopback(request.values[request.places.host]):
            try:
                answer = self._plain_application(request)
            except Exception:  # noqa: BLE001 - a fault of ours must not cost the client its connection
                FAULTS.exception("A request could not be answered.")
                answer = text_response(500, _FAILED).to_bytes()
        if isinstance(answer, bytes):
            if self._transport is not None:
                self._transport.write(answer)
        elif answer is None:
            self._answer(request.request())
        else:
            self._await(request.request(), answer)

    def _answer(self, request: Request) -> None:
        answer = self._answer_to(request)
        if isinstance(answer, Response):
            self._respond(request, answer)
        else:
            self._await(request, answer)

    def _answer_to(self, request: Request) -> "Response | Pending":
        refusal = refuse_page(request)
        if refusal:
            return text_response(403, refusal)
        try:
            return self._application(request)
        except Exception:  # noqa: BLE001 - a fault of ours must not cost the client its connection
            FAULTS.exception("A request could not be answered.")
            return text_response(500, _FAILED)

    def _await(self, request: Request, pending: Pending) -> None:
        def respond(response: Response) -> None:
            if self._pending is pending:
                self._pending = None
                self._respond(request, response)
                self._drain()

        self._pending = pending
        pending.start(respond, self._is_open)

    def _abandon(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.cancel()

    def _is_open(self) -> bool:
        if self._transport is None or self._transport.is_closing():
            return False
        return not _peer_has_closed(self._transport.get_extra_info("socket").fileno())

    def _respond(self, request: Request, response: Response) -> None:
        if request.method == "HEAD":
            response = response.without_body()
        self._write(response, keep_alive=request.keep_alive)

    def _write(self, response: Response, *, keep_alive: bool) -> None:
        if self._transport is None:
            return
        self._transport.write(response.to_bytes(keep_alive=keep_alive))
        if not keep_alive:
            self._transport.close()


class _Refusal(Exception):  # noqa: N818 - leaves the parser, and never reaches a user
    """Stops the parser; the refusal is queued already."""


def text_response(status: int, sentence: str) -> Response:
    """Return a response of one sentence."""
    return Response(status, (sentence + "\n").encode(), "text/plain; charset=utf-8")


def _peer_has_closed(descriptor: int) -> bool:
    """Look whether the peer's farewell has arrived that the event loop has not read yet."""
    watch = select.poll()
    gone = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
    watch.register(descriptor, gone)
    return any(events & gone for _, events in watch.poll(0))


_FAILED: Final = "The endpoint failed on this request; its log says where."
_REASONS: Final = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}
