"""A real process that is held still: it computes only while the explorer waits for it.

    start ─▶ computes ─▶ at rest, with requests that wait and with waits for a time
                 ▲                          │
                 └── an answer, a signal, or the end of a wait

The first request ends its beginning, which takes real time. From then on its clock is the simulation's.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scenarios.errors import BrokenProgramError, ServiceFailedError
from scenarios.local.logs import last_lines
from scenarios.local.processes import leash
from scenarios.lockstep.members import Member, Members, UntakenError
from scenarios.lockstep.orphans import MARK, adopt, end, orphans
from scenarios.lockstep.server import PendingRequest, ProgramServer
from scenarios.lockstep.threads import Look
from scenarios.lockstep.writes import Write, Writes

#: Real seconds in which a program must come to rest, or ask for something.
COMPUTING = 30.0
#: Real seconds for which a thread that only looks for work is waited for.
SPINNING = 0.03
#: Real seconds within which a program takes note of an answer: the system may hand it over a little later. A program
#: that has not stirred after this does not wait for it.
STIRRING = 1.0
#: Real seconds between two looks at a program that computes: the first, and the longest.
FIRST_LOOK, LAST_LOOK = 0.0001, 0.004
#: A connection over which something may come.
_UNDER_WAY = frozenset({psutil.CONN_ESTABLISHED, psutil.CONN_SYN_SENT})
#: Real seconds for a process that was killed to be gone.
GONE = 5.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to start.

    Attributes:
        arguments: the program and its arguments.
        environment: its environment but for its address; ``{url}`` in a value is where its requests are read.
    """

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


class Forked:
    """A process that another one has forked, and that was given to this one: what ``Popen`` is for those it starts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, or minus the signal; None while it runs."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = self.pid, 0
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(FIRST_LOOK)
        return code

    def terminate(self) -> None:
        """Send SIGTERM to it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


#: Forks a program: from the port, the mark and the log of the fork.
Fork = Callable[[int, str, int], Forked]


