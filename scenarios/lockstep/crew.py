"""Who works in a history: hands out programs as its consumers, and keeps started ones ready for the next history."""

from __future__ import annotations

import atexit
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scenarios.checks.effects import RUN, HttpEffect, LogEffect, SqlEffect
from scenarios.checks.program_config import ProgramConfig
from scenarios.local.environment import as_variables, shared_environment
from scenarios.local.http_reader import Surroundings
from scenarios.local.interpreter import Interpreter
from scenarios.local.programs import STARTUP_TIMEOUT, program_environment
from scenarios.lockstep.child import Child, Command
from scenarios.lockstep.endpoint import REGION, Endpoint
from scenarios.lockstep.fork_server import ForkServer, is_python
from scenarios.lockstep.process import Hired, ProgramProcess
from scenarios.lockstep.runtimes import quick
from scenarios.lockstep.watched import RunDirectory, Watched
from scenarios.lockstep.writes import Writes
from scenarios.simulation.process import SimulatedProcess
from scenarios.simulation.world import World
from services.faults import Fault
from services.operations import Message

#: A started program that has waited for longer than this, in real seconds, is not used: its client may have given up.
STALE = 30.0
#: Started programs that wait at most.
MOST_READY = 12
#: What a program's own chance is told to come from: the same in all histories, so that any started program will do.
SEED = "7"


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """A program to explore.

    Attributes:
        arguments: the program and its arguments.
        startup_timeout: real seconds until it must have asked for something.
        config: what the user's configuration file says of it.
    """

    arguments: tuple[str, ...]
    startup_timeout: float = STARTUP_TIMEOUT
    config: ProgramConfig = field(default_factory=ProgramConfig)


class Pool:
    """Started programs that wait at their first request, by what they were started with.

    Args:
        spec: the program.
    """

    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec
        self._ready: dict[Command, deque[Child]] = {}
        self._forked: dict[Command, ForkServer] = {}
        atexit.register(self.close)

    def take(self, command: Command) -> Child:
        """Return a program that was started with a command: one that waits, or a new one."""
        waiting = self._ready.get(command)
        while waiting:
            child = waiting.popleft()
            if child.is_fresh(STALE):
                return child
            child.kill()
        return self._start(command)

    def start_anew(self, command: Command, writes: Writes | None) -> Child:
        """Start a program that shares nothing with other histories; ``writes`` holds what it writes."""
        return Child(command, self.spec.startup_timeout, writes=writes)

    def prepare(self, used: Mapping[Command, int]) -> None:
        """Start as many as the last history needed, so that they are ready for the next."""
        room = MOST_READY
        for command, count in used.items():
            waiting = self._ready.setdefault(command, deque())
            while len(waiting) < count and room > 0:
                waiting.append(self._start(command))
                room -= 1
            room -= len(waiting)

    def close(self) -> None:
        """End all that wait."""
        for waiting in self._ready.values():
            for child in waiting:
                child.kill()
        self._ready.clear()
        for server in self._forked.values():
            server.close()
        self._forked.clear()

    def _start(self, command: Command) -> Child:
        if not is_python(command):
            return Child(command, self.spec.startup_timeout)
        if command not in self._forked:
            self._forked[command] = ForkServer(command, self.spec.startup_timeout)
        return self._forked[command].start()


