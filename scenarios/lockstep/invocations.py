"""Execution environments whose handler is a plain Python function, called in this very process.

    the mapping ── event ──▶ handler(event, context) ── its requests ──▶ operations of a simulated process
                ◀── answer, as Lambda's own client of the runtime encodes it

An environment is what its handler's modules leave in memory. A cold start loads them anew. What is installed, and what
Python brings, is loaded once: nothing of a user's is kept there.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final

from awslambdaric.bootstrap import LambdaContext
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from infra.localaws.lambda_.actions import Failure, Invoke
from infra.localaws.lambda_.config import RUNTIMES, FunctionConfig, access_key_of, environment_of
from infra.localaws.lambda_.limits import MAX_PAYLOAD_BYTES
from infra.localaws.sqs.model import ACCOUNT
from scenarios.checks.effects import HttpEffect
from scenarios.checks.functions import Handler
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import BrokenProgramError
from scenarios.local.environment import as_variables, shared_environment
from scenarios.local.http_reader import Surroundings as Around
from scenarios.local.interpreter import Interpreter
from scenarios.local.programs import program_environment
from scenarios.lockstep import shortcuts as _shortcuts  # noqa: F401 - it adds its hooks to those of turns
from scenarios.lockstep.endpoint import REGION, Endpoint
from scenarios.lockstep.green_threads import GreenThreads, PendingAnswer, Waiting
from scenarios.lockstep.process import Hired, ProgramProcess
from scenarios.lockstep.turns import (
    HOST,
    PORT,
    URL,
    ExitedError,
    Killed,
    Surroundings,
    begin_history,
    encoded,
    end_history,
)
from scenarios.simulation.mapping import Environment, SimulatedMapping, Taken
from scenarios.simulation.process import UNHANDLED, Program
from scenarios.simulation.world import EPOCH, World
from services.consumer.lambda_handler import message_of
from services.operations import Message, Sleep, Task

#: The laboratory's own packages: a handler of ours shares them, and another's of the same name are loaded apart.
_OURS: Final = frozenset({"infra", "scenarios", "services", "tasks", "tests"})
#: How an invocation ends whose handler ended the process.
LEFT: Final = -SIGKILL


class HandlerEnvironment(Environment):
    """One execution environment.

    Args:
        function: what it belongs to.
        number: which environment of its function it is, from 1 on.
    """

    def __init__(self, function: HandlerFunction, number: int) -> None:
        self.function = function
        self.number = number
        self.is_over = False
        self._handler: Callable[[Any, Any], Any] | None = None
        self._marshaller: LambdaMarshaller | None = None
        self.around = Surroundings(
            function.variables(number),
            str(function.directory),
            function.owns,
            {},
        )
        self._threads = GreenThreads(self.around, self._begin_threads)
        self.around.start_thread = self._threads.start
        self.around.has_threads = lambda: self._threads.are_at_work
        self._beside: ThreadsProcess | None = None
        self._mapping: SimulatedMapping | None = None
        self._invocation: InvocationProcess | None = None

    def begin(self, mapping: SimulatedMapping, action: Invoke, take: Taken) -> tuple[ProgramProcess, Program]:
        """See :class:`scenarios.simulation.mapping.Environment`."""
        messages = tuple(message_of(record) for record in json.loads(action.payload)["Records"])
        self.function.received.extend(messages)
        hired = Hired(
            self.function.endpoint, self.function.interpreter, lambda: Invocation(self, mapping, action, take)
        )
        process = InvocationProcess(mapping, hired)
        process.in_hand = messages
        self._mapping, self._invocation = mapping, process
        return process, Program(_idle(), (), _do_nothing)

    @property
    def has_work(self) -> bool:
        """See :class:`scenarios.simulation.mapping.Environment`."""
        return self._threads.are_at_work

    def freeze(self) -> None:
        """See :class:`scenarios.simulation.mapping.Environment`."""
        if self._beside is not None:
            self._beside.is_frozen = True

    def thaw(self) -> None:
        """See :class:`scenarios.simulation.mapping.Environment`."""
        if self._beside is not None:
            self._beside.is_frozen = False
            self._beside.look()

    def end(self) -> None:
        """See :class:`scenarios.simulation.mapping.Environment`."""
        if self._beside is not None:
            self._beside.kill()

    def look(self) -> None:
        """Have the invocation that goes on looked at: a thread has ended its wait."""
        if self._invocation is not None:
            self._invocation.look()

    def _begin_threads(self) -> None:
        mapping, invocation = self._mapping, self._invocation
        assert mapping is not None  # noqa: S101 - its handler starts the thread, and a mapping has invoked that
        assert invocation is not None  # noqa: S101
        hired = Hired(self.function.endpoint, self.function.interpreter, lambda: self._threads)
        self._beside = process = ThreadsProcess(mapping, hired)
        self._threads.poke = process.look
        # What ends the threads' process has ended the environment's.
        process.on_end = lambda _: self._invocation.kill() if self._invocation is not None else None
        mapping.add(process)
        process.start(Program(_idle(), (), _do_nothing), mapping.world.scheduler.now)

    def call(self, payload: bytes, deadline: float, request_id: str) -> bytes:
        """Load the handler, where this is a cold start, and call it; return its answer, encoded.

        Args:
            payload: the event.
            deadline: when the function is killed, in seconds since the epoch.
            request_id: of the invocation.
        """
        if self._marshaller is None:
            self._marshaller = LambdaMarshaller()  # which asks the environment's own variables
        handler, marshaller = self._handler, self._marshaller
        if handler is None:
            handler = self._handler = _loaded(self.function.handler.handler)
        context = LambdaContext(request_id, None, None, int(deadline * 1000), self.function.config.arn)
        answer = marshaller.marshal_response(handler(marshaller.unmarshal_request(payload), context))[0]
        return answer if isinstance(answer, bytes) else str(answer).encode()

    @property
    def has_begun(self) -> bool:
        """Whether its handler is loaded."""
        return self._handler is not None


class Invocation:
    """One invocation, to its process what a program is (see :class:`scenarios.lockstep.child.Child`).

    Attributes:
        exit_code: how it ended; None while it goes on.
        forked_away: never.
    """

    forked_away = False

    def __init__(self, environment: HandlerEnvironment, mapping: SimulatedMapping, action: Invoke, take: Taken) -> None:
        self.exit_code: int | None = None
        self._environment = environment
        self._mapping, self._batch = mapping, action.batch
        self._take = take
        now = mapping.world.scheduler.now
        request_id = f"00000000-0000-4000-8000-{mapping.invocations:012d}"
        deadline = EPOCH + now + mapping.timeout
        work = partial(environment.call, action.payload, deadline, request_id)
        self._code = Waiting(work, environment.around, environment.look)
        self._turns = self._code.turns

    def begin(self) -> None:
        """Do nothing: a call begins at once."""

    def expect(self) -> None:
        """Do nothing: an answer is handed over by hand."""

    def show(self, elapsed: float, wall: float) -> None:
        """Set its clocks."""
        self._turns.monotonic, self._turns.wall = elapsed, wall

    def settle(self) -> Sequence[PendingAnswer]:
        """Let it compute, where what it waited for is there; return what it then asks.

        Raises:
            BrokenProgramError: it does what cannot be simulated, or cannot be loaded.
        """
        turns = self._turns
        if not self._code.is_due or self.exit_code is not None:
            return []
        asked = self._code.go_on()
        if turns.complaint:
            raise self.failure(turns.complaint)
        if turns.outcome is not None:
            self._conclude(*turns.outcome)
        return asked

    @property
    def next_due(self) -> float | None:
        """When it has waited long enough; None for never."""
        return self._code.next_due

    def end_waits(self, elapsed: float) -> None:
        """End a wait whose time has come."""
        self._code.end_wait(elapsed)

    def terminate(self) -> None:
        """Do nothing: a function hears of no end."""

    def kill(self) -> None:
        """End it where it stands."""
        self._turns.kill()

    def failure(self, what: str) -> BrokenProgramError:
        """Return the error that the handler does something which cannot be simulated."""
        return BrokenProgramError(f"The handler {what}.", self.last_lines())

    def last_lines(self) -> list[str]:
        """Return the last lines that it has printed."""
        return self._environment.around.log.last()

    def _conclude(self, answer: bytes | None, error: BaseException | None) -> None:
        environment = self._environment
        if isinstance(error, KeyboardInterrupt):
            raise error
        if error is not None and not environment.has_begun:
            said = _last_line(error)
            name = environment.function.handler.handler
            raise BrokenProgramError(f"The handler {name} cannot be started: {said}", environment.around.log.last())
        if isinstance(error, SystemExit | ExitedError | Killed):
            self.exit_code = LEFT
        elif error is not None:
            environment.around.log.write("".join(traceback.format_exception(error)))
            self._mapping.tell("handler-raised", batch=self._batch, error=_last_line(error))
            self.exit_code = UNHANDLED
        elif answer is not None and len(answer) > MAX_PAYLOAD_BYTES:
            self._take(b"{}", Failure.TOO_LARGE)
            self.exit_code = 0
        else:
            self._take(answer or b"null", None)
            self.exit_code = 0


class ThreadsProcess(ProgramProcess):
    """An environment's threads as a process of a simulation.

    Attributes:
        is_frozen: none of them computes. What they have asked for is done, and its answers wait.
    """

    is_frozen = False

    def __init__(self, mapping: SimulatedMapping, hired: Hired) -> None:
        super().__init__(
            mapping.world,
            mapping.name,
            hired,
            recorder=mapping.recorder,
            plan=mapping.handler_faults,
            is_consumer=False,
        )
        self.respawns = False

    def look(self) -> None:
        """Look soon whether something has come that it waits for."""
        if self.exit_code is None:
            self.world.scheduler.wake(self._watch, self.world.scheduler.now)

    def _advance(self) -> None:
        if not self.is_frozen:
            super()._advance()


class InvocationProcess(ThreadsProcess):
    """An invocation as a process of a simulation: it ends when its handler does."""

    def _note_end(self, child: Any) -> None:
        self._end(child.exit_code or 0)


@dataclass(frozen=True, slots=True)
class Known:
    """What the histories of a process have in common of a function.

    Attributes:
        config: its settings.
        variables: the environment variables of all its environments, encoded.
    """

    config: FunctionConfig
    variables: dict[bytes, bytes]

    @classmethod
    def of(cls, config: FunctionConfig) -> Known:
        """Return what follows from a function's settings."""
        variables = environment_of(config, f"{HOST}:{PORT}", URL, "", Path(tempfile.gettempdir()))
        return cls(config, encoded(variables))


