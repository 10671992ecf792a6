"""The embedded AWS endpoint: SQS, DynamoDB and S3, with what deployment tools ask of STS, on one port of loopback."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple

from infra.localaws import control
from infra.localaws.clock import ScaledClock
from infra.localaws.config import EndpointConfig, EndpointError
from infra.localaws.faults import FAULTS
from infra.localaws.history import HistoryFile
from infra.localaws.http import (
    MAX_BODY_BYTES,
    REQUEST_SECONDS,
    Application,
    HttpConnection,
    Pending,
    PlainApplication,
    PlainRequest,
    Request,
    Response,
    text_response,
)
from infra.localaws.lambda_.api import CODE_TARGET, LambdaApi
from infra.localaws.lambda_.limits import MAX_CODE_REQUEST_BYTES
from infra.localaws.lambda_.runner import Queues
from infra.localaws.leases import DeliveryLeases
from infra.localaws.moto_loader import MotoServices
from infra.localaws.signature import scope_of
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs_api import SQS_TARGET, SqsApi
from infra.localaws.sts import caller_identity
from infra.localaws.worker import Worker

#: Connections that may wait until they are accepted; the kernel lowers it to its own maximum (net.core.somaxconn).
BACKLOG: Final = 65_535
STOP_SECONDS: Final = 2.0
DYNAMODB_TARGET: Final = "DynamoDB_20120810."
_JSON: Final = "application/x-amz-json-1.0"


class Service(NamedTuple):
    """One service behind the endpoint's port.

    Attributes:
        takes: tells whether a request is for it.
        answer: answers such a request, at once or later.
    """

    takes: Callable[[Request], bool]
    answer: Callable[[Request], Response | Pending]


class LocalAws:
    """An endpoint; ``start`` and ``stop`` it within one running event loop.

    Attributes:
        config: its settings.
        url: its address, once it has started.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self.config = config
        self.url = ""
        self._server: asyncio.Server | None = None
        self._history: HistoryFile | None = None
        self._connections: set[_Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._requests = 0
        self._services = self._list_services()

    async def start(self) -> None:
        """Listen.

        Raises:
            EndpointError: the address is in use, or the history cannot be written.
        """
        config = self.config
        asyncio.get_running_loop().set_exception_handler(_log_loop_fault)
        self._open_history()
        clock = ScaledClock(config.speed)
        self._sqs = SqsApi(config, clock, self._history, self._flush, self._request_id)
        home = self._sqs.home
        self._leases = DeliveryLeases(home.model)
        self._moto = MotoServices(home.model.account, config.region)
        self._worker = Worker()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self._answer, self._answer_plain, self._connections),
                config.host,
                config.port,
                backlog=BACKLOG,
            )
        except OSError as error:
            self._close_history()
            raise EndpointError(
                f"The endpoint cannot listen on {config.host}:{config.port} ({error.strerror or error}); "
                "choose another port, or 0 for any free one."
            ) from None
        host = f"[{config.host}]" if ":" in config.host else config.host
        self.url = f"http://{host}:{self._server.sockets[0].getsockname()[1]}"
        self._sqs.listen(self.url)
        self.lambda_ = LambdaApi(
            Queues(home.model, home.polls, clock, self._flush),
            rng=_random(f"{config.seed}/lambda"),
            observer=self._history.observe if self._history else None,
            endpoint_url=self.url,
            run=lambda act, late, size: self._worker.run(act, partial(late, _LATE), size),
        )
        self._sweep_regularly()

    def preload(self) -> None:
        """Load DynamoDB and S3 in the background, so that their first request need not wait for it."""
        self._worker.prepare(self._moto.load)

    async def stop(self) -> None:
        """Close all connections and the history."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self.lambda_.close()
            self._server.close()
            await self._abort_connections()
            await self._server.wait_closed()
            self._server = None
            self._worker.stop()
        self._close_history()

    async def _abort_connections(self) -> None:
        """Close all connections: a client that does not take its answers must not hold up the end."""
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        deadline = time.monotonic() + STOP_SECONDS
        while self._connections and time.monotonic() < deadline:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)

    def _sweep_regularly(self) -> None:
        """Close overdue connections, and end the leases of processes that died, again and again."""
        self._close_overdue_connections()
        self._leases.give_back_those_of_the_dead()
        self._sweep = asyncio.get_running_loop().call_later(REQUEST_SECONDS / 4, self._sweep_regularly)

    def _close_overdue_connections(self) -> None:
        """Close connections that wait too long for the rest of a request or for their client to read."""
        now = time.monotonic()
        for connection in [each for each in self._connections if each.is_overdue(now)]:
            connection.abort()

    # Requests

    def _list_services(self) -> tuple[Service, ...]:
        """Return the services in the order in which they are asked; the last one takes what is left."""
        return (
            Service(lambda request: _target(request).startswith(SQS_TARGET), self._answer_sqs),
            Service(lambda request: _target(request).startswith(DYNAMODB_TARGET), self._answer_dynamodb),
            Service(self._takes_lambda, self._answer_lambda),
            Service(lambda request: not _target(request) and _is_for_s3(request), self._answer_s3),
            Service(lambda request: request.target.startswith(control.PREFIX), self._answer_control),
            Service(lambda request: bool(_target(request)), _answer_unknown),
            Service(lambda _: True, self._answer_query),
        )

    def _answer(self, request: Request) -> Response | Pending:
        self._requests += 1
        for service in self._services:
            if service.takes(request):
                return service.answer(request)
        raise AssertionError("the last service takes every request")

    def _answer_plain(self, request: PlainRequest) -> bytes | Pending | None:
        self._requests += 1
        return self._sqs.answer_plain(request)

    def _takes_lambda(self, request: Request) -> bool:
        return self.lambda_.takes(request)

    def _answer_lambda(self, request: Request) -> Response | Pending:
        answer = self.lambda_.answer(request)
        self._flush()
        return answer

    def _answer_dynamodb(self, request: Request) -> Pending:
        late = partial(_json_error, "RequestTimeoutException", _LATE)
        return self._worker.run(lambda: self._moto.dynamodb.answer(request), late, len(request.body))

    def _answer_s3(self, request: Request) -> Pending:
        return self._worker.run(
            lambda: self._moto.s3.answer(request),
            partial(_xml_error, "RequestTimeout", _LATE),
            len(request.body),
        )

    def _answer_control(self, request: Request) -> Response:
        answer = control.control(
            request,
            self._sqs.home.model,
            self.config,
            self._leases,
            waiting=self._sqs.home.polls.waiting,
            fault=self._history.fault if self._history else "",
        )
        self._flush()
        return answer

    def _answer_sqs(self, request: Request) -> Response | Pending:
        return self._sqs.answer_json(request)

    def _answer_query(self, request: Request) -> Response | Pending:
        """Answer the Query protocol: SQS's actions, and STS's GetCallerIdentity."""
        could_be_a_queues = "/" in request.target[1:]
        if not (could_be_a_queues or request.body or "?" in request.target or request.method == "POST"):
            return text_response(
                404, "This is an AWS endpoint for SQS, DynamoDB, S3 and STS GetCallerIdentity; use an AWS SDK."
            )
        try:
            form = self._sqs.read_form(request)
        except SqsError as error:
            return self._sqs.query_answer("", error)
        if form.get("Action") == "GetCallerIdentity":
            return caller_identity(self._sqs.home.model.account, self._request_id())
        return self._sqs.answer_query(request, form)

    def _request_id(self) -> str:
        return f"00000000-0000-4000-8000-{self._requests:012x}"

    def _flush(self) -> None:
        if self._history is not None:
            self._history.flush()

    def _open_history(self) -> None:
        path = self.config.history
        if path is not None:
            try:
                self._history = HistoryFile(path)
            except OSError as error:
                raise EndpointError(f"The history {path} cannot be written: {error.strerror}.") from None

    def _close_history(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None


@contextmanager
def running_endpoint(config: EndpointConfig | None = None) -> Iterator[LocalAws]:
    """Run an endpoint in a thread of this process, and stop it at the end.

    Yields:
        The endpoint, which listens at its ``url``.

    Raises:
        EndpointError: it cannot listen.
    """
    endpoint = LocalAws(config or EndpointConfig())
    started = threading.Event()
    failure: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        try:
            await endpoint.start()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)
            return
        finally:
            started.set()
        await stopping.wait()
        await endpoint.stop()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="embedded-endpoint", daemon=True)
    thread.start()
    started.wait()
    try:
        if failure:
            raise failure[0]
        yield endpoint
    finally:
        if not failure:
            loop.call_soon_threadsafe(stopping.set)
        thread.join()


class _Connection(HttpConnection):
    """A connection that its endpoint can close."""

    def __init__(
        self, application: Application, plain_application: PlainApplication, connections: "set[_Connection]"
    ) -> None:
        super().__init__(application, _body_limit, plain_application)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(exc)


def _random(seed: str) -> Random:
    return Random(seed)  # noqa: S311 - chooses ids and deliveries, guards nothing


def _log_loop_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the event loop itself trips over, such as too many open files, and not for ever."""
    FAULTS.note(str(context.get("message")), context.get("exception"))


def _body_limit(target: bytes) -> int:
    return MAX_CODE_REQUEST_BYTES if target.startswith(CODE_TARGET) else MAX_BODY_BYTES


def _target(request: Request) -> str:
    return request.headers.get("x-amz-target", "")


def _is_for_s3(request: Request) -> bool:
    """Tell by the signature whether a request is for S3: its paths look like those of queues."""
    scope = scope_of(request)
    return scope is not None and scope.service == "s3"


def _answer_unknown(request: Request) -> Response:
    shown = _target(request)[:_SHOWN_CHARACTERS]
    return _json_error("UnknownOperationException", f"This endpoint does not serve {shown!r}.")


def _json_error(code: str, sentence: str) -> Response:
    return Response(400, json.dumps({"__type": code, "message": sentence}).encode(), _JSON)


def _xml_error(code: str, sentence: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{sentence}</Message></Error>'
    return Response(400, body.encode(), "application/xml")


_LATE: Final = "The endpoint gave up waiting for this request; what it has begun may still take effect."
_ACCEPT_TURNS: Final = 4
"""Turns of the event loop after which each connection that it has accepted has reached its protocol."""
_SHOWN_CHARACTERS: Final = 200
