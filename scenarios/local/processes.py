"""The real processes of the local lab: started in groups of their own, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import psutil

from infra.files import open_private
from scenarios.errors import ServiceFailedError
from scenarios.local.spawner import Spawner

#: Runs a program that Linux kills when the thread that started it is gone (util-linux's setpriv, prctl(2)). Asking for
#: it between fork and exec, in Python, would run the fork handlers of whatever else is loaded: gRPC's abort.
LEASH = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(frozen=True, slots=True)
class Command:
    """What to start.

    Attributes:
        name: the process's name in the history.
        arguments: the program and its arguments.
        environment: all of its environment.
        directory: its working directory.
        log: takes its standard output and standard error.
        foreign: it is no service of ours, and no fork server can spawn it.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    foreign: bool = False


class Child(Protocol):
    """A process that was started here, or born in the fork server."""

    @property
    def pid(self) -> int:
        """Its process id; 0 for one that is only being born."""

    def poll(self) -> int | None:
        """Return the exit code (or minus the signal), None while it runs."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill_group(self) -> None:
        """Send SIGKILL to it and to all that it has started."""

    def wait(self) -> Any:
        """Wait until it has ended."""


class Started(subprocess.Popen[bytes]):
    """A process that was started here, as the leader of a group."""

    def kill_group(self) -> None:
        """See :class:`Child`."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Processes:
    """The processes of one run, by name.

    Args:
        spawner: a fork server that services are born in; None to start each from nothing.

    Each has a session of its own: a Ctrl-C in the terminal reaches the lab alone, which then ends them all. Where the
    lab itself is killed, Linux ends them, if setpriv is there.
    """

    def __init__(self, spawner: Spawner | None = None) -> None:
        self._spawner = spawner
        self._running: dict[str, Child] = {}

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the processes whose end is not noted yet."""
        return tuple(self._running)

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of those that run, by name; not of one that is only being born."""
        return {name: process.pid for name, process in self._running.items() if process.pid}

    def start(self, command: Command) -> None:
        """Start a process.

        Raises:
            ServiceFailedError: the system cannot run this program.
        """
        if self._spawner is not None and not command.foreign:
            interpreter, option, *module = command.arguments
            if (interpreter, option) == (sys.executable, "-m"):
                self._running[command.name] = self._spawner.spawn(command, module[0], module[1:])
                return
        with os.fdopen(open_private(command.log), "ab") as log:
            try:
                self._running[command.name] = Started(
                    [*leash(), *command.arguments],
                    env=dict(command.environment),
                    cwd=command.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServiceFailedError(f"{command.arguments[0]} cannot be run: {error.strerror}.") from None

    def ended(self) -> list[tuple[str, int]]:
        """Return the processes that have ended since the last call, each with its exit code (or minus its signal)."""
        ended = [(name, code) for name, process in self._running.items() if (code := process.poll()) is not None]
        for name, _ in ended:
            del self._running[name]
        return ended

    def terminate(self, names: Sequence[str]) -> None:
        """Send SIGTERM to those of the named processes that still run."""
        for name in names:
            if name in self._running:
                self._running[name].terminate()

    def kill_one(self, name: str) -> None:
        """End a process with whatever it may have started, if it still runs, and do not wait for it."""
        process = self._running.get(name)
        if process is not None:
            process.kill_group()

    def kill_escaped(self, name: str, value: str) -> None:
        """End what has left its session, and so its process group: it has this variable in its environment.

        Args:
            name: a variable that every process of a program inherits.
            value: a value that no other program has.
        """
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(name) == value:
                    process.kill()

    def kill(self) -> None:
        """End everything that still runs, with whatever it may have started, and wait until it is gone."""
        for process in self._running.values():
            process.kill_group()
        for process in self._running.values():
            process.wait()


@cache
def leash() -> Sequence[str]:
    """Return the words that go before a command, so that what it starts dies with this process; none elsewhere."""
    return LEASH if sys.platform == "linux" and shutil.which(LEASH[0]) else ()
