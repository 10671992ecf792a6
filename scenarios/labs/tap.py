"""The tap: one program's way to AWS, where the lab sees what it does, and where faults strike it.

    program ── HTTP ──▶ tap ── HTTP ──▶ the endpoint
                         │
                         └ the records that our own consumer writes of itself: invoke, fault, ok or fail

A crash is SIGKILL at this very point of the program's way: the request is not sent on, or its answer does not come
back. A delay or an error is the external system's (or the queue's) own. Each program has a tap of its own on loopback,
so whoever asks there is known. The endpoint checks no signatures, so a request may be changed on its way.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from scenarios.labs.wire import (
    DYNAMODB,
    SQS,
    BreaksContractError,
    Reader,
    Reading,
    Surroundings,
    add_one,
    executions_in,
    look_up,
)
from services.clients import is_loopback
from services.drivers.recorded import RecordedDriver
from services.faults import Fault, FaultPlan
from services.history import Recorder
from services.operations import LookUpSideEffect, Operation, OperationFailed, Receive

#: Below this path a program without a DynamoDB client causes its side effects.
SIDE_EFFECTS = "/side-effects/"
#: Seconds for which a receive waits that a program makes after it is done.
AFTERWARDS = 0.2
#: Seconds for the tap's threads to end, once their programs have.
CLOSING = 5.0

#: What concerns one connection alone. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
_HOP_BY_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})
#: A sum over a body, which no longer fits one that was changed.
_SUM = "x-amz-crc32"
_POLL_CLOSED = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass(frozen=True, slots=True)
class Program:
    """Whose way this is.

    Attributes:
        name: its name in the history.
        around: its queue, its ledger and its limits.
        faults: what shall strike it.
        kill: ends it by SIGKILL, with whatever it has started.
    """

    name: str
    around: Surroundings
    faults: FaultPlan
    kill: Callable[[], None]


class Tap:
    """A tap that listens on loopback.

    Args:
        upstream: the endpoint's URL.
        recorder: takes the program's records.

    Attributes:
        url: the endpoint, as the program shall see it.
        asked: whether the program has ever asked for a message.
        complaint: what it did that nobody could judge, in words that complete "it ..."; empty for nothing.
    """

    def __init__(self, program: Program, upstream: str, recorder: Recorder) -> None:
        self.program = program
        self.recorder = recorder
        self.reader = Reader(program.around)
        self.faults = _Shared(program.faults)
        self.asked = False
        self.complaint = ""
        self._upstream = urlsplit(upstream)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def open(self) -> None:
        """Begin to answer; what has come before waits."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and wait until all that was under way is over."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def answer(self, request: _Request) -> _Response:
        """Answer a request.

        Raises:
            _GoneError: nobody is there any more to take the answer.
        """
        if request.path.startswith(SIDE_EFFECTS):
            return self._side_effect(request)
        try:
            reading = self.reader.read(request.headers.get("x-amz-target", ""), request.body)
        except BreaksContractError as error:
            self.complaint = self.complaint or str(error)
            return _refusal(request, "ValidationException", f"This program {error}.", 400)
        if reading is None:
            return self.forward(request, request.body)
        if isinstance(reading.operation, Receive):
            if not self.asked:
                self.asked = True
                self.recorder.event("started")
            if self.reader.is_done:
                request.pause(AFTERWARDS)
                return _Response(200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}")
        return self._perform(request, reading)

    def _perform(self, request: _Request, reading: Reading) -> _Response:
        """Do an operation as our own driver does: with records around it, and faults among them."""
        step = _Step(self, request, reading)
        driver = RecordedDriver(step, self.recorder, self.faults, _Strikes(self.program.kill, request))
        try:
            driver.perform(reading.operation)
        except OperationFailed as error:
            return step.response or _injected(request, error)
        return step.given

    def _side_effect(self, request: _Request) -> _Response:
        """Cause a side effect, or ask for it, for a program without a DynamoDB client."""
        key = unquote(request.path.removeprefix(SIDE_EFFECTS))
        if request.refuses_pages:
            return _plain(403, "Web pages cause no side effects here.")
        if not key or request.method not in ("GET", "POST"):
            return _plain(405, f"POST {SIDE_EFFECTS}KEY causes a side effect, GET asks how often it was caused.")
        table = self.program.around.ledger
        asks = request.method == "GET"
        operation = LookUpSideEffect(key) if asks else self.reader.effect(key)
        body = look_up(table, key) if asks else add_one(table, key)

        def answer(data: bytes) -> tuple[Any, bytes]:
            count = executions_in(data)
            told = json.dumps({"key": key, "executions": count}).encode() + b"\n"
            return (count > 0 if asks else count), told

        action = "GetItem" if asks else "UpdateItem"
        return self._perform(request.of_dynamodb(action), Reading(operation, body, answer))

    def forward(self, request: _Request, body: bytes) -> _Response:
        """Have the endpoint answer, as long as the program waits for it.

        Raises:
            _GoneError: it waits no more.
        """
        upstream = self._upstream
        kind = http.client.HTTPSConnection if upstream.scheme == "https" else http.client.HTTPConnection
        connection = kind(upstream.hostname or "", upstream.port)
        try:
            headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
            connection.request(request.method, upstream.path.rstrip("/") + request.path, body, headers)
            request.wait_for(connection.sock)
            told = connection.getresponse()
            kept = {name: value for name, value in told.getheaders() if name.lower() not in _HOP_BY_HOP}
            return _Response(told.status, kept, told.read())
        except (OSError, http.client.HTTPException) as error:
            return _refusal(request, "ServiceUnavailable", f"The endpoint does not answer: {error}.", 503)
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: dict[str, str]
    body: bytes


