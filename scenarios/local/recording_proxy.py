"""The tap: one program's way to AWS, where the lab sees what it does, and where faults strike it.

    program ── HTTP ──▶ tap ── HTTP ──▶ the endpoint
                         │
                         └ the records that our own consumer writes of itself: invoke, fault, ok or fail

A crash is SIGKILL at this very point of the program's way: the request is not sent on, or its answer does not come
back. A delay or an error is the external system's (or the queue's) own. Each program has a tap of its own on loopback,
so the process that asks there is known. The endpoint checks no signatures, so a request may be changed on its way.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from scenarios.local.effect_watch import EffectWatch
from scenarios.local.http_reader import (
    BreaksContractError,
    Reading,
    Surroundings,
)
from scenarios.local.interpreter import SIDE_EFFECTS, Interpreter, as_failure, concluded, injected, left_out, refusal
from scenarios.local.observed_exchange import GoneError, Request, Response, Server, plain
from services.drivers.recorded import RecordedDriver
from services.faults import Fault, FaultPlan
from services.history import Recorder
from services.injection import NOT_REACHED, TIMEOUT
from services.operations import Delete, Operation, OperationFailed, PerformSideEffect, Receive

#: Seconds for which a receive waits that a program makes after it is done.
AFTERWARDS = 0.2

#: What concerns one connection alone. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
_HOP_BY_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Program:
    """Whose way this is.

    Attributes:
        name: its name in the history.
        around: its queue, its ledger and its limits.
        faults: what shall strike it.
        kill: ends the process that made a request by SIGKILL, with whatever it has started.
        watch: the side effects that are watched; None where they pass through here.
    """

    name: str
    around: Surroundings
    faults: FaultPlan
    kill: Callable[[Request], None]
    watch: EffectWatch | None = None


class RecordingProxy:
    """A tap that listens on loopback.

    Args:
        upstream: the endpoint's URL.
        recorder: takes the program's records.

    Attributes:
        url: the endpoint, as the program shall see it.
        asked: whether the program has ever asked for a message.
    """

    def __init__(self, program: Program, upstream: str, recorder: Recorder) -> None:
        self.program = program
        self.recorder = recorder
        self.interpreter = Interpreter(program.around)
        self.reader = self.interpreter.reader
        self.faults = _Shared(program.faults)
        self.asked = False
        watch = program.watch
        self.watched = watch.program(self.reader, recorder, self.faults, program.kill) if watch else None
        self._upstream = urlsplit(upstream)
        self._server = Server(self.answer, self._failed)
        self.url = self._server.url

    def open(self) -> None:
        """Begin to answer; what has come before waits."""
        self._server.open()

    def close(self) -> None:
        """Answer no more, and wait until all that was under way is over."""
        self._server.close()

    def answer(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            GoneError: the client that would take the answer is gone.
        """
        if not request.path.startswith("/"):
            self.interpreter.complain(f"takes the lab's address for a proxy, and asks for {request.path[:200]}")
            return plain(421, "This is no proxy to other hosts.")
        if self.watched is None:
            return self._answer(request)
        self.watched.begins(request)
        response = self._answer(request)
        self.watched.ends(request)
        return response

    def _answer(self, request: Request) -> Response:
        if self.watched is not None and request.path.startswith(SIDE_EFFECTS):
            self.interpreter.complain("calls SIDE_EFFECT_URL, and its configuration names another effect")
        understood = self.interpreter.understand(request)
        if isinstance(understood, Response):
            return understood
        request, reading = understood
        if isinstance(reading.operation, Receive):
            if not self.asked:
                self.asked = True
                self.recorder.event("started")
            if self.reader.is_done:
                request.pause(AFTERWARDS)
                return Response(200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}")
        return self._perform(request, reading)

    @property
    def complaint(self) -> str:
        """What the program did that cannot be judged, in words that complete "it ..."; empty for nothing."""
        return self.interpreter.complaint

    def _failed(self, error: Exception) -> None:
        told = str(error) if isinstance(error, BreaksContractError) else f"said what the lab could not read ({error!r})"
        self.interpreter.complain(told)

    def _perform(self, request: Request, reading: Reading) -> Response:
        """Do an operation as our own driver does: with records around it, and faults among them."""
        step = _Step(self, request, reading)
        driver = RecordedDriver(step, self.recorder, self.faults, _ProgramFaults(self.program.kill, request))
        watched, operation = self.watched, reading.operation
        if watched is not None and isinstance(operation, Delete):
            watched.deletes(operation.messages)
        try:
            result = driver.perform(operation)
            if watched is not None and isinstance(operation, Receive) and result:
                watched.received(result)
        except OperationFailed as error:
            step.answered = True
            if error.code in (TIMEOUT, NOT_REACHED):
                # A lost reply, or a network that is cut: the connection is closed without an answer.
                raise GoneError from None
            return step.response or injected(request, error)
        if step.response is not None and not step.is_cut:
            return step.response
        return left_out(request, reading, result, step.response)

    def forward(self, request: Request, body: bytes, *, late: bool = False) -> Response:
        """Have the endpoint answer, as long as the program waits for it; or all the same, where it is late.

        Raises:
            GoneError: it waits no more.
        """
        upstream = self._upstream
        kind = http.client.HTTPSConnection if upstream.scheme == "https" else http.client.HTTPConnection
        connection = kind(upstream.hostname or "", upstream.port)
        try:
            headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
            connection.request(request.method, upstream.path.rstrip("/") + request.path, body, headers)
            if not late:
                request.wait_for(connection.sock)
            told = connection.getresponse()
            kept = {name: value for name, value in told.getheaders() if name.lower() not in _HOP_BY_HOP}
            return Response(told.status, kept, told.read())
        except (OSError, http.client.HTTPException) as error:
            return refusal(request, "ServiceUnavailable", f"The endpoint does not answer: {error}.", 503)
        finally:
            connection.close()


