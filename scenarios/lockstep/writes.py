"""Writes to the files in which side effects lie, held before they begin: there a program may be killed.

A row or a line passes no proxy. So the kernel holds the system call by which a program begins to write it
(``scenarios.lockstep.launcher``), until the explorer lets it go on:

    answer ─▶ the program computes ─▶ takes SQLite's lock to write its mark ─▶ ... ─▶ takes it to write its row
                                      └ held: a crash may strike                     └ held: a crash may strike

SQLite takes one lock of one byte at the beginning of each transaction that writes, wherever it is used from. Of a log
the lines themselves are seen: a write is held where one of them is a side effect.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from scenarios.lockstep.launcher import FCNTL, PWRITE, WRITE

_LAUNCHER: Final = str(Path(__file__).with_name("launcher.py"))

#: ``struct seccomp_notif``: its id, the thread, flags, the call, the machine, where it is, six arguments.
_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
#: ``struct seccomp_notif_resp``: the id, a value, an error, flags; and the flag that lets the call go on as it is.
_ANSWER: Final = struct.Struct("=QqiI")
_CONTINUE: Final = 1
_RECEIVE, _SEND = 0xC0502100, 0xC0182101

#: ``struct flock``: the kind of lock, from where it counts, where it begins, how many bytes.
_LOCK: Final = struct.Struct("=hhxxxxqq")
_TO_WRITE: Final = 1
#: The byte that SQLite locks before it writes to a database with a rollback journal, and in the shared memory of one
#: with a write-ahead log. https://www.sqlite.org/lockingv3.html, https://www.sqlite.org/walformat.html
_RESERVED, _WAL_WRITE = 0x40000001, 120
_SHARED_MEMORY: Final = "-shm"
#: Of a longer write this many bytes are read.
MOST_BYTES: Final = 1 << 16


class Write(NamedTuple):
    """A write that is held.

    Attributes:
        thread: which thread begins it.
        file: the file's name.
        identity: what the kernel calls it.
    """

    thread: int
    file: str
    identity: int


class Call(NamedTuple):
    """A system call that a program is about to make.

    Attributes:
        thread: the thread.
        number: which call.
        arguments: its arguments.
    """

    thread: int
    number: int
    arguments: tuple[int, ...]

    @property
    def file(self) -> str:
        """The path of the file that its first argument is a descriptor of; empty for none."""
        try:
            return os.readlink(f"/proc/{self.thread}/fd/{self.arguments[0]}")  # noqa: PTH115 - asked very often
        except OSError:
            return ""

    def last_line(self) -> bytes:
        """Return what follows the last newline in the file, up to ``MOST_BYTES``."""
        try:
            with open(f"/proc/{self.thread}/fd/{self.arguments[0]}", "rb") as file:  # noqa: PTH123 - no file of ours
                file.seek(max(0, file.seek(0, os.SEEK_END) - MOST_BYTES))
                return file.read().rpartition(b"\n")[2]
        except OSError:
            return b""

    def memory(self, address: int, size: int) -> bytes:
        """Return a part of the program's memory; empty where it cannot be read."""
        try:
            with open(f"/proc/{self.thread}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - no file of ours
                return os.pread(memory.fileno(), size, address)
        except (OSError, OverflowError):
            return b""


#: Says which file a call begins to write to; empty for none that is watched.
Rule = Callable[[Call], str]


def sqlite_write(call: Call) -> str:
    """Return the name of the SQLite database to which a transaction begins to write; empty where none does."""
    if call.number != FCNTL:
        return ""
    lock = call.memory(call.arguments[2], _LOCK.size)
    if len(lock) < _LOCK.size:
        return ""
    kind, _, begin, size = _LOCK.unpack(lock)
    if kind != _TO_WRITE or size != 1 or begin not in (_RESERVED, _WAL_WRITE):
        return ""
    name = Path(call.file).name
    if begin == _RESERVED:
        return name
    return name.removesuffix(_SHARED_MEMORY) if name.endswith(_SHARED_MEMORY) else ""


def written(call: Call) -> bytes:
    """Return what a call is about to write."""
    if call.number not in (WRITE, PWRITE):
        return b""
    return call.memory(call.arguments[1], min(call.arguments[2], MOST_BYTES))


class Writes:
    """The watched writes of one program, and of what it starts.

    Args:
        kind: what the kernel holds; see ``scenarios.lockstep.launcher``.
        rule: which of that is a watched write.

    Attributes:
        control: where the listener comes from.
        theirs: the launcher's end of it.
    """

    def __init__(self, kind: str, rule: Rule) -> None:
        self._kind, self._rule = kind, rule
        self.control, self.theirs = socket.socketpair()
        self.held: list[Write] = []
        self._listener = -1
        self._holds = False

    def launched(self, interpreter: str) -> tuple[str, ...]:
        """Return what to put before a command, so that its writes are held."""
        return interpreter, "-I", "-S", _LAUNCHER, str(self.theirs.fileno()), self._kind

    def take_listener(self) -> int:
        """Return the listener that has come; -1 where the system holds nothing."""
        _, ancillary, _, _ = self.control.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
        if ancillary:
            (self._listener,) = array.array("i", ancillary[0][2])
        return self._listener

    def begin(self) -> None:
        """Hold watched writes from now on; until now all go on."""
        self._holds = True

    def receive(self) -> bool:
        """Take in a call: hold it, or let it go on; return False where no process is left that may make one."""
        room = ctypes.create_string_buffer(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, room)
        except FileNotFoundError:
            return True  # a signal has interrupted it, and it begins anew
        except OSError:
            return False
        identity, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(room.raw)
        file = self._rule(Call(thread, number, tuple(arguments))) if self._holds else ""
        write = Write(thread, file, identity)
        self.held = [other for other in self.held if other.thread != thread]
        if file:
            self.held.append(write)
        else:
            self._let(write)
        return True

    def let(self, write: Write) -> None:
        """Let a write go on."""
        self.held = [other for other in self.held if other is not write]
        self._let(write)

    def close(self) -> None:
        """Let go of the listener; whatever it holds fails."""
        self.control.close()
        self.theirs.close()
        if self._listener >= 0:
            os.close(self._listener)
            self._listener = -1

    def _let(self, write: Write) -> None:
        with suppress(OSError):  # the thread is dead, or a signal has interrupted it
            fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(write.identity, 0, 0, _CONTINUE))