class _GoneError(Exception):
    """Nobody is there any more to take an answer."""


@dataclass(slots=True)
class _Request:
    """One request, and the program at the other end of its connection.

    Attributes:
        headers: by their names in lower case.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: socket.socket

    @property
    def refuses_pages(self) -> bool:
        """Whether a web page may have sent it: by its own script, or under a name that it lets point to loopback."""
        return "origin" in self.headers or not is_loopback(f"http://{self.headers.get('host', '')}")

    def of_dynamodb(self, action: str) -> _Request:
        """Return the request to DynamoDB that this one comes down to."""
        headers = {
            "host": self.headers.get("host", ""),
            "x-amz-target": f"{DYNAMODB}{action}",
            "content-type": "application/x-amz-json-1.0",
        }
        return _Request("POST", "/", headers, b"", self.client)

    def wait_for(self, answer: socket.socket) -> None:
        """Wait until an answer arrives.

        Raises:
            _GoneError: the program has gone before.
        """
        watch = select.poll()
        watch.register(answer, select.POLLIN)
        watch.register(self.client, _POLL_CLOSED)
        while True:
            ready = {descriptor for descriptor, _ in watch.poll()}
            if answer.fileno() in ready:
                return
            self.check()
            # It has sent more before it was answered, and so is there; its end will be seen with the answer.
            watch.unregister(self.client)

    def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            _GoneError: the program has gone meanwhile.
        """
        end = time.monotonic() + seconds
        watch = select.poll()
        watch.register(self.client, _POLL_CLOSED)
        if watch.poll(seconds * 1000):
            self.check()
            time.sleep(max(0.0, end - time.monotonic()))
            self.check()

    def check(self) -> None:
        """Make sure that the program is still there.

        Raises:
            _GoneError: it is not.
        """
        try:
            gone = not self.client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            raise _GoneError


@dataclass(slots=True)
class _Step:
    """One operation, done by sending its request on; the driver that faults and records stand around."""

    tap: Tap
    request: _Request
    reading: Reading
    response: _Response | None = None

    @property
    def given(self) -> _Response:
        """What the program gets."""
        if self.response is None:
            raise AssertionError("an operation without its answer")
        return self.response

    def perform(self, _operation: Operation) -> Any:
        """Send the request on; see :class:`services.drivers.base.Driver`."""
        told = self.response = self.tap.forward(self.request, self.reading.body)
        # Whoever has gone has not seen the answer: as after a crash, the operation's outcome is nobody's knowledge.
        self.request.check()
        if told.status != http.client.OK:
            raise _as_failure(told)
        result, body = self.reading.answer(told.body)
        headers = told.headers
        if body != told.body:
            headers = {name: value for name, value in headers.items() if name.lower() != _SUM}
        self.response = _Response(told.status, headers, body)
        return result