class Crew:
    """The programs of one history (see :class:`scenarios.simulation.lab.Programs`)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.follows = pool.spec.config.follows
        self._endpoint: Endpoint | None = None
        self._processes: list[ProgramProcess] = []
        self._used: Counter[Command] = Counter()
        config = pool.spec.config
        words = (*pool.spec.arguments, *config.env.values())
        watches = isinstance(config.effect, SqlEffect | LogEffect)
        self._run = RunDirectory() if watches or any(RUN in word for word in words) else None
        self._watched: Watched | None = None
        self._logs: dict[str, tuple[str, ...]] = {}
        self._handed: dict[str, Message] = {}

    def consumer(
        self, world: World, name: str, faults: Sequence[Fault], settings: Mapping[str, Any]
    ) -> SimulatedProcess:
        """See :class:`scenarios.simulation.lab.Programs`."""
        if self._endpoint is None:
            self._endpoint = Endpoint(world)
            effect = self._pool.spec.config.effect
            if self._run is not None and isinstance(effect, SqlEffect | LogEffect):
                self._watched = Watched(effect, self._run.path)
            world.hidden_lease = world.info.visibility_timeout
        given = dict(settings)
        slow = given.pop("side_effect_delay_seconds", 0.0)
        given.pop("crash_rate", None)
        delays = (Fault("delay", "PerformSideEffect", nth=0, seconds=slow),) if slow else ()
        command = self._command(self._endpoint, name, given)
        interpreter = Interpreter(self._surroundings(world, self._endpoint, given))
        hired = Hired(self._endpoint, interpreter, lambda: self._take(command), self._watched)
        process = ProgramProcess(world, name, hired, (*faults, *delays))
        self._processes.append(process)
        return process

    @property
    def logs(self) -> dict[str, tuple[str, ...]]:
        """See :class:`scenarios.simulation.lab.Programs`."""
        return self._logs

    def close(self) -> None:
        """See :class:`scenarios.simulation.lab.Programs`."""
        for process in self._processes:
            process.close()
        # A simulation lets go of its processes when it is over.
        self._logs = {process.name: process.log for process in self._processes if process.log}
        if self._watched is not None:
            self._watched.close()
        if self._run is not None:
            self._run.remove()
        self._pool.prepare(self._used)

    def _take(self, command: Command) -> Child:
        if self._run is not None:
            # One that was started before has not seen this directory.
            return self._pool.start_anew(command, self._watched.writes() if self._watched else None)
        self._used[command] += 1
        return self._pool.take(command)

    def _command(self, endpoint: Endpoint, name: str, settings: Mapping[str, Any]) -> Command:
        shared = shared_environment(
            {
                "QUEUE_URL": endpoint.queue_path,
                "AWS_REGION": REGION,
                "MESSAGE_STATUS_TABLE": endpoint.status_table,
                "MESSAGE_SIDE_EFFECTS_TABLE": endpoint.ledger,
                **({"PAYLOAD_BUCKET": endpoint.bucket.name} if endpoint.bucket else {}),
            }
        )
        told = program_environment("{url}", shared, as_variables({"max_messages": 1, **settings}))
        own = {variable: self._filled(value) for variable, value in self._pool.spec.config.env.items()}
        told |= {**own, "PROCESS_NAME": name, "SEED": SEED}
        arguments, told = quick(tuple(map(self._filled, self._pool.spec.arguments)), told)
        return Command(arguments, tuple(sorted(told.items())))

    def _filled(self, text: str) -> str:
        """Return a word of the configuration with the directory of this history."""
        return text if self._run is None else text.replace(RUN, str(self._run.path))

    def _surroundings(self, world: World, endpoint: Endpoint, settings: Mapping[str, Any]) -> Surroundings:
        roles = {
            world.names.queue: "queue",
            world.names.dead_letter_queue: "dead-letter-queue",
            endpoint.status_table: "status-table",
            endpoint.ledger: "side-effects-table",
        }
        config = self._pool.spec.config
        return Surroundings(
            world.names.queue,
            "" if self._watched else endpoint.ledger,
            business_field=settings.get("business_idempotency_field", ""),
            max_messages=settings.get("max_messages", 1),
            message_limit=settings.get("message_limit", 0),
            roles=roles,
            effect=config.effect if isinstance(config.effect, HttpEffect) else None,
            bucket=endpoint.bucket.name if endpoint.bucket else "",
            messages=config.messages,
            handed=self._handed,
        )


def crew_of(spec: ProgramSpec) -> Callable[[], Crew]:
    """Return what makes the crew of a history; all histories of this process share one pool."""
    pool = _pools.get(spec.arguments)
    if pool is None or pool.spec != spec:
        if pool is not None:
            pool.close()
        pool = _pools[spec.arguments] = Pool(spec)
    found = pool
    return lambda: Crew(found)


def close_crews() -> None:
    """End all programs that wait in this process."""
    for pool in _pools.values():
        pool.close()
    _pools.clear()


_pools: dict[tuple[str, ...], Pool] = {}