class Child:
    """A program, with whatever it has started.

    Args:
        command: what to start.
        startup_timeout: real seconds until it must have asked for something.
        inherited: descriptors that it is given; ``{port}`` in a variable is then its own port.
        fork: forks one that was started with the command; None to start it.
        elder: what it is forked from.
        writes: holds what it writes to watched files; None where it writes to none.

    Attributes:
        exit_code: how it ended, or minus the signal; None while it runs.
        forked_away: it ended, and what it had started went on.

    Raises:
        ServiceFailedError: the system cannot run it.
    """

    def __init__(
        self,
        command: Command,
        startup_timeout: float,
        *,
        inherited: Sequence[int] = (),
        fork: Fork | None = None,
        elder: Child | None = None,
        writes: Writes | None = None,
    ) -> None:
        adopt()
        self.exit_code: int | None = None
        self.forked_away = False
        #: What it prints; the file has no name, so it is gone with this process.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        self._mark = secrets.token_hex(8)
        self._startup_timeout = startup_timeout
        self._server = ProgramServer()
        self._elder = elder
        self._members = Members(self._mark)
        self._started = time.monotonic()
        self._writes = writes
        arguments, passed = command.arguments, tuple(inherited)
        if writes is not None:
            passed = (*passed, writes.theirs.fileno())
            arguments = (*writes.launched(sys.executable), *arguments)
            self._server.heed(writes.control.fileno(), self._take_listener)
        environment = {name: value.replace("{url}", self._server.url) for name, value in command.environment}
        if inherited:
            environment = {name: value.replace("{port}", str(self._server.port)) for name, value in environment.items()}
        self._process: subprocess.Popen[bytes] | Forked
        try:
            if fork is not None:
                self._process = fork(self._server.port, self._mark, self._log.fileno())
            else:
                told = {**environment, MARK: self._mark}
                self._process = _started(arguments, told, self._log.fileno(), passed)
        except ServiceFailedError:
            self.release()
            raise
        except OSError as error:
            self.release()
            raise ServiceFailedError(f"{command.arguments[0]} cannot be run: {error.strerror}.") from None
        finally:
            if writes is not None:
                writes.theirs.close()

    @property
    def pid(self) -> int:
        """The id of the process that was started; the others are its descendants."""
        return self._process.pid

    def is_fresh(self, seconds: float) -> bool:
        """Tell whether it was started within so many real seconds, and still runs."""
        return time.monotonic() - self._started < seconds and self._runs()

    @property
    def is_silent(self) -> bool:
        """Whether it runs, and has asked for nothing yet."""
        self._server.pump()
        return not self._server.arrived and not self._server.complaint and self._runs()

    # --- what sets it going ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Wait, in real time, until it has asked for something, and take over its clock.

        Raises:
            ServiceFailedError: it asks for nothing in time, or its clock cannot be set.
        """
        until = time.monotonic() + self._startup_timeout
        while not self._server.arrived and self._runs():
            self._check()
            if time.monotonic() > until:
                raise self.failure(
                    f"has run for {self._startup_timeout:g} s and never asked for anything; it has to call "
                    "ReceiveMessage for QUEUE_URL at AWS_ENDPOINT_URL. If it is only slow to start, give it longer by "
                    "--startup-timeout"
                )
            self._server.pump(LAST_LOOK)
        if self._runs():
            self._take_over()
            if self._writes is not None:
                self._writes.begin()

    def show(self, elapsed: float, wall: float) -> None:
        """Set its clock.

        Args:
            elapsed: seconds of virtual time.
            wall: seconds since the epoch.
        """
        self._members.show(elapsed, wall)

    def expect(self) -> None:
        """Take note that an answer is about to be sent: a thread that listens has to run."""
        self._members.expect_answer()

    def settle(self) -> list[PendingRequest]:
        """Let it compute until it is at rest; return what it has asked for by then, in an order that it decides.

        Raises:
            ServiceFailedError: it never comes to rest.
        """
        began = time.monotonic()
        look_again = FIRST_LOOK
        while self._runs():
            self._check()
            looks = self._members_at_rest()
            passed = time.monotonic() - began
            heard = looks is not None and (passed > STIRRING or self._members.has_heard(looks))
            if looks is not None and heard and not self._server.pump():
                spins = self._members.note_waits(looks)
                if not spins or passed > SPINNING:
                    self._check_company()
                    break
            elif passed > COMPUTING:
                raise self.failure(
                    f"computes for more than {COMPUTING:g} s and asks for nothing; while it computes its clock stands "
                    "still, so a loop that waits for a time has to sleep"
                )
            came = self._server.pump(look_again)
            # What has asked is about to wait for the answer.
            look_again = FIRST_LOOK if came else min(LAST_LOOK, 2 * look_again)
        self._members.expect_nothing()
        arrived, self._server.arrived = self._server.arrived, []
        return sorted((item for item in arrived if item.is_open), key=_content)

    def next_write(self) -> Write | None:
        """Return a write to a watched file that it stands still at; None where there is none."""
        if self._writes is None or not self._runs():
            return None
        return min(self._writes.held, default=None)

    def let_write(self, write: Write) -> None:
        """Let a write go on."""
        assert self._writes is not None  # noqa: S101 - it is where all writes come from
        self._members.expect_write(write.thread)
        self._writes.let(write)

    @property
    def next_due(self) -> float | None:
        """When the next of its waits is over, in seconds since its clock was taken over; None for never."""
        return self._members.next_due

    def end_waits(self, elapsed: float) -> None:
        """End the waits whose time has come."""
        self._members.end_waits(elapsed)

    def terminate(self) -> None:
        """Send SIGTERM to it."""
        self._members.expect_signal()
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it, with whatever it has started, and wait until it is gone."""
        if self._process.returncode is None:
            end([*self._members.pids, self.pid])
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GONE)
        end(orphans(self._mark))
        self.release()

    def release(self) -> None:
        """Close what tells of it."""
        self._members.close()
        if self._writes is not None:
            self._writes.close()
        self._server.close()
        self._log.close()

    def failure(self, what: str) -> BrokenProgramError:
        """Return the error that it does something which cannot be explored."""
        return BrokenProgramError(f"The program {what}.", self.last_lines())

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that it has printed."""
        return last_lines(Path(f"/proc/self/fd/{self._log.fileno()}"))

    def printed(self, offset: int) -> bytes:
        """Return what it has printed from an offset on."""
        log = self._log.fileno()
        return os.pread(log, max(0, os.fstat(log).st_size - offset), offset)

    # --- within ------------------------------------------------------------------------------------------------------

    def _runs(self) -> bool:
        if self.exit_code is None and (code := self._process.poll()) is not None:
            self.exit_code = code
            left = orphans(self._mark)
            self.forked_away = bool(left)
            end(left)
        return self.exit_code is None

    def _take_listener(self) -> bool:
        """Take over what holds its writes."""
        assert self._writes is not None  # noqa: S101 - it is what calls this
        listener = self._writes.take_listener()
        if listener >= 0:
            self._server.heed(listener, self._take_write)
        return False  # nothing more comes this way

    def _take_write(self) -> bool:
        """Take in a write; one to a watched file stands still from now on."""
        assert self._writes is not None  # noqa: S101 - it is what calls this
        goes_on = self._writes.receive()
        self._members.hold([write.thread for write in self._writes.held])
        return goes_on

    def _check(self) -> None:
        if self._server.complaint:
            raise self.failure(self._server.complaint)

    def _check_company(self) -> None:
        """Refuse a program that waits for anybody else: the explorer cannot hold that one still.

        Raises:
            BrokenProgramError: it has a connection elsewhere.
        """
        if self._server.waits:
            return
        for pid, member in self._members.items():
            sockets = _sockets_of(pid)
            if member.harmless.issuperset(sockets.values()):
                continue
            # The system lists the connections of all processes to tell of these few; so only new ones are asked about.
            with suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("all"):
                    self._check_connection(connection, sockets.get(connection.fd, ""), member)

    def _check_connection(self, connection: Any, link: str, member: Member) -> None:
        there = connection.raddr
        if connection.family == socket.AF_UNIX or (there and there.port in self._server.ports):
            member.harmless.add(link)
        elif there and connection.status in _UNDER_WAY:
            raise self.failure(
                f"waits for {there.ip}:{there.port}, which cannot be held still; have it ask the lab alone, at "
                "AWS_ENDPOINT_URL and SIDE_EFFECT_URL"
            )

    def _take_over(self) -> None:
        """Take over its clock, and those of the processes that it has started.

        Raises:
            ServiceFailedError: its clock cannot be set.
        """
        if self._elder is not None:
            # A fork was told the address of what it was forked from, and tells it to what it starts.
            self._server.listen_for(self._elder._server)  # noqa: SLF001 - its own kind
        try:
            self._members.begin(self.pid)
        except ServiceFailedError:
            # A process that ends just now has no clock any more, and needs none.
            if self._runs():
                raise

    def _members_at_rest(self) -> Mapping[int, Look] | None:
        try:
            return self._members.at_rest()
        except UntakenError as error:
            raise self.failure(str(error).rstrip(".")) from None


def _started(
    arguments: Sequence[str], environment: Mapping[str, str], output: int, inherited: Sequence[int]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*leash(), *arguments],
        env=dict(environment),
        cwd=Path.cwd(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=inherited,
    )


def _sockets_of(pid: int) -> dict[int, str]:
    """Return the sockets of a process by their descriptors, each by the name that the system has for it."""
    found = {}
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                link = os.readlink(entry.path)  # noqa: PTH115 - asked very often
                if link.startswith("socket:"):
                    found[int(entry.name)] = link
    return found


def _content(pending: PendingRequest) -> tuple[str, str, bytes]:
    request = pending.request
    return request.headers.get("x-amz-target", ""), request.target, request.body
