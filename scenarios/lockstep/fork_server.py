"""A Python program that is started once and forked for each history: its imports and its clients are made once.

The program stands still at its first request (see ``scenarios.lockstep.warm.sitecustomize``). A fork goes on from
there with a port, a log and a mark of its own. It is a child of this process: its parent ends, and this process takes
orphans.
"""

from __future__ import annotations

import array
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from scenarios.errors import ServiceFailedError
from scenarios.lockstep.child import Child, Command, Forked
from scenarios.lockstep.orphans import MARK

#: The variable by which a program knows where it is asked to fork: a descriptor, this process, and its own port.
GIVEN: Final = "QUEUE_FUNDAMENTALS_WARM"
_HERE: Final = Path(__file__).with_name("warm")
#: Real seconds for a fork to say who it is.
FORK_SECONDS: Final = 10.0
#: The place of the beginning of a process's environment in proc's ``stat``, after its name.
_ENVIRONMENT: Final = 47


def is_python(command: Command) -> bool:
    """Tell whether a command starts a Python interpreter."""
    return Path(command.arguments[0]).name.startswith("python")


class ForkServer:
    """One program that is forked, or that turns out to be none that can be.

    Args:
        command: what to start.
        startup_timeout: real seconds until it must have asked for something.

    Raises:
        ServiceFailedError: the system cannot run it.
    """

    def __init__(self, command: Command, startup_timeout: float) -> None:
        self._command, self._timeout = command, startup_timeout
        self._control, theirs = socket.socketpair()
        try:
            path = os.pathsep.join(filter(None, (str(_HERE), dict(command.environment).get("PYTHONPATH", ""))))
            given = f"{theirs.fileno()}:{os.getpid()}:{{port}}"
            environment = {**dict(command.environment), "PYTHONPATH": path, GIVEN: given}
            warm = Command(command.arguments, tuple(sorted(environment.items())))
            self._program: Child | None = Child(warm, startup_timeout, inherited=(theirs.fileno(),))
        except ServiceFailedError:
            self._control.close()
            raise
        finally:
            theirs.close()
        self._is_warm: bool | None = None

    def start(self) -> Child:
        """Return a program that begins: a fork, or a new process."""
        if self._is_warm is None:
            self._is_warm = self._becomes_warm()
        if self._is_warm and self._program is not None and self._program.is_fresh(float("inf")):
            return Child(self._command, self._timeout, fork=self._fork, elder=self._program)
        if self._program is not None and not self._is_warm:
            cold, self._program = self._program, None
            return cold
        return Child(self._command, self._timeout)

    def close(self) -> None:
        """End what is forked; the forks go on."""
        self._control.close()
        if self._program is not None:
            self._program.kill()
            self._program = None

    def _becomes_warm(self) -> bool:
        """Wait until it stands still at its first request, or has made it, or has ended."""
        program, until = self._program, time.monotonic() + self._timeout
        self._control.settimeout(0.002)
        while program is not None and program.is_silent and time.monotonic() < until:
            with suppress(TimeoutError):
                return self._control.recv(16) == b"ready\n"
        return False

    def _fork(self, port: int, mark: str, log: int) -> Forked:
        self._control.settimeout(FORK_SECONDS)
        try:
            descriptors = array.array("i", [log]).tobytes()
            self._control.sendmsg([f"{port} {mark}".encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            told = self._control.recv(32)
            pid = int(told)
            _set_mark(pid, mark)
        except (OSError, ValueError) as error:
            raise ServiceFailedError(f"A Python program could not be forked: {error}.") from None
        return Forked(pid)


def _set_mark(pid: int, mark: str) -> None:
    """Write a fork's own mark where the system shows its environment: all forks have inherited one."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    begin, end = (int(fields[place]) for place in (_ENVIRONMENT, _ENVIRONMENT + 1))
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        name = f"{MARK}=".encode()
        at = (b"\0" + os.pread(memory, end - begin, begin)).find(b"\0" + name)
        if at >= 0:
            os.pwrite(memory, mark.encode(), begin + at + len(name))
    finally:
        os.close(memory)
