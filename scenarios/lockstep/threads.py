"""What a program's threads are at: computing, waiting for an answer, or waiting until a moment.

Linux says of each thread in which system call it stands, and how often it has run (proc(5)). A program is at rest when
all of its threads wait in a call, and none has run between two looks. Only an answer, a signal or the time can then
set it going again, and all three come from the explorer.

A wait for a time is ended here as the kernel would end it: the thread is stopped as by a debugger (ptrace(2)), told the
result of a wait that is over, and let go.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from scenarios.lockstep.clock import NANOSECONDS, ProgramClock

#: The thread of Java's virtual machine that wakes all the time, and that nothing waits for.
BESIDE: Final = "VM Periodic Tas"
#: Threads of Java's virtual machine whose waits are not the program's.
RUNTIME: Final = frozenset(
    {
        BESIDE,
        "C1 CompilerThre",
        "C2 CompilerThre",
        "Common-Cleaner",
        "G1 Service",
        "Monitor Deflati",
        "Notification Th",
        "Service Thread",
        "Sweeper thread",
    }
)
#: Seconds. A runtime's own threads sleep for no longer while they look whether there is work, and then rest.
SPIN: Final = 0.011

_RUNNING: Final = "running"
#: How a line of proc's ``syscall`` begins for a thread that stands in none, and the states of one that has ended.
_NO_CALL: Final = "-1"
_ENDED: Final = (b"Z", b"X")


class Wait(NamedTuple):
    """A thread's wait for a time.

    Attributes:
        call: the number of its system call.
        due: when it is over, on the program's monotonic clock.
        spins: it is so short that the thread may be looking for work.
    """

    call: int
    due: float
    spins: bool = False


class _Timeout(NamedTuple):
    """Where a system call has its timeout.

    Attributes:
        argument: its place among the arguments.
        unit: ``ms`` for a number of milliseconds, ``timespec`` or ``timeval`` for a pointer.
        result: what the call returns when it is over.
    """

    argument: int
    unit: str
    result: int = 0


#: The system calls that wait, by their numbers on x86-64.
_CALLS: Final[Mapping[int, _Timeout]] = {
    7: _Timeout(2, "ms"),  # poll
    23: _Timeout(4, "timeval"),  # select
    35: _Timeout(0, "timespec"),  # nanosleep
    202: _Timeout(3, "timespec", -errno.ETIMEDOUT),  # futex
    230: _Timeout(2, "timespec"),  # clock_nanosleep
    232: _Timeout(3, "ms"),  # epoll_wait
    270: _Timeout(4, "timespec"),  # pselect6
    271: _Timeout(2, "timespec"),  # ppoll
    281: _Timeout(3, "ms"),  # epoll_pwait
    441: _Timeout(3, "timespec"),  # epoll_pwait2
}
#: System calls in which a thread waits for what others do: read, pause, accept, recvfrom, recvmsg, wait4,
#: rt_sigtimedwait, rt_sigsuspend, restart_syscall, waitid, accept4, recvmmsg, io_uring_enter, futex_waitv, futex_wait.
#: In any other one it is at work.
_WAITING: Final = frozenset({0, 34, 43, 45, 47, 61, 128, 130, 219, 247, 288, 299, 426, 449, 455, *_CALLS})
#: Of these, the ones that wait for what comes by a connection: read, poll, select, recvfrom, recvmsg, epoll_wait ...
_LISTENING: Final = frozenset({0, 7, 23, 45, 47, 232, 270, 271, 281, 299, 426, 441})
#: The place of a thread's flags in proc's ``stat``, after its name, and the flag of one that is on its way out.
_FLAGS, _EXITING = 6, 0x4
#: Of these, read may also be at work, on a file.
_READ: Final = 0
_FUTEX, _CLOCK_NANOSLEEP = 202, 230
_FUTEX_COMMAND, _FUTEX_WAIT, _FUTEX_WAIT_BITSET, _FUTEX_REALTIME = 127, 0, 9, 256
_ABSOLUTE: Final = 1
_WALL_CLOCK: Final = 0
#: A longer wait is none: a program sleeps for ever in it.
_FOREVER: Final = 10.0**8


@dataclass(slots=True)
class _Thread:
    """One thread, and the files that tell of it."""

    name: str
    call: int
    runs: int
    state: int
    children: int

    def close(self) -> None:
        descriptors = self.call, self.runs, self.state, self.children
        self.call = self.runs = self.state = self.children = -1  # the numbers can be other files' from now on
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)


#: By thread: the call in which it stands, and how often it has run.
Look = dict[int, tuple[str, str]]


class Threads:
    """The threads of one process.

    Args:
        pid: the process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        #: Those that the explorer holds at a system call, until it lets them go on.
        self.held: set[int] = set()
        self._threads: dict[int, _Thread] = {}

    def close(self) -> None:
        """Let go of what tells of them."""
        for thread in self._threads.values():
            thread.close()
        self._threads.clear()

    def waits(self, look: Look, clock: ProgramClock) -> dict[int, Wait]:
        """Return the threads that wait for a time, and until when."""
        found = {}
        for tid, (call, _) in look.items():
            thread = self._threads.get(tid)
            if thread is None or thread.name in RUNTIME:
                continue
            wait = _wait_of(call, clock)
            if wait is not None:
                found[tid] = wait
        return found

    def children(self) -> list[int]:
        """Return the processes that the threads of the last look have started, those that have ended included."""
        found: list[int] = []
        for thread in self._threads.values():
            with suppress(OSError):
                found += map(int, os.pread(thread.children, 4096, 0).split())
        return found

    def look(self) -> Look | None:
        """Return what the threads stand in where none of them computes; None where one does, empty at the end."""
        tids = _tids(self.pid)
        for gone in self._threads.keys() - set(tids):
            self._threads.pop(gone).close()
        found: Look = {}
        for tid in tids:
            try:
                thread = self._threads.get(tid) or self._open(tid)
                if thread.name == BESIDE:
                    continue
                call = os.pread(thread.call, 256, 0).decode("ascii").strip()
                runs = os.pread(thread.runs, 128, 0).decode("ascii").split()
                if call == _RUNNING:
                    return None
                if call.startswith(_NO_CALL) and self._state(thread) in _ENDED:
                    continue
                if tid not in self.held and not self._waits_in(thread, int(call.partition(" ")[0])):
                    return None
                if tid == self.pid and self._is_ending(thread):
                    return None
            except OSError:
                continue  # it has ended
            found[tid] = call, runs[2]
        return found

    def _is_ending(self, thread: _Thread) -> bool:
        """Tell whether a thread is on its way out; the system shows the call in which a signal found it."""
        return bool(int(os.pread(thread.state, 512, 0).rpartition(b")")[2].split()[_FLAGS]) & _EXITING)

    def _waits_in(self, thread: _Thread, number: int) -> bool:
        if number == _READ:
            return self._state(thread) == b"S"
        return number in _WAITING

    def _state(self, thread: _Thread) -> bytes:
        return os.pread(thread.state, 512, 0).rpartition(b")")[2].split()[0]

    def runs(self, *, listening: bool = False) -> dict[int, int]:
        """Return how often each thread has run, or each that waits for what comes by a connection."""
        found = {}
        for tid, thread in self._threads.items():
            with suppress(OSError, ValueError):
                number = int(os.pread(thread.call, 256, 0).decode("ascii").partition(" ")[0])
                if number in _LISTENING or not listening:
                    found[tid] = int(os.pread(thread.runs, 128, 0).decode("ascii").split()[2])
        return found

    def _open(self, tid: int) -> _Thread:
        at = f"/proc/{self.pid}/task/{tid}"
        with open(f"{at}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - no file of ours
            name = file.read().strip()
        descriptors: list[int] = []
        try:
            for part in ("syscall", "schedstat", "stat", "children"):
                descriptors.append(os.open(f"{at}/{part}", os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 - all or none
        except OSError:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        thread = self._threads[tid] = _Thread(name, *descriptors)
        return thread


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended; its parent may not have taken note of that yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no file of ours
            return file.read().rpartition(b")")[2].split()[0] in _ENDED
    except OSError:
        return True


def _tids(pid: int) -> list[int]:
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")))  # noqa: PTH208 - asked very often
    except OSError:
        return []


def have_run(expected: Mapping[int, int], look: Look) -> bool:
    """Tell whether one of the threads has ended, or run so many times by now."""
    return any(tid not in look or int(look[tid][1]) >= runs for tid, runs in expected.items())


def _wait_of(call: str, clock: ProgramClock) -> Wait | None:
    """Return the wait that a line of proc's ``syscall`` tells of; None where it is for no time."""
    words = call.split()
    number = int(words[0])
    kind = _CALLS.get(number)
    if kind is None:
        return None
    arguments = [int(word, 16) for word in words[1:7]]
    value = arguments[kind.argument]
    if kind.unit == "ms":
        milliseconds = ctypes.c_int(value & 0xFFFFFFFF).value
        return None if milliseconds < 0 else Wait(number, clock.monotonic + milliseconds / 1000)
    data = clock.read(value, 16) if value else b""
    if len(data) < 16:  # noqa: PLR2004 - two numbers of eight bytes
        return None
    seconds, part = struct.unpack("<qq", data)
    told = seconds + part / (1_000_000 if kind.unit == "timeval" else NANOSECONDS)
    absolute, wall = _kind_of_time(number, arguments)
    moment = told - clock.wall + clock.monotonic if wall else told
    due = moment if absolute else clock.monotonic + told
    return None if due - clock.monotonic > _FOREVER else Wait(number, due, not absolute and told <= SPIN)


def _kind_of_time(number: int, arguments: list[int]) -> tuple[bool, bool]:
    """Return whether a time is a moment, and if so, whether it is one of the wall clock."""
    if number == _CLOCK_NANOSLEEP:
        return bool(arguments[1] & _ABSOLUTE), arguments[0] == _WALL_CLOCK
    if number == _FUTEX:
        command = arguments[1] & _FUTEX_COMMAND
        return command != _FUTEX_WAIT, bool(arguments[1] & _FUTEX_REALTIME)
    return False, False


# --- stopping a process, and ending a wait ---------------------------------------------------------------------------

_SEIZE, _INTERRUPT, _DETACH, _GETREGS, _SETREGS = 0x4206, 0x4207, 17, 12, 13
_ALL_CHILDREN: Final = 0x40000000
#: The registers of x86-64 in the kernel's order: how many, and the places of three.
_REGISTERS, _RAX, _ORIG_RAX, _RIP = 27, 10, 15, 16
#: What a call has returned that would begin again by ``restart_syscall``, and one that begins again as it was.
_RESTART_BLOCK, _RESTART_CALL = -516, -513
#: The calls that give up where their process was stopped: epoll_wait and its kin.
_EPOLL: Final = frozenset({232, 281, 441})
#: Real seconds between two looks at a thread that is to stop.
_PATIENCE: Final = 0.00005
#: What a call has returned, inside the kernel, that would begin again after the stop.
_INTERRUPTED: Final = frozenset({-errno.EINTR, -512, -513, -514, -516})


@contextmanager
def halted(pid: int, seconds: float) -> Iterator[list[int]]:
    """Stop all threads of a process for a while, and yield the addresses at which they stand.

    SIGSTOP would do so too, and the process's parent would hear of it. A call that waits begins again afterwards, with
    its arguments as they were.

    Args:
        pid: the process.
        seconds: how long to wait for a thread that does not stop.
    """
    until = time.monotonic() + seconds
    places: dict[int, int] = {}
    try:
        while new := [tid for tid in _tids(pid) if tid not in places]:
            for tid in new:
                places[tid] = 0
                with suppress(OSError):
                    _ptrace(_SEIZE, tid)
                    _ptrace(_INTERRUPT, tid)
                    if _has_stopped(tid, pid, until):
                        places[tid] = _have_begin_again(tid)
        yield [*places.values()]
    finally:
        for tid in places:
            with suppress(OSError):
                _ptrace(_DETACH, tid)


def _has_stopped(tid: int, pid: int, until: float) -> bool:
    """Wait until a thread has stopped; return whether it has, and not ended."""
    while time.monotonic() < until:
        told = os.waitid(os.P_PID, tid, os.WEXITED | os.WSTOPPED | os.WNOWAIT | os.WNOHANG | _ALL_CHILDREN)
        if told is None:
            time.sleep(_PATIENCE)
        elif told.si_code in (os.CLD_TRAPPED, os.CLD_STOPPED):
            return True
        else:
            # Its parent hears of its end only now; where that is this process, its exit code is not to be lost.
            if tid != pid or not _is_own(pid):
                os.waitpid(tid, _ALL_CHILDREN)
            return False
    return False


def _is_own(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no file of ours
        return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()


def _have_begin_again(tid: int) -> int:
    """Have a thread's call, where it stands in one, begin again when it goes on; return the address where it stands."""
    registers = (ctypes.c_ulonglong * _REGISTERS)()
    _ptrace(_GETREGS, tid, ctypes.addressof(registers))
    number, result = (ctypes.c_longlong(registers[place]).value for place in (_ORIG_RAX, _RAX))
    if result == _RESTART_BLOCK or (number in _EPOLL and result == -errno.EINTR):
        registers[_RAX] = _RESTART_CALL & 0xFFFFFFFFFFFFFFFF
        _ptrace(_SETREGS, tid, ctypes.addressof(registers))
    return int(registers[_RIP])


def end_wait(tid: int, wait: Wait) -> bool:
    """Let a thread's wait be over, as if its time had come; return whether it still was in it."""
    try:
        _ptrace(_SEIZE, tid)
    except OSError:
        return False  # it has ended
    try:
        _ptrace(_INTERRUPT, tid)
        _, status = os.waitpid(tid, _ALL_CHILDREN)
        if not os.WIFSTOPPED(status):
            return False
        registers = (ctypes.c_ulonglong * _REGISTERS)()
        _ptrace(_GETREGS, tid, ctypes.addressof(registers))
        number, result = (ctypes.c_longlong(registers[place]).value for place in (_ORIG_RAX, _RAX))
        if result not in _INTERRUPTED or number not in (wait.call, -1, 219):
            return False
        registers[_RAX] = _CALLS[wait.call].result & 0xFFFFFFFFFFFFFFFF
        registers[_ORIG_RAX] = 0xFFFFFFFFFFFFFFFF
        _ptrace(_SETREGS, tid, ctypes.addressof(registers))
    except OSError:
        return False
    else:
        return True
    finally:
        with suppress(OSError):
            _ptrace(_DETACH, tid)


def _ptrace(request: int, tid: int, data: int | None = None) -> None:
    if _libc().ptrace(request, tid, None, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _libc() -> ctypes.CDLL:
    global _loaded  # noqa: PLW0603 - loaded once, when it is needed
    if _loaded is None:
        _loaded = ctypes.CDLL(None, use_errno=True)
        _loaded.ptrace.restype = ctypes.c_long
        _loaded.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return _loaded


_loaded: ctypes.CDLL | None = None