@dataclass(slots=True, eq=False)
class HandlerFunction:
    """A function of one history, as its environments know it.

    Attributes:
        handler: whose code it runs.
        known: its settings, and the variables of its environments.
        endpoint: answers what it asks.
        interpreter: understands it.
        owns: tells which modules each environment loads for itself.
        received: what its mapping has handed to it and the interpreter has not yet taken in.
    """

    handler: Handler
    known: Known
    endpoint: Endpoint
    owns: Callable[[str], bool]
    received: list[Message] = field(default_factory=list)
    interpreter: Interpreter = field(init=False)

    @property
    def config(self) -> FunctionConfig:
        """Its settings."""
        return self.known.config

    @property
    def directory(self) -> Path:
        """Where its code lies."""
        return self.config.directory

    def variables(self, number: int) -> dict[bytes, bytes]:
        """Return the environment variables of one environment, encoded."""
        stream = f"2026/01/01/[$LATEST]{number:032x}"
        own = {"AWS_LAMBDA_LOG_STREAM_NAME": stream, "AWS_ACCESS_KEY_ID": access_key_of(stream)}
        return self.known.variables | encoded(own)

    def take_received(self) -> Sequence[Message]:
        """Return what its mapping has handed to it since the last call."""
        taken, self.received[:] = tuple(self.received), ()
        return taken


