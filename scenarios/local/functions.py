"""The consumers of a run that are Lambda functions: deployed at the embedded endpoint, watched by proxy and history.

    queue ──▶ the endpoint's event source mapping ──▶ the function's environments ── HTTP ──▶ proxy ──▶ the endpoint

The mapping's own calls stand in the endpoint's history, the handler's pass the proxy. Both are told under one name.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from infra.localaws.lambda_.config import runtime_of
from scenarios.checks.effects import HttpEffect
from scenarios.checks.functions import FunctionSettings, Handler, split_faults
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import LabError, RequestError, ServiceFailedError, UnsuitableError
from scenarios.history import History, Record
from scenarios.history.files import TailedFile
from scenarios.history.mapping_events import MappingEvents
from scenarios.local.environment import IDENTITY_VARIABLES
from scenarios.local.http_reader import CONTRACT, Surroundings
from scenarios.local.logs import last_lines
from scenarios.local.observed_exchange import Request
from scenarios.local.programs import program_environment
from scenarios.local.recording_proxy import Program, RecordingProxy
from services.common.waits import waits_of
from services.faults import Fault, FaultPlan
from services.history import Recorder, append_to
from services.operations import Message

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources, Stack

#: Real seconds for a function's environment to start. AWS gives an init 10 s, on a machine that it has to itself.
STARTUP_TIMEOUT = 60.0
#: Environments that start ahead of the first message, so that no message waits for a cold start but after a crash.
PREPARED = 2
#: Real seconds to wait for an answer of the endpoint beyond what it waits for itself.
ROUTE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Start:
    """A function that is about to be deployed.

    Attributes:
        name: the consumer's name in the history.
        faults: what shall strike it; their delays are in real seconds.
        variables: its own environment variables.
        batch_size: messages in a batch.
        message_limit: its mapping stops after so many messages; 0 for never.
        settings: of the function and its mapping.
        seed: where the chance of its faults comes from.
        delay: real seconds that each side effect takes.
        business_field: the payload field by which a side effect is known.
    """

    name: str
    faults: Sequence[Fault]
    variables: Mapping[str, str]
    batch_size: int
    message_limit: int
    settings: FunctionSettings
    seed: int
    delay: float = 0.0
    business_field: str = ""


class Functions:
    """The functions of one run.

    Args:
        handler: whose code they run.
        files: where a run's processes leave their files.
        visibility_timeout: of the queue, in the lab's seconds.
        startup_timeout: real seconds for an environment to start.
        config: what the user's configuration file says of the handler.

    Raises:
        UnsuitableError: the stack has no embedded endpoint.
    """

    def __init__(
        self,
        handler: Handler,
        stack: Stack,
        resources: ScenarioResources,
        files: Path,
        *,
        visibility_timeout: float,
        startup_timeout: float = STARTUP_TIMEOUT,
        config: ProgramConfig | None = None,
    ) -> None:
        if stack.endpoint_history is None or not stack.endpoint_url:
            raise UnsuitableError(
                f"A Lambda handler is run by the embedded endpoint, and the stack {stack.name} has another one; leave "
                "out --stack and --endpoint for a temporary stack of its own."
            )
        self._handler = handler
        self._endpoint = stack.endpoint_url
        self._history = stack.endpoint_history
        self._resources = resources
        self._files = files
        self._visibility_timeout = visibility_timeout
        self._startup_timeout = startup_timeout
        self._config = config or ProgramConfig()
        self._prefix = resources.queue_name.removesuffix(".fifo")
        self._deployed: dict[str, _Deployed] = {}
        self._handed: dict[str, Message] = {}
        self._over: set[str] = set()
        self.events = MappingEvents(resources.queue_name)

    def __contains__(self, name: str) -> bool:
        return name in self._deployed

    @property
    def prefix(self) -> str:
        """What each function's name, and each line about it in the endpoint's history, contains."""
        return self._prefix

    @property
    def running(self) -> tuple[str, ...]:
        """The consumers whose mapping has not ended."""
        return tuple(name for name in self._deployed if name not in self._over)

    def start(self, start: Start, shared: Mapping[str, str]) -> None:
        """Deploy a function, and have its mapping poll.

        Args:
            start: what is asked for.
            shared: the environment that all services of the run have.

        Raises:
            ServiceFailedError: the handler cannot be started.
            RequestError: Lambda refuses the settings.
        """
        function = f"{self._prefix}-{start.name}"
        of_mapping, of_handler = split_faults(start.faults)
        slow = [Fault("delay", "PerformSideEffect", nth=0, seconds=start.delay)] if start.delay else []
        plan = FaultPlan([*of_handler, *slow], rng=Random(start.seed))  # noqa: S311 - chance in a lab must be reproducible
        proxy = self._proxy(start, function, plan)
        deployed = self._deployed[start.name] = _Deployed(function, proxy)
        self.events.add(function, start.name)
        proxy.open()
        settings = start.settings
        runtime, program = runtime_of(self._handler.handler, self._handler.runtime, self._handler.code.resolve())
        told = {
            name: value
            for name, value in program_environment(proxy.url, shared, start.variables).items()
            if name not in IDENTITY_VARIABLES
        }
        told |= {name: value.replace("{url}", proxy.url) for name, value in self._config.env.items()}
        document = {
            "queue": self._resources.queue_name,
            "handler": self._handler.handler,
            "runtime": runtime,
            "directory": str(self._handler.code.resolve()),
            "program": None if program is None else str(program),
            "timeout": settings.timeout_at(self._visibility_timeout),
            "memory": settings.memory,
            "variables": told,
            "batch_size": start.batch_size,
            "batch_window": settings.batch_window,
            "report_batch_item_failures": settings.report_batch_item_failures,
            "maximum_concurrency": settings.maximum_concurrency,
            "reserved_concurrency": settings.reserved_concurrency,
            "filters": list(settings.filters),
            "prepared": 1 if start.message_limit == 1 else min(filter(None, (PREPARED, settings.reserved_concurrency))),
            "message_limit": start.message_limit,
            "init_seconds": self._startup_timeout,
            "faults": of_mapping,
            "log": str(self._log(start.name)),
        }
        self._log(start.name).touch(mode=0o600)
        try:
            answer = self._call("PUT", function, document, timeout=2 * self._startup_timeout + ROUTE_TIMEOUT)
        except _RefusedError as refusal:
            raise RequestError(
                f"Lambda refuses the function or its event source mapping: {refusal} (InvalidParameterValueException)."
            ) from None
        if answer["error"] is not None:
            raise ServiceFailedError(
                f"The handler {self._handler.handler} cannot be started: {answer['error']} "
                f"(its log: {self._log(start.name)})",
                last_lines(self._log(start.name)),
            )
        deployed.is_up = True
        proxy.recorder.event("started")

    def stop(self, names: Sequence[str]) -> None:
        """Delete the mappings of these consumers; what they have received is still handled, and deleted."""
        for name in names:
            if name in self._deployed and name not in self._over:
                self._call("POST", f"{self._deployed[name].function}/stop", {})

    def ended(self, history: History, asked: Sequence[str]) -> list[tuple[str, int]]:
        """Return the consumers whose mapping has ended since the last call, each with the code of its end.

        A function that a crash of the scenario's own struck is told as a process that SIGKILL ended.
        """
        new = sorted(self.events.ended - self._over)
        self._over |= set(new)
        crashed = {fault.process for fault in history.faults if fault.kind == "crash" and fault.planned}
        return [(name, -signal.SIGKILL if name in crashed and name not in asked else 0) for name in new]

    def stopped(self, name: str, *, requests: int) -> None:
        """Note that a consumer has ended well after so many requests to end."""
        self._deployed[name].proxy.recorder.event("stopped", signalled=requests > 0, requests=requests)

    def waits_in(self, history: History) -> Mapping[str, Mapping[int, float]]:
        """Return for how long the threads of each function's environments have waited for a processor by now."""
        waits: dict[str, dict[int, float]] = {name: {} for name in self._deployed}
        for event in history.events("environment-started"):
            waits.get(event.process, {}).update(waits_of(event["pid"]))
        return waits

    def look(self) -> None:
        """Make sure that no handler does what cannot be judged.

        Raises:
            ServiceFailedError: one does.
        """
        for name, deployed in self._deployed.items():
            if deployed.proxy.complaint:
                raise ServiceFailedError(
                    f"{name} {deployed.proxy.complaint}; see {CONTRACT}.", last_lines(self._log(name))
                )

    def close(self) -> None:
        """End every function, whatever is under way."""
        for deployed in self._deployed.values():
            if deployed.is_up:
                deployed.is_up = False
                with suppress(LabError, _RefusedError):  # an endpoint that has gone has ended its functions
                    self._call("DELETE", deployed.function, None)
            deployed.proxy.close()

    # --- within ------------------------------------------------------------------------------------------------------

    def _log(self, name: str) -> Path:
        return self._files / f"{name}.log"

    def _proxy(self, start: Start, function: str, plan: FaultPlan) -> RecordingProxy:
        resources, effect = self._resources, self._config.effect
        around = Surroundings(
            resources.queue_name,
            resources.side_effects_table,
            resources.receive_wait,
            start.business_field,
            roles={
                resources.queue_name: "queue",
                resources.dead_letter_queue_name: "dead-letter-queue",
                resources.status_table: "status-table",
                resources.side_effects_table: "side-effects-table",
            },
            effect=effect if isinstance(effect, HttpEffect) else None,
            received=_Received(self._history, function),
            handed=self._handed,
        )
        sink = append_to(self._files / f"{start.name}.jsonl")
        recorder = Recorder(sink, start.name, time.monotonic, resources.queue_name)

        def kill(request: Request) -> None:
            self._call("POST", f"{function}/crash", {"access_key": access_key_of(request.headers)})

        return RecordingProxy(Program(start.name, around, plan, kill), self._endpoint, recorder)

    def _call(self, method: str, path: str, document: Any, *, timeout: float = ROUTE_TIMEOUT) -> Any:
        """Call a route of the endpoint's own.

        Raises:
            _RefusedError: it refuses.
            LabError: it does not answer.
        """
        name, slash, verb = path.partition("/")
        url = f"{self._endpoint}/_localaws/functions/{quote(name)}{slash}{verb}"
        body = b"" if document is None else json.dumps(document).encode()
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - a stack's own endpoint
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise _RefusedError(error.read().decode(errors="replace").strip()) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise LabError(
                f"The endpoint at {self._endpoint} does not answer ({reason}); see `invoke status`."
            ) from None


class _RefusedError(Exception):
    """What the endpoint refuses a request with."""


@dataclass(slots=True)
class _Deployed:
    function: str
    proxy: RecordingProxy
    is_up: bool = False


class _Received:
    """What a mapping has received by now, read from the endpoint's history by the threads of a proxy."""

    def __init__(self, history: Path, function: str) -> None:
        offset = history.stat().st_size if history.exists() else 0
        self._file = TailedFile(
            history,
            offset=offset,
            keep=lambda record: record.get("function") == function and record["event"] == "mapping-received",
            names=(f'"function": {json.dumps(function)}',),
        )
        self._lock = threading.Lock()

    def __call__(self) -> list[Message]:
        """Return what has come since the last call."""
        with self._lock:
            return [_message(item) for record in self._file.new_records() for item in record["messages"]]


def _message(item: Record) -> Message:
    return Message(
        item["message_id"],
        item["receipt_handle"],
        item["body"],
        item["receive_count"],
        item["group"],
        item["sequence_number"],
    )


def access_key_of(headers: Mapping[str, str]) -> str | None:
    """Return the access key id that signed a request, which tells the environment; None where none did."""
    _, found, rest = headers.get("authorization", "").partition("Credential=")
    return rest.partition("/")[0] or None if found else None
