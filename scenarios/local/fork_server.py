"""The fork server: a Python that has imported what the services import, and forks them, so that each starts in no time.

    lab ── a line of JSON: start this, signal that ──▶ fork server ── fork ──▶ service, a process and session of its own
        ◀─ a line of JSON: its pid, its exit code ────         ◀─ wait ──

A service that is born here runs the same module with the same arguments and environment as by ``python -m``, and dies
of a signal like any process; only its imports are done. If the lab dies, its end of the pipe closes and everything born
here is killed. Linux alone: elsewhere a fork of a process that has loaded the system's frameworks is not safe.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

#: prctl(2): the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1
#: What the services import, in the end.
MODULES = ("services.consumer.__main__", "services.producer.__main__")


def main() -> None:
    """Serve the lab until it closes its end."""
    _warm_up()
    _ForkServer().serve()


def _warm_up() -> None:
    """Import everything; making clients imports what botocore leaves for then, and reads its descriptions of AWS."""
    for module in MODULES:
        __import__(module)
    from services.clients import Access, Clients  # noqa: PLC0415 - imported like all the rest: for its own sake

    clients = Clients(Access(region="us-west-1", endpoint_url="http://127.0.0.1:9"))
    for service in ("sqs", "dynamodb"):
        clients.client(service).close()
    gc.collect()
    gc.freeze()  # what is here now is never garbage; a collection in a child would only copy its pages


class _ForkServer:
    """Reads requests from standard input, answers on standard output, and waits for what it has started."""

    def __init__(self) -> None:
        self._running: dict[int, int] = {}
        self._wake, waker = socket.socketpair()
        self._wake.setblocking(False)
        waker.setblocking(False)
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Go on until standard input is closed, then kill what still runs."""
        selector = selectors.DefaultSelector()
        selector.register(0, selectors.EVENT_READ)
        selector.register(self._wake, selectors.EVENT_READ)
        pending = b""
        self._say(ready=True)
        while True:
            for key, _ in selector.select():
                if key.fd != 0:
                    with suppress(BlockingIOError):
                        self._wake.recv(4096)
                    self._reap()
                    continue
                data = os.read(0, 1 << 16)
                if not data:
                    signal.set_wakeup_fd(-1)
                    self._kill_all()
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))

    def _obey(self, request: Mapping[str, Any]) -> None:
        number = request["id"]
        if "signal" in request:
            # It is known here, and nowhere else, whether the process is still there: its id may be another's by now.
            pid = next((pid for pid, born in self._running.items() if born == number), None)
            if pid is not None:
                _signal(pid, request["signal"], group=request["group"])
            return
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            _live(request, parent)
        self._running[pid] = number
        self._say(id=number, pid=pid)

    def _reap(self) -> None:
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._say(id=self._running.pop(pid), code=os.waitstatus_to_exitcode(status))

    def _kill_all(self) -> None:
        for pid in self._running:
            _signal(pid, signal.SIGKILL, group=True)

    def _say(self, **answer: Any) -> None:
        os.write(1, json.dumps(answer).encode() + b"\n")


def _signal(pid: int, number: int, *, group: bool) -> None:
    """Send a signal to a process that is not waited for yet, and to all that it has started.

    First to itself, which may not lead a group yet; where that kills it, it starts nothing more that could be missed.
    """
    os.kill(pid, number)
    if group:
        with suppress(ProcessLookupError):
            os.killpg(pid, number)


def _live(request: Mapping[str, Any], parent: int) -> NoReturn:
    """Be the service: in a new process, to its end."""
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(code)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        _redirect(request["log"])
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        code = _run(request["module"], request["arguments"])
    except BaseException:  # noqa: BLE001 - whatever it was, it must not go on as a second fork server
        traceback.print_exc()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _redirect(log: str) -> None:
    """Let standard input be empty, and standard output and standard error the log."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.closerange(3, max(nothing, written) + 1)


def _run(module: str, arguments: Sequence[str]) -> int:
    """Run a module as ``python -m`` does; return the exit code."""
    ahead = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [str(Path.cwd()), *ahead, *sys.path]
    sys.argv = [module, *arguments]
    # What a module's own package has imported already is what the fork server has loaded for it.
    warnings.filterwarnings("ignore", message=".* found in sys.modules after import", category=RuntimeWarning)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return 1
    return 0


if __name__ == "__main__":
    main()
