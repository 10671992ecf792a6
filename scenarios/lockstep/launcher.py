"""Start a program whose writes to watched files wait for the explorer: ``launcher.py CONTROL KIND COMMAND...``.

It asks Linux to hold some system calls of this process, and of all that comes of it, until a listener lets them go on
(seccomp_unotify(2)). The listener goes to the explorer over the socket CONTROL, and the program takes this process's
place. Where the system does not allow it, the program starts all the same, and nothing holds it.

It is started for each program, so it imports little, and nothing of the lab.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
import struct
import sys

#: System calls of x86-64: write, pwrite64, fcntl, seccomp.
WRITE, PWRITE, FCNTL, _SECCOMP = 1, 18, 72, 317
#: Commands of fcntl that take a lock and do not wait for it; SQLite takes all of its locks so.
_F_SETLK, _F_OFD_SETLK = 6, 37
#: What is held: the locks of files, or what is written to files.
LOCKS, LINES = "locks", "lines"
_HELD = {LOCKS: (FCNTL,), LINES: (WRITE, PWRITE)}

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_X86_64 = 0xC000003E
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
#: Instructions of the kernel's packet filter, and the places of a call's number, its machine and its second argument.
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCH, _SECOND = 0, 4, 24


def filter_of(kind: str) -> bytes:
    """Return the filter that holds a kind of calls, as the kernel reads it: (code, if true, if false, operand)."""
    tests = [(_LOAD, 0, 0, _ARCH), (_JUMP_IF_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NUMBER)]
    for call in _HELD[kind]:
        if call == FCNTL:
            tests += [(_JUMP_IF_EQUAL, 0, 4, call), (_LOAD, 0, 0, _SECOND), (_JUMP_IF_EQUAL, 1, 0, _F_SETLK)]
            tests += [(_JUMP_IF_EQUAL, 0, 1, _F_OFD_SETLK), (_RETURN, 0, 0, _NOTIFY)]
        else:
            tests += [(_JUMP_IF_EQUAL, 0, 1, call), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("HBBI", *each) for each in (*tests, (_RETURN, 0, 0, _ALLOW)))


def _listen(kind: str) -> int:
    """Have calls held from now on; return the listener, or -1 where the system does not allow it."""
    code = filter_of(kind)
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return -1
    libc.syscall.restype = ctypes.c_long
    listener: int = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, program)
    return listener


def main(control: str, kind: str, *command: str) -> None:
    """Hand over the listener, and become the program."""
    with socket.socket(fileno=int(control)) as explorer:
        listener = _listen(kind)
        handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))] if listener >= 0 else []
        explorer.sendmsg([b"!"], handed)
    if listener >= 0:
        os.close(listener)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