class Handlers:
    """The functions of one history (see :class:`scenarios.simulation.lab.Handlers`)."""

    def __init__(self, handler: Handler, config: ProgramConfig, known: dict[str, Known]) -> None:
        self._handler = handler
        self._config = config
        self._known = known
        self._endpoint: Endpoint | None = None
        self._handed: dict[str, Message] = {}

    def environments(
        self, world: World, name: str, settings: Mapping[str, Any], *, timeout: int, memory: int, seed: int
    ) -> Callable[[int], Environment]:
        """See :class:`scenarios.simulation.lab.Handlers`."""
        if self._endpoint is None:
            self._endpoint = Endpoint(world)
            begin_history(seed)
        endpoint = self._endpoint
        key = repr((endpoint.queue_path, name, sorted(settings.items()), timeout, memory))
        if key not in self._known:
            function = self._function(endpoint, f"{world.names.queue.removesuffix('.fifo')}-{name}", settings)
            self._known[key] = Known.of(replace(function, timeout=timeout, memory=memory))
        known = self._known[key]
        made = HandlerFunction(
            self._handler, known, endpoint, _owner(known.config.directory, _module_of(self._handler.handler))
        )
        effect = self._config.effect
        made.interpreter = Interpreter(
            Around(
                world.names.queue,
                endpoint.ledger,
                business_field=str(settings.get("business_idempotency_field", "")),
                roles={
                    world.names.queue: "queue",
                    world.names.dead_letter_queue: "dead-letter-queue",
                    endpoint.status_table: "status-table",
                    endpoint.ledger: "side-effects-table",
                },
                effect=effect if isinstance(effect, HttpEffect) else None,
                received=made.take_received,
                handed=self._handed,
            )
        )
        return lambda number: HandlerEnvironment(made, number)

    def close(self) -> None:
        """See :class:`scenarios.simulation.lab.Handlers`."""
        end_history()

    def _function(self, endpoint: Endpoint, function: str, settings: Mapping[str, Any]) -> FunctionConfig:
        shared = shared_environment(
            {
                "QUEUE_URL": endpoint.queue_path,
                "AWS_REGION": REGION,
                "MESSAGE_STATUS_TABLE": endpoint.status_table,
                "MESSAGE_SIDE_EFFECTS_TABLE": endpoint.ledger,
            }
        )
        told = program_environment(URL, shared, as_variables(settings))
        told |= {key: value.replace("{url}", URL) for key, value in self._config.env.items()}
        return FunctionConfig(
            function,
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}",
            RUNTIMES["python"],
            self._handler.handler,
            self._handler.code.resolve(),
            variables=told,
        )


