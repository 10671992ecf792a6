"""The processes of an execution environment: started in a group of their own, frozen, thawed, and ended to the last.

A frozen group is ended by the kernel itself if the endpoint dies: its processes share the endpoint's session, so the
group is orphaned at that moment, and an orphaned group with stopped members is sent SIGHUP and SIGCONT.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.common.waits import PROC, waits_of


def own_waits() -> Mapping[int, float]:
    """Return for how many seconds the thread that calls has waited for a processor, by its id."""
    thread = threading.get_native_id()
    return {own: waited for own, waited in waits_of(os.getpid()).items() if own == thread}


class ProcessGroup:
    """A process and what it starts.

    Args:
        command: the program and its arguments.
        directory: where it runs.
        environment: its variables.
        on_output: is handed what it writes to stdout and stderr.
        on_exit: is told once that the process has ended, with its return code.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._output, written = os.pipe()
        os.set_blocking(self._output, False)
        self.is_frozen = False
        self.is_running = True
        try:
            self._process = subprocess.Popen(
                [*_dying_with_parent(), *command],
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                process_group=0,
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(written)
        self.pid = self._process.pid
        self._loop.add_reader(self._output, self.read_output)
        self._watch()

    def read_output(self) -> None:
        """Hand over what the processes have written by now; after their end nothing is left to hand over."""
        while self.is_running:
            try:
                data = os.read(self._output, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._output)
                return
            self._on_output(data)

    def waits(self) -> Mapping[int, float]:
        """Return for how many seconds each thread of its processes has waited for a processor, by its id."""
        return waits_of(self.pid)

    def freeze(self) -> None:
        """Stop every process of the group where it is."""
        if self.is_running and not self.is_frozen:
            self.is_frozen = True
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        if self.is_frozen:
            self.is_frozen = False
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the group without a warning; ``on_exit`` follows."""
        if self.is_running:
            self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill the group and wait until its first process is gone; ``on_exit`` is not called."""
        if self.is_running:
            self._unwatch()
            self._finish()

    # Within

    def _signal(self, number: signal.Signals) -> None:
        # The process has not been waited for, so that its number cannot be another's by now.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _watch(self) -> None:
        """Learn of the end without asking again and again."""
        self._pidfd: int | None = None
        if hasattr(os, "pidfd_open"):
            self._pidfd = os.pidfd_open(self.pid)
            self._loop.add_reader(self._pidfd, self._exited)
        else:
            threading.Thread(target=self._wait_in_thread, daemon=True).start()

    def _wait_in_thread(self) -> None:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._exited)

    def _unwatch(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _exited(self) -> None:
        if self.is_running:
            self._unwatch()
            self._on_exit(self._finish())

    def _finish(self) -> int:
        """Kill what is left of the group, take its last output, and reap its first process."""
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        self.read_output()
        # From here on the number of the pipe, and that of the process, can be another's.
        self.is_running = False
        self._loop.remove_reader(self._output)
        os.close(self._output)
        return code


def end_strays(marker: str) -> list[int]:
    """Kill every process that carries a marker in its environment; return their ids.

    A process that has left its group still has the environment that it was started with. Where the machine has no
    /proc, none is found.

    Args:
        marker: ``NAME=value``, of which no other environment has the value.
    """
    wanted = marker.encode()
    ended = []
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    ended.append(int(entry.name))
    return ended


def _dying_with_parent() -> list[str]:
    """Return the command that has a process killed when the thread that starts it ends, where there is one."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


_READ_BYTES: Final = 65_536