@dataclass(frozen=True, slots=True)
class _Strikes:
    """Faults, as they strike from outside."""

    kill: Callable[[], None]
    request: _Request

    def crash(self) -> NoReturn:
        """Kill the program."""
        self.kill()
        raise _GoneError

    def delay(self, seconds: float) -> None:
        """Let time pass, unless the program goes meanwhile."""
        self.request.pause(seconds)


class _Shared(FaultPlan):
    """A plan that several threads ask; it counts for one at a time."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._lock = threading.Lock()

    def before(self, operation: Operation) -> Iterable[Fault]:
        """See :class:`services.faults.FaultPlan`."""
        with self._lock:
            return list(self._plan.before(operation))

    def after(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """See :class:`services.faults.FaultPlan`."""
        with self._lock:
            return list(self._plan.after(operation, result))


class _Server(ThreadingHTTPServer):
    """Serves one program, and can hang up on it."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._lock = threading.Lock()
        self._living: dict[threading.Thread, socket.socket] = {}

    def greet(self, client: socket.socket) -> None:
        """Note a connection, which has a thread of its own."""
        with self._lock:
            self._living[threading.current_thread()] = client

    def part(self) -> None:
        """Forget it."""
        with self._lock:
            self._living.pop(threading.current_thread(), None)

    def hang_up(self) -> None:
        """Close every connection, and wait for its thread."""
        with self._lock:
            living = dict(self._living)
        for client in living.values():
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in living:
            thread.join(CLOSING)


def _handler(tap: Tap) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection of the program's."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1
        server: _Server

        def handle(self) -> None:
            """Serve the connection; that the other end has gone is no news."""
            self.server.greet(self.connection)
            try:
                with suppress(ConnectionError):
                    super().handle()
            finally:
                self.server.part()

        def finish(self) -> None:
            """Write what is left, if anybody is there to read it."""
            with suppress(ConnectionError):
                super().finish()

        def _serve(self) -> None:
            size = self.headers.get("Content-Length", "0")
            if "Transfer-Encoding" in self.headers or not size.isdigit():
                self.close_connection = True
                self._write(_plain(411, "A request says how long its body is."))
                return
            body = self.rfile.read(int(size))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                response = tap.answer(_Request(self.command, self.path, headers, body, self.connection))
            except _GoneError:
                self.close_connection = True
                return
            except Exception as error:  # noqa: BLE001 - a fault of ours ends the run with a sentence, not this thread
                tap.complaint = tap.complaint or f"said what the lab could not read ({error!r})"
                response = _plain(500, "The lab failed on this request.")
            self._write(response)

        def _write(self, response: _Response) -> None:
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)
            self.wfile.flush()

        do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - the library's names

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing: the history has it."""

    return Handler


def _as_failure(response: _Response) -> OperationFailed:
    """Return what an error says, as our own driver would tell it."""
    try:
        told = json.loads(response.body)
        code, message = str(told["__type"]).rpartition("#")[2], str(told.get("message") or told.get("Message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = str(response.status), response.body.decode(errors="replace")[:200]
    return OperationFailed(code, message, transient=response.status >= http.client.INTERNAL_SERVER_ERROR)


def _injected(request: _Request, error: OperationFailed) -> _Response:
    """Return the answer to an operation that a fault forbade.

    The queue's is one that SDKs try again by themselves. The external system's is not: a side effect that fails is the
    program's to handle, and an SDK that repeated it would keep that from it.
    """
    of_queue = request.headers.get("x-amz-target", "").startswith(SQS)
    return _refusal(request, error.code, error.message, 503 if of_queue else 400)


def _refusal(request: _Request, code: str, message: str, status: int) -> _Response:
    prefix = "com.amazonaws.sqs" if request.headers.get("x-amz-target", "").startswith(SQS) else "com.amazonaws"
    body = json.dumps({"__type": f"{prefix}#{code}", "message": message}).encode()
    return _Response(status, {"Content-Type": "application/x-amz-json-1.0"}, body)


def _plain(status: int, sentence: str) -> _Response:
    return _Response(status, {"Content-Type": "text/plain; charset=utf-8"}, f"{sentence}\n".encode())
