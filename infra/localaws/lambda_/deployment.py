"""A function at a queue by one call of a lab: code that lies in a directory, a mapping, and the faults to come.

    PUT /_localaws/functions/NAME    deploys the function, starts one environment, and maps the queue to it

The first environment starts ahead of the first message, so that a handler that cannot start is told at once, and the
queue is left alone. What Lambda refuses is refused with its own text.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from infra.localaws.http import Response, text_response
from infra.localaws.lambda_.actions import Result
from infra.localaws.lambda_.code import Code
from infra.localaws.lambda_.config import FunctionConfig
from infra.localaws.lambda_.errors import LambdaError
from infra.localaws.lambda_.faults import parse_faults
from infra.localaws.lambda_.function import Function
from infra.localaws.lambda_.limits import DEFAULT_BATCH_SIZE, DEFAULT_MEMORY_MB, DEFAULT_TIMEOUT_SECONDS, INIT_SECONDS
from infra.localaws.lambda_.service import LambdaService
from infra.localaws.lambda_.settings import MappingSettings
from infra.localaws.sqs.errors import SqsError


class Deployment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What a lab asks for, with AWS's names in small letters and AWS's defaults.

    Attributes:
        directory: where the code lies; it is run there, and not copied.
        program: what the runtime ``provided`` runs; None for the file ``bootstrap``.
        prepared: environments that are started ahead.
        message_limit: the mapping stops once it has received so many messages; 0 for never.
        init_seconds: real seconds until an init is restarted.
        faults: see ``faults.py``.
        log: a file that takes the function's log as well; None for none.
    """

    queue: str
    handler: str
    runtime: str
    directory: str
    program: str | None = None
    timeout: int = DEFAULT_TIMEOUT_SECONDS
    memory: int = DEFAULT_MEMORY_MB
    variables: dict[str, str] = {}
    batch_size: int = DEFAULT_BATCH_SIZE
    batch_window: int = 0
    report_batch_item_failures: bool = False
    maximum_concurrency: int | None = None
    reserved_concurrency: int | None = None
    filters: tuple[str, ...] = ()
    prepared: int = 1
    message_limit: int = 0
    init_seconds: float = INIT_SECONDS
    faults: list[dict[str, Any]] = []
    log: str | None = None


def deploy(service: LambdaService, name: str, body: bytes) -> "Response | Start":
    """Deploy a function, and map its queue to it once it has started."""
    try:
        asked = msgspec.json.decode(body, type=Deployment)
        faults = parse_faults(asked.faults)
    except (ValueError, msgspec.MsgspecError) as error:
        return text_response(400, f"No function was deployed: {error}")
    try:
        settings = _settings(service, asked)
        function = _function(service, name, asked)
    except (LambdaError, SqsError) as error:
        return text_response(400, str(error))
    function.faults.add(faults)
    return Start(service, function, settings, asked)


class Start:
    """A function that starts; the HTTP face's ``Pending``. It answers ``{"error": null}``, or why there is no start."""

    def __init__(
        self, service: LambdaService, function: Function, settings: MappingSettings, asked: Deployment
    ) -> None:
        self._service = service
        self._function = function
        self._settings = settings
        self._asked = asked
        self._respond: Callable[[Response], None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._prepare())

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:
        """Begin to wait."""
        del is_open
        self._respond = respond
        self._task.add_done_callback(self._done)

    async def _prepare(self) -> Result | None:
        """Start the environments; return how the first one failed that did, None if none did."""
        starts = [self._function.prepare() for _ in range(max(1, self._asked.prepared))]
        failures = await asyncio.gather(*starts)
        return next((failed for failed in failures if failed is not None), None)

    def cancel(self) -> None:
        """The lab has gone: nothing is mapped."""
        self._respond = None

    def _done(self, task: "asyncio.Task[Result | None]") -> None:
        name = self._function.config.name
        if self._respond is None or task.cancelled():
            self._service.remove(name)
            return
        failed = task.result()
        if failed is not None:
            self._service.remove(name)
            self._answer({"error": _why(failed)})
            return
        try:
            mapped = self._service.map_queue(
                self._settings, self._asked.queue, name, message_limit=self._asked.message_limit
            )
        except SqsError as error:
            self._service.remove(name)
            self._answer({"error": str(error)})
            return
        self._answer({"error": None})
        mapped.runner.step()

    def _answer(self, document: Mapping[str, Any]) -> None:
        if self._respond is not None:
            self._respond(Response(200, json.dumps(document).encode()))


def _settings(service: LambdaService, asked: Deployment) -> MappingSettings:
    """Return the mapping's settings.

    Raises:
        LambdaError: Lambda would refuse them.
        SqsError: there is no such queue.
    """
    settings = MappingSettings(
        batch_size=asked.batch_size,
        window=asked.batch_window,
        report_item_failures=asked.report_batch_item_failures,
        maximum_concurrency=asked.maximum_concurrency,
        filters=asked.filters,
    )
    attributes = service.queues.model.queue(asked.queue).attributes
    settings.check_against(
        fifo=attributes.fifo,
        visibility_timeout=attributes.visibility_timeout,
        function_timeout=asked.timeout,
    )
    return settings


def _function(service: LambdaService, name: str, asked: Deployment) -> Function:
    model = service.queues.model
    config = FunctionConfig(
        name,
        f"arn:aws:lambda:{model.region}:{model.account}:function:{name}",
        asked.runtime,
        asked.handler,
        Path(asked.directory),
        asked.timeout,
        asked.memory,
        dict(asked.variables),
        program=None if asked.program is None else Path(asked.program),
    )
    log = None if asked.log is None else Path(asked.log)
    function = service.deploy(config, Code(config.directory, "", 0), {}, init_seconds=asked.init_seconds, copy_log=log)
    if asked.reserved_concurrency is not None:
        service.concurrency.reserve(name, asked.reserved_concurrency)
    return function


def _why(failed: Result) -> str:
    """Return what a failed init says of itself: its type and message, without the request's id."""
    try:
        document = json.loads(failed.payload)
        kind, message = str(document.get("errorType") or ""), str(document.get("errorMessage") or "")
    except (ValueError, AttributeError):
        return failed.payload.decode(errors="replace")[:200]
    return message if kind.startswith("Runtime.") and message else f"{kind}: {message}"
