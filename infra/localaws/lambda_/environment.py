"""One execution environment: a process that handles one invocation at a time, and is frozen in between.

Its life::

    spawned ──▶ init ──▶ ready ──▶ running ──▶ answered ──▶ ready (frozen until the next event) ──▶ ...
                  │                   │
                  ▼ init/error,       ▼ timeout (SIGKILL), exit, crash
                  exit, 10 s        gone: the next invocation is a cold start

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.localaws.lambda_.actions import Failure, Result
from infra.localaws.lambda_.config import FunctionConfig, access_key_of, command_of, environment_of
from infra.localaws.lambda_.errors import LambdaError
from infra.localaws.lambda_.faults import Fault, FaultKind
from infra.localaws.lambda_.limits import INIT_SECONDS, MAX_PAYLOAD_BYTES
from infra.localaws.lambda_.processes import ProcessGroup, end_strays, own_waits
from infra.localaws.lambda_.runtime_api import Event, Phase, RuntimeApi
from services.common.waits import longest_wait

LogLine = Callable[[str], None]


@dataclass(slots=True)
class Surroundings:
    """What an environment needs of its function.

    Attributes:
        real_seconds: how long seconds of the queue's clock last in real ones.
        endpoint_url: where the function's AWS SDKs go.
        log: takes a line of the function's log.
        observe: is told what happens to the environment.
        freezes: whether it stands still between invocations.
        init_seconds: real seconds until an init is restarted.
        on_gone: is told when the environment has ended.
        on_ready: is told when it can be used again after a failure that it survived.
        says_init_failure: tells whether an init's failure is worth saying, and not the same as the last one.
    """

    real_seconds: Callable[[float], float]
    endpoint_url: str
    log: LogLine
    observe: Callable[..., None]
    on_gone: Callable[["ExecutionEnvironment"], None]
    on_ready: Callable[["ExecutionEnvironment"], None]
    says_init_failure: Callable[[bytes], bool] = lambda _: True
    freezes: bool = True
    init_seconds: float = INIT_SECONDS


@dataclass(slots=True)
class Call:
    """An invocation on its way to an environment; ``fault`` strikes it, ``batch`` is what a mapping calls it."""

    request_id: str
    payload: bytes
    trace_id: str
    client_context: str | None = None
    fault: Fault | None = None
    batch: int | None = None


class ExecutionEnvironment:
    """One environment; nothing is started before its first ``run``.

    Args:
        config: the function.
        stream: the name of its log stream, which no other environment has.
        surroundings: see there.
    """

    def __init__(self, config: FunctionConfig, stream: str, surroundings: Surroundings) -> None:
        self.config = config
        self.stream = stream
        self.access_key = access_key_of(stream)
        self.invocations = 0
        self.is_gone = False
        self.survives_later = False
        self._around = surroundings
        self._loop = asyncio.get_running_loop()
        self._api = RuntimeApi(self)
        self._group: ProcessGroup | None = None
        self._scratch: Path | None = None
        self._marker = ""
        self._outcome: asyncio.Future[Result | None] | None = None
        self._call: Call | None = None
        self._partial_line = b""
        self._frozen_at = 0.0
        self._init_seconds: float | None = None
        self._held_lines: list[str] | None = None

    @property
    def pid(self) -> int | None:
        """The id of its process; None before it was started."""
        return None if self._group is None else self._group.pid

    async def run(self, call: Call) -> Result | None:
        """Handle an invocation.

        Returns:
            How it ended; None if the environment was gone before it could be handed the event.
        """
        self._init_seconds = None
        if self._group is None:
            self._held_lines = []
            failed = await self._init(call)
            if failed is not None:
                self.end()
                self._release_log(failed.payload.replace(call.request_id.encode(), b""))
                return failed
            self._release_log(None)
        elif not self._is_ready and not await self._becomes_ready():
            self.end()
            return None
        return await self._invoke(call)

    async def prepare(self) -> Result | None:
        """Start the process ahead of its first invocation; return how that failed, None if it did not."""
        self._held_lines = []
        failed = await self._init(None)
        if failed is not None:
            self.end()
        self._release_log(None if failed is None else failed.payload)
        return failed

    def crash(self) -> None:
        """Kill the process, as a failing host would."""
        if self._group is not None:
            self._around.observe("environment-crashed", pid=self._group.pid)
            self._group.kill()

    def end(self) -> None:
        """Kill every process of the environment, and forget it."""
        if self.is_gone:
            return
        self.is_gone = True
        self._drop_process()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._flush_log()
        self._around.on_gone(self)

    # The Runtime API's side

    def on_ready(self) -> None:
        """The process waits for an event."""
        waits_for_this = self._outcome is not None and not self._outcome.done() and self._call is None
        if waits_for_this:
            self._settle(None)
        elif self._around.freezes and self._group is not None:
            self._group.freeze()
            self._frozen_at = time.monotonic()
        if self.survives_later:
            self.survives_later = False
            self._around.on_ready(self)

    def on_answer(self, payload: bytes) -> bool:
        """The function has returned."""
        fault = self._fault
        if fault is FaultKind.CRASH_AFTER:
            self.crash()
            return False
        lost = fault is FaultKind.ANSWER_LOST
        self._settle(Result(payload, Failure.LOST if lost else None))
        return True

    def on_error(self, error_type: str, payload: bytes) -> None:
        """The function has failed."""
        self._settle(Result(payload or _error(error_type, ""), Failure.ERROR))

    def on_too_large(self, size: int) -> None:
        """The function has returned more than it may; whether its process bears the refusal is yet to be seen."""
        self.survives_later = True
        message = (
            f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
        )
        self._log(f"[ERROR] Function.ResponseSizeTooLarge: {message}")
        self._settle(Result(_error("Function.ResponseSizeTooLarge", message), Failure.TOO_LARGE))

    def on_init_error(self, payload: bytes) -> None:
        """The process cannot start."""
        self._settle(Result(payload or _error("Runtime.InitError", ""), Failure.INIT))

    # Within

    @property
    def _timeout(self) -> float:
        return self._around.real_seconds(self.config.timeout)

    @property
    def _fault(self) -> FaultKind | None:
        fault = None if self._call is None else self._call.fault
        return None if fault is None else fault.kind

    @property
    def _is_ready(self) -> bool:
        return self._api.phase is Phase.READY

    async def _becomes_ready(self) -> bool:
        """Wait for a process that has answered its last invocation, and is about to ask for the next event."""
        outcome = await self._expect(self._timeout, _LATE)
        return outcome is None and self._is_ready

    async def _init(self, call: Call | None) -> Result | None:
        """Start the process; an init that takes too long is begun anew, within the function's own timeout."""
        waited = 0.0
        # Ahead of an invocation there is no function timeout to keep to, and no second try.
        for limit in (self._around.init_seconds, *((self._timeout,) if call is not None else ())):
            began = time.monotonic()
            try:
                await self._spawn()
            except (LambdaError, OSError) as error:
                sentence = str(error)
                self._log(f"[ERROR] Runtime.InvalidEntrypoint: {sentence}")
                return Result(_error("Runtime.InvalidEntrypoint", f"Error: {sentence}", call), Failure.INIT)
            outcome = await self._expect(limit, _LATE)
            if outcome is not _LATE:
                self._init_seconds = time.monotonic() - began
                return outcome
            self._log(
                f"INIT_REPORT Init Duration: {limit * 1000:.2f} ms\tPhase: init\tStatus: timeout. The process did not "
                f"ask for its first event (GET invocation/next) within {limit:g} s; a bootstrap has to do so."
            )
            waited = 0.0 if self._group is None else longest_wait({}, self._group.waits())
            self._drop_process()
        return self._timed_out(call, waited, self._timeout) if call is not None else self._never_asked()

    async def _spawn(self) -> None:
        command = command_of(self.config)
        self._scratch = self._scratch or Path(tempfile.mkdtemp(prefix="lambda-"))
        self._api = RuntimeApi(self)
        address = await self._api.listen()
        self._marker = f"AWS_LAMBDA_RUNTIME_API={address}"
        variables = environment_of(self.config, address, self._around.endpoint_url, self.stream, self._scratch)
        self._group = ProcessGroup(command, self.config.directory, variables, self._take_output, self._on_exit)
        self._around.observe("environment-started", pid=self._group.pid)

    def _drop_process(self) -> None:
        if self._group is not None:
            self._group.end()
            # Its port is what strays are told by: as soon as it is free, another environment may have it.
            end_strays(self._marker)
        self._api.close()

    async def _invoke(self, call: Call) -> Result:
        group = self._group
        if group is None:
            raise RuntimeError("An environment without a process was given an event.")
        self._call = call
        self.invocations += 1
        self._log(f"START RequestId: {call.request_id} Version: $LATEST")
        began = time.monotonic()
        outcome = self._expect(self._timeout, _LATE)
        before: list[tuple[Mapping[int, float], Mapping[int, float]]] = []
        # Most invocations are over by then, and pay nothing for it.
        look = self._loop.call_later(LOOK_PART * self._timeout, lambda: before.append((group.waits(), own_waits())))
        outcome.add_done_callback(lambda _: look.cancel())
        if self._fault is FaultKind.HANG and not (call.fault and call.fault.seconds):
            # It has the event, and does not get to see it.
            group.freeze()
        else:
            self._thaw(group)
        self._hand_out(call, group)
        result = await outcome
        if result is _LATE:
            # The function waits for the processor itself, and for this endpoint, which may have to wait as well.
            waited = sum(longest_wait(first, group.waits()) + longest_wait(own, own_waits()) for first, own in before)
            result = self._timed_out(call, waited, (1 - LOOK_PART) * self._timeout)
        if result is None:
            raise RuntimeError("An invocation ended without a result.")
        group.read_output()
        self._report(call, time.monotonic() - began)
        self._call = None
        if not group.is_running or result.failure is Failure.TIMEOUT:
            self.end()
        return result

    def _hand_out(self, call: Call, group: ProcessGroup) -> None:
        fault = call.fault
        kind = None if fault is None else fault.kind
        if fault is None or kind is not FaultKind.CRASH_BEFORE:
            deadline = int((time.time() + self._timeout) * 1000)
            event = Event(call.request_id, call.payload, deadline, self.config.arn, call.trace_id, call.client_context)
            self._api.hand_out(event)
        if fault is None:
            return
        delay = self._around.real_seconds(fault.seconds)
        if kind is FaultKind.CRASH_BEFORE:
            self.crash()
        elif kind is FaultKind.CRASH_DURING:
            self._loop.call_later(delay, self._crash_if_running, call)
        elif kind is FaultKind.HANG:
            self._loop.call_later(delay, self._hang_if_running, call, group)

    def _crash_if_running(self, call: Call) -> None:
        if self._call is call:
            self.crash()

    def _hang_if_running(self, call: Call, group: ProcessGroup) -> None:
        if self._call is call:
            group.freeze()

    def _thaw(self, group: ProcessGroup) -> None:
        if group.is_frozen:
            group.thaw()
            self._around.observe("environment-thawed", pid=group.pid, seconds=time.monotonic() - self._frozen_at)

    def _expect(self, seconds: float, late: Result | None) -> "asyncio.Future[Result | None]":
        """Return what comes next: readiness (None), a result, or ``late`` after so many seconds."""
        outcome: asyncio.Future[Result | None] = self._loop.create_future()
        timer = self._loop.call_later(seconds, _set, outcome, late)
        outcome.add_done_callback(lambda _: timer.cancel())
        self._outcome = outcome
        return outcome

    def _settle(self, result: Result | None) -> None:
        if self._outcome is not None:
            _set(self._outcome, result)

    def _on_exit(self, code: int) -> None:
        """The process has ended by itself, or was killed."""
        how = f"signal: {_SIGNALS.get(-code, str(-code))}" if code < 0 else f"exit status {code}"
        call = self._call
        self._log(f"RequestId: {call.request_id if call else '-'} Error: Runtime exited with error: {how}")
        failure = Failure.EXIT if call is not None else Failure.INIT
        payload = _error("Runtime.ExitError", f"Error: Runtime exited with error: {how}", call)
        if self._outcome is not None and not self._outcome.done():
            self._settle(Result(payload, failure))
        else:
            # Idle: the pool must not hand it out again.
            self.end()

    def _never_asked(self) -> Result:
        sentence = (
            f"It did not ask for its first event within {self._around.init_seconds:g} s; a program has to GET "
            "/2018-06-01/runtime/invocation/next at AWS_LAMBDA_RUNTIME_API."
        )
        return Result(_error("Runtime.InitTimeout", sentence), Failure.INIT)

    def _timed_out(self, call: Call, waited: float, within: float) -> Result:
        """Return how an invocation ends that has no time left; of ``within`` seconds it waited some for a processor."""
        message = f"Error: Task timed out after {self.config.timeout:.2f} seconds"
        self._log(f"{call.request_id} Task timed out after {self.config.timeout:.2f} seconds")
        self._around.observe(
            "environment-timed-out", pid=self.pid, batch=call.batch, starved=round(waited, 3), within=round(within, 3)
        )
        return Result(_error("Sandbox.Timedout", message, call), Failure.TIMEOUT)

    # The log

    def _report(self, call: Call, seconds: float) -> None:
        self._flush_log()
        init = "" if self._init_seconds is None else f"\tInit Duration: {self._init_seconds * 1000:.2f} ms"
        self._log(f"END RequestId: {call.request_id}")
        self._log(
            f"REPORT RequestId: {call.request_id}\tDuration: {seconds * 1000:.2f} ms\t"
            f"Billed Duration: {int(seconds * 1000) + 1} ms\tMemory Size: {self.config.memory} MB{init}"
        )

    def _take_output(self, data: bytes) -> None:
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        for line in lines:
            self._log(line.decode("utf-8", "replace").rstrip("\r"))
        if len(self._partial_line) > _MAX_LINE_BYTES:
            self._flush_log()

    def _flush_log(self) -> None:
        if self._partial_line:
            line, self._partial_line = self._partial_line, b""
            self._log(line.decode("utf-8", "replace"))

    def _release_log(self, failure: bytes | None) -> None:
        """Say what was logged during the init, unless the init failed just as the one before."""
        lines, self._held_lines = self._held_lines or [], None
        if failure is None or self._around.says_init_failure(failure):
            for line in lines:
                self._around.log(line)

    def _log(self, line: str) -> None:
        if self._held_lines is None:
            self._around.log(line)
        else:
            self._held_lines.append(line)


def _set(future: "asyncio.Future[Result | None]", result: Result | None) -> None:
    if not future.done():
        future.set_result(result)


def _error(error_type: str, message: str, call: Call | None = None) -> bytes:
    text = message if call is None else f"RequestId: {call.request_id} {message}"
    description: Mapping[str, Any] = {"errorType": error_type, "errorMessage": text}
    return json.dumps(description).encode()


#: After this part of its timeout an invocation is looked at, to see whether the machine keeps the processor from it.
LOOK_PART: Final = 0.1
_LATE: Final = Result(b"", Failure.TIMEOUT)
"""Stands for a limit that has passed; it is told from other results by identity."""
_MAX_LINE_BYTES: Final = 256 * 1024
_SIGNALS: Final = {1: "hangup", 6: "aborted", 9: "killed", 11: "segmentation fault", 15: "terminated"}