@dataclass(slots=True)
class _Step:
    """One operation, done by sending its request on; the driver that faults and records stand around."""

    tap: RecordingProxy
    request: Request
    reading: Reading
    response: Response | None = None
    is_cut: bool = False
    answered: bool = False

    def perform(self, operation: Operation) -> Any:
        """Send the request on, or what is left of it; see :class:`services.drivers.base.Driver`."""
        reading = self.reading.part(operation)
        self.is_cut |= reading is not self.reading
        if self.answered:
            late = self.tap.forward(self.request, reading.body, late=True)
            if late.status >= http.client.BAD_REQUEST:
                raise as_failure(late)
            return None
        told = self.response = self.tap.forward(self.request, reading.body)
        # A client that has gone has not seen the answer: as after a crash, the operation's outcome is unknown.
        self.request.check()
        result, self.response = concluded(told, reading)
        return result


@dataclass(frozen=True, slots=True)
class _ProgramFaults:
    """Faults, as they strike from outside."""

    kill: Callable[[Request], None]
    request: Request

    def crash(self) -> NoReturn:
        """Kill the program."""
        self.kill(self.request)
        raise GoneError

    def delay(self, seconds: float) -> None:
        """Let time pass, unless the program goes meanwhile."""
        self.request.pause(seconds)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Act in a thread, whatever becomes of the program."""
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()


class _Shared:
    """A plan that several threads ask; it counts for one at a time.

    Attributes:
        kills_before: it kills the program before a side effect.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.kills_before = any(
            (fault.kind, fault.operation, fault.point) == ("crash", PerformSideEffect.__name__, "before")
            for fault in plan.faults
        )
        self._plan = plan
        self._lock = threading.Lock()

    def before(self, operation: Operation) -> Iterable[Fault]:
        """See :class:`services.injection.FaultSource`."""
        with self._lock:
            return list(self._plan.before(operation))

    def on_reply(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """See :class:`services.injection.FaultSource`."""
        with self._lock:
            return list(self._plan.on_reply(operation, result))

    def after(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """See :class:`services.injection.FaultSource`."""
        with self._lock:
            return list(self._plan.after(operation, result))
