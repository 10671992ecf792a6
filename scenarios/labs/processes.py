"""The real processes of the local lab: started in groups of their own, and never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Linux's prctl: the signal that a process gets when the thread that started it is gone.
#: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Command:
    """What to start.

    Attributes:
        name: the process's name in the history.
        arguments: the program and its arguments.
        environment: all of its environment.
        directory: its working directory.
        log: takes its standard output and standard error.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path


class Processes:
    """The processes of one run, by name.

    Each has a session of its own: a Ctrl-C in the terminal reaches the lab alone, which then ends them all. Where the
    lab itself is killed, Linux ends them.
    """

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the processes whose end nobody has taken note of yet."""
        return tuple(self._running)

    def start(self, command: Command) -> None:
        """Start a process."""
        with command.log.open("ab") as log:
            self._running[command.name] = subprocess.Popen(
                command.arguments,
                env=dict(command.environment),
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_leash(),  # noqa: PLW1509 - it takes no lock: two system calls and nothing else
            )

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

    def kill(self) -> None:
        """End everything that still runs, with whatever it may have started, and wait until it is gone."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._running.values():
            process.wait()


def _leash() -> Callable[[], None] | None:
    """Return what a child does between fork and exec so that SIGKILL to the lab does not leave it behind."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    lab = os.getpid()

    def hold() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != lab:  # the lab died before the leash was on
            os._exit(1)

    return hold