@dataclass(frozen=True, slots=True)
class _Common:
    """What the functions of several histories follow from, and what is known of them.

    Attributes:
        variables: this process's own.
    """

    handler: Handler
    config: ProgramConfig
    variables: dict[str, str]
    known: dict[str, Known] = field(default_factory=dict, compare=False)


_latest: list[_Common] = []


def handlers_of(handler: Handler, config: ProgramConfig) -> Callable[[], Handlers]:
    """Return what makes the functions of a history; all histories of a campaign know the same functions."""
    common = _Common(handler, config, dict(os.environ))
    if _latest != [common]:
        _latest[:] = [common]
    known = _latest[0].known
    return lambda: Handlers(handler, config, known)


@cache
def _owner(code: Path, module: str) -> Callable[[str], bool]:
    """Return what tells the modules that each environment loads for itself: the handler's, and those beside it."""
    beside = {entry.stem for entry in code.iterdir() if entry.suffix == ".py"}
    beside |= {entry.name for entry in code.iterdir() if (entry / "__init__.py").is_file()}
    ours = {name for name in _OURS & beside if _lies_in(name, code)}
    tops = frozenset(beside - ours - sys.stdlib_module_names)
    return lambda name: name == module or name.partition(".")[0] in tops


def _lies_in(name: str, code: Path) -> bool:
    """Tell whether a package of this process is the one in a directory."""
    found = sys.modules.get(name)
    return found is not None and any(Path(path).parent == code for path in getattr(found, "__path__", ()))


def _module_of(handler: str) -> str:
    return handler.rpartition(".")[0].replace("/", ".")


def _loaded(handler: str) -> Callable[[Any, Any], Any]:
    """Import a handler's module, and return the handler.

    Raises:
        Exception: whatever the module raises; or it has no such function.
    """
    module = importlib.import_module(_module_of(handler))
    name = handler.rpartition(".")[2]
    found = getattr(module, name, None)
    if found is None:
        raise AttributeError(f"the module {module.__name__} has no {name}")
    called: Callable[[Any, Any], Any] = found
    return called


def _last_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]


def _idle() -> Task[int]:
    yield Sleep(float("inf"))
    return 0


def _do_nothing() -> None:
    """Do nothing: a function hears of no end."""
