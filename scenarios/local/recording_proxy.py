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
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from scenarios.checks.effects import HttpEffect
from scenarios.checks.external_program import OtherRequest
from scenarios.local.effect_watch import EffectWatch
from scenarios.local.http_reader import (
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
from scenarios.local.observed_exchange import GoneError, Request, Response, Server, plain
from services.drivers.recorded import RecordedDriver
from services.faults import Fault, FaultPlan
from services.history import Recorder
from services.injection import TIMEOUT
from services.operations import (
    ChangeVisibility,
    Delete,
    LookUpSideEffect,
    Operation,
    OperationFailed,
    PerformSideEffect,
    Receive,
)

#: Below this path a program without a DynamoDB client causes its side effects.
SIDE_EFFECTS = "/side-effects/"
#: Seconds for which a receive waits that a program makes after it is done.
AFTERWARDS = 0.2

#: What concerns one connection alone. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
_HOP_BY_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})
_ERROR = http.client.BAD_REQUEST
#: A sum over a body, which no longer fits one that was changed.
_SUM = "x-amz-crc32"


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
        complaint: what it did that cannot be judged, in words that complete "it ..."; empty for nothing.
    """

    def __init__(self, program: Program, upstream: str, recorder: Recorder) -> None:
        self.program = program
        self.recorder = recorder
        self.reader = Reader(program.around)
        self.faults = _Shared(program.faults)
        self.asked = False
        self.complaint = ""
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
        if self.watched is None:
            return self._answer(request)
        self.watched.begins(request)
        response = self._answer(request)
        self.watched.ends(request)
        return response

    def _answer(self, request: Request) -> Response:
        if request.path.startswith(SIDE_EFFECTS):
            if self.watched is not None:
                self.complaint = self.complaint or "calls SIDE_EFFECT_URL, and its configuration names another effect"
            return self._side_effect(request, unquote(request.path.removeprefix(SIDE_EFFECTS)))
        effect = self.program.around.effect
        if effect is not None and effect.covers(request.path):
            return self._side_effect(request, self._key_of(request, effect))
        try:
            reading = self.reader.read(request.headers.get("x-amz-target", ""), request.body)
        except BreaksContractError as error:
            self.complaint = self.complaint or str(error)
            return _refusal(request, "ValidationException", f"This program {error}.", 400)
        if reading is None and "x-amz-target" not in request.headers:
            reading = self.reader.read_object(request.method, request.path)
        if reading is None:
            reading = Reading(
                other_request(request, self.program.around.roles), request.body, lambda data: (None, data)
            )
        if isinstance(reading.operation, Receive):
            if not self.asked:
                self.asked = True
                self.recorder.event("started")
            if self.reader.is_done:
                request.pause(AFTERWARDS)
                return Response(200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}")
        return self._perform(request, reading)

    def _failed(self, error: Exception) -> None:
        told = str(error) if isinstance(error, BreaksContractError) else f"said what the lab could not read ({error!r})"
        self.complaint = self.complaint or told

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
            if error.code == TIMEOUT:
                # The lost reply: the connection is closed without an answer.
                raise GoneError from None
            return step.response or _injected(request, error)
        if step.response is not None and not step.is_cut:
            return step.response
        if not reading.entries:
            return _refusal(request, "ServiceUnavailable", "an injected fault", 503)
        return Response(http.client.OK, {"Content-Type": "application/x-amz-json-1.0"}, reading.without(result))

    def _key_of(self, request: Request, effect: HttpEffect) -> str:
        """Return the key of a call that is a side effect: the last part of the path asks for one that was caused."""
        if request.method == "GET":
            return unquote(urlsplit(request.path).path.removeprefix(effect.path).strip("/"))
        key = effect.key_of(request.headers, request.body)
        if not key:
            self.complaint = self.complaint or (
                f"calls {effect.path} without a key: its JSON body has no {effect.key.text}, and there is no "
                "Idempotency-Key"
            )
        return key

    def _side_effect(self, request: Request, key: str) -> Response:
        """Cause a side effect, or ask for it, for a program without a DynamoDB client."""
        if request.refuses_pages:
            return plain(403, "Web pages cause no side effects here.")
        if not key or request.method not in ("GET", "POST", *(("PUT", "PATCH") if self.program.around.effect else ())):
            return plain(405, f"POST {SIDE_EFFECTS}KEY causes a side effect, GET asks how often it was caused.")
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
            return _refusal(request, "ServiceUnavailable", f"The endpoint does not answer: {error}.", 503)
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
        reading = self.reading
        if operation is not reading.operation and isinstance(operation, Delete | ChangeVisibility) and reading.cut:
            self.is_cut = True
            kept = {message.receipt_handle for message in operation.messages}
            reading = reading.cut([entry for entry in reading.entries if entry["ReceiptHandle"] in kept])
        if self.answered:
            late = self.tap.forward(self.request, reading.body, late=True)
            if late.status >= http.client.BAD_REQUEST:
                raise _as_failure(late)
            return None
        told = self.response = self.tap.forward(self.request, reading.body)
        # A client that has gone has not seen the answer: as after a crash, the operation's outcome is unknown.
        self.request.check()
        refused = reading.refused(told.status, told.body) if reading.refused and told.status >= _ERROR else None
        if told.status >= _ERROR and refused is None:
            raise _as_failure(told)
        result, body = refused or reading.answer(told.body)
        headers = told.headers
        if body != told.body:
            headers = {name: value for name, value in headers.items() if name.lower() != _SUM}
        self.response = Response(told.status, headers, body)
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


def other_request(request: Request, roles: Mapping[str, str]) -> OtherRequest:
    """Return what a request that is the program's own is about, as far as it says so."""
    service, dot, action = request.headers.get("x-amz-target", "").partition(".")
    if not dot:
        return OtherRequest("http", request.method, urlsplit(request.path).path)
    try:
        document = json.loads(request.body or b"{}")
        named = next((str(document[name]) for name in ("TableName", "QueueUrl", "QueueName") if name in document), "")
    except (ValueError, TypeError, RecursionError):
        named = ""
    known = {SQS: "sqs", DYNAMODB: "dynamodb"}
    name = named.rstrip("/").rpartition("/")[2]
    return OtherRequest(known.get(service + dot, service.lower()), action, roles.get(name, name))


def _as_failure(response: Response) -> OperationFailed:
    """Return what an error says, as our own driver would tell it."""
    try:
        told = json.loads(response.body)
        code, message = str(told["__type"]).rpartition("#")[2], str(told.get("message") or told.get("Message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = str(response.status), response.body.decode(errors="replace")[:200]
    return OperationFailed(code, message, transient=response.status >= http.client.INTERNAL_SERVER_ERROR)


def _injected(request: Request, error: OperationFailed) -> Response:
    """Return the answer to an operation that a fault forbade.

    The queue's is one that SDKs try again by themselves. The external system's is not: a side effect that fails is the
    program's to handle, and an SDK that repeated it would keep that from it.
    """
    of_queue = request.headers.get("x-amz-target", "").startswith(SQS)
    return _refusal(request, error.code, error.message, 503 if of_queue else 400)


def _refusal(request: Request, code: str, message: str, status: int) -> Response:
    prefix = "com.amazonaws.sqs" if request.headers.get("x-amz-target", "").startswith(SQS) else "com.amazonaws"
    body = json.dumps({"__type": f"{prefix}#{code}", "message": message}).encode()
    return Response(status, {"Content-Type": "application/x-amz-json-1.0"}, body)
