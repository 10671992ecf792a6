"""HTTP/1.1 on loopback: an asyncio protocol over httptools, with keep-alive, pipelining and pending answers.

The application is one function from a request to a response, or to a ``Pending`` whose response comes later (a long
poll). Requests of one connection are answered in the order in which they came.
"""

import asyncio
import ipaddress
import logging
import select
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import httptools

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A batch of 1 MiB can grow sixfold when a client escapes every character of it in JSON."""
MAX_HEAD_BYTES: Final = 64 * 1024
REQUEST_SECONDS: Final = 60.0
"""How long a client may take to send one request; after that its connection is closed."""
MAX_PIPELINED: Final = 64
"""Requests of one connection that may wait behind a pending one."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """One request; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool = True


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

    def to_bytes(self, *, keep_alive: bool = True) -> bytes:
        """Return the response as it goes over the wire."""
        extra = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        if not keep_alive:
            extra += "Connection: close\r\n"
        length = len(self.body) if self.length is None else self.length
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"
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


class ShortCut(Protocol):
    """Answers the plainest requests without the general parser, ``Request`` and ``Response``."""

    def __call__(self, data: bytes, start: int) -> "tuple[bytes | Pending, int] | None":
        """Return the bytes of the response (or what leads to it), and where the next request begins.

        Args:
            data: what has arrived.
            start: where in it the request begins.

        Returns:
            None if the general parser has to read the request.
        """


class HttpConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, application: Application, short_cut: ShortCut | None = None) -> None:
        self._application = application
        self._short_cut = short_cut
        self._is_between_requests = True
        self._began = 0.0
        self._is_paused = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request | Response] = deque()
        self._pending: Pending | None = None
        self._begin_message()

    def abort(self) -> None:
        """Close the connection, whatever is under way."""
        if self._transport:
            self._transport.abort()

    def is_overdue(self, now: float) -> bool:
        """Tell whether the client has been sending one request for too long; ``now`` is of the monotonic clock."""
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
        """Take the end of the client's side as its farewell; the transport is closed."""
        return False

    def pause_writing(self) -> None:
        """Read and answer no more to a client that does not take its answers."""
        self._is_paused = True
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._is_paused = False
        if self._transport:
            self._transport.resume_reading()
        self._drain()

    def data_received(self, data: bytes) -> None:
        """Parse, and answer what is complete."""
        start = self._take_short_cuts(data)
        if start == len(data):
            return
        try:
            self._parser.feed_data(data[start:] if start else data)
        except httptools.HttpParserUpgrade:
            # httptools has queued the request up and takes all further bytes for another protocol's.
            self._waiting.pop()
            self._refuse(400, "This endpoint speaks plain HTTP/1.1 and upgrades to nothing else.")
        except httptools.HttpParserError as error:
            if not isinstance(error.__context__, _Refusal):
                self._refuse(400, f"This is not an HTTP/1.1 request that this endpoint understands: {error}.")
        if len(self._waiting) > MAX_PIPELINED and self._transport:
            self._transport.close()
            return
        self._drain()

    def _take_short_cuts(self, data: bytes) -> int:
        """Answer the plainest requests; return where what is left for the general parser begins."""
        start = 0
        short_cut = self._short_cut
        transport = self._transport
        if short_cut is None or transport is None:
            return start
        while (
            start < len(data)
            and self._is_between_requests
            and self._pending is None
            and not self._waiting
            and not self._is_paused
            and not transport.is_closing()
        ):
            try:
                taken = short_cut(data, start)
            except Exception:  # noqa: BLE001 - a fault of ours must not cost the client its connection
                _LOG.exception("A request could not be answered.")
                self._refuse(500, _FAILED)
                self._drain()
                return len(data)
            if taken is None:
                break
            answer, start = taken
            if isinstance(answer, bytes):
                transport.write(answer)
            else:
                self._await(answer, keep_alive=True)
        return start

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_between_requests = False
        self._began = time.monotonic()
        self._begin_message()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._grow_head(len(url))
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._grow_head(len(name) + len(value))
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Look at what the headers announce."""
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            self._too_large()
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport and self._pending is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._too_large()

    def on_message_complete(self) -> None:
        """Queue the request up."""
        self._is_between_requests = True
        self._waiting.append(
            Request(
                self._parser.get_method().decode("latin-1"),
                self._target.decode("latin-1"),
                self._headers,
                bytes(self._body),
                self._parser.should_keep_alive(),
            )
        )

    # Within

    def _begin_message(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_bytes = 0

    def _grow_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The request line and headers are larger than {MAX_HEAD_BYTES} bytes.")
            raise _Refusal

    def _too_large(self) -> None:
        self._refuse(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        raise _Refusal

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer what came before, then this, then close."""
        self._waiting.append(text_response(status, sentence))

    def _drain(self) -> None:
        while self._waiting and self._pending is None and self._transport and not self._is_paused:
            following = self._waiting.popleft()
            if isinstance(following, Response):
                self._waiting.clear()
                self._write(following, keep_alive=False)
                return
            answer = self._answer(following)
            if isinstance(answer, Response):
                self._write(answer, keep_alive=following.keep_alive)
            else:
                self._await(answer, keep_alive=following.keep_alive)

    def _answer(self, request: Request) -> "Response | Pending":
        refusal = foreign(request)
        if refusal:
            return text_response(403, refusal)
        try:
            return self._application(request)
        except Exception:  # noqa: BLE001 - a fault of ours must not cost the client its connection
            _LOG.exception("A request could not be answered.")
            return text_response(500, _FAILED)

    def _await(self, pending: Pending, *, keep_alive: bool) -> None:
        def respond(response: Response) -> None:
            if self._pending is pending:
                self._pending = None
                self._write(response, keep_alive=keep_alive)
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


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def foreign(request: Request) -> str | None:
    """Return why a request may come from a web page and is refused, None if it may not.

    A page can send requests to loopback, by its own script (the browser then names the page in ``Origin``) or under a
    name of its own that it lets point to 127.0.0.1 (which then stands in ``Host``).
    """
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        return f"This endpoint answers on loopback only: the Host header must be localhost or 127.0.0.1, not {host!r}."
    origin = request.headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return f"This endpoint does not answer web pages; the request comes from {origin!r}."
    return None


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
