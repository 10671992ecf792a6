"""The lab's side of the fork server (see ``scenarios.local.fork_server``): ask for a process, and hear how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from scenarios.errors import ServiceFailedError

if TYPE_CHECKING:
    from scenarios.local.processes import Command

#: Seconds for the fork server to have imported everything, on a busy machine.
READY_DEADLINE = 60.0
#: Seconds to be born in.
SPAWN_DEADLINE = 30.0
#: Seconds to hear of an end that a signal has brought about.
END_DEADLINE = 30.0


class SpawnedProcess:
    """A process that the fork server has forked; in its ways a ``subprocess.Popen``."""

    def __init__(self, number: int, spawner: Spawner) -> None:
        self._number = number
        self._spawner = spawner
        self._ended = threading.Event()
        self._code = 0
        self.born: SimpleQueue[int] = SimpleQueue()
        self.pid = 0

    def poll(self) -> int | None:
        """Return the exit code (or minus the signal), None while it runs."""
        return self._code if self._ended.is_set() else None

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._spawner.ask(id=self._number, signal=int(signal.SIGTERM), group=False)

    def kill_group(self) -> None:
        """Send SIGKILL to it and to all that it has started."""
        self._spawner.ask(id=self._number, signal=int(signal.SIGKILL), group=True)

    def wait(self) -> None:
        """Wait until it has ended."""
        self._ended.wait(END_DEADLINE)

    def end(self, code: int) -> None:
        """Note its end."""
        self._code = code
        self._ended.set()


class Spawner:
    """A running fork server. Several threads may use it.

    Args:
        environment: the fork server's own; what is born gets another.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._children: dict[int, SpawnedProcess] = {}
        self._ready = threading.Event()
        self._number = 0
        self._over = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scenarios.local.fork_server"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def spawn(self, command: Command, module: str, arguments: list[str]) -> SpawnedProcess:
        """Start a service.

        Raises:
            ServiceFailedError: the fork server has ended.
        """
        if not self._ready.wait(READY_DEADLINE) or self._over:
            raise ServiceFailedError("The process that starts the services has ended; run the scenario again.")
        with self._lock:
            self._number += 1
            child = self._children[self._number] = SpawnedProcess(self._number, self)
            number = self._number
        self.ask(
            id=number,
            module=module,
            arguments=arguments,
            environment=dict(command.environment),
            directory=str(command.directory),
            log=str(command.log),
        )
        try:
            child.born.get(timeout=SPAWN_DEADLINE)
        except Empty:
            raise ServiceFailedError(f"{command.name} could not be started; run the scenario again.") from None
        return child

    def ask(self, **request: Any) -> None:
        """Send the fork server a request; one that has ended hears none."""
        stdin = self._process.stdin
        with self._lock, suppress(OSError, ValueError):
            if stdin is not None:
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()

    def close(self) -> None:
        """End the fork server, which ends all that was born in it."""
        with self._lock, suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(END_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            answer = json.loads(line)
            if "ready" in answer:
                self._ready.set()
                continue
            child = self._children[answer["id"]]
            if "pid" in answer:
                child.pid = answer["pid"]
                child.born.put(child.pid)
            else:
                child.end(answer["code"])
        # The fork server is gone, and Linux has killed whatever was born in it.
        self._over = True
        self._ready.set()
        for child in tuple(self._children.values()):
            if child.poll() is None:
                child.end(-signal.SIGKILL)


@contextmanager
def fork_server(told: str) -> Iterator[Spawner | None]:
    """Yield a fork server; None where there can be none.

    Args:
        told: what the run is, for a user who looks at the machine's processes.
    """
    if sys.platform != "linux":
        yield None
        return
    spawner = Spawner({**os.environ, "QUEUE_FUNDAMENTALS_RUN": told})
    try:
        yield spawner
    finally:
        spawner.close()
