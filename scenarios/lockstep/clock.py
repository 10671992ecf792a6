"""A program's clock: the code by which it reads the time is replaced in its memory, so its time is the simulation's.

Linux maps a small library into each process, the vDSO, and every runtime reads the time through it: Python, Node,
Java's virtual machine, and Go, which has no C library. Its functions are overwritten here with a few instructions that
answer from a table beside them. Setting a program's clock is then one write to its memory. The program needs no library
for it, and does nothing for it.

https://man7.org/linux/man-pages/man7/vdso.7.html
"""

from __future__ import annotations

import os
import platform
import struct
import sys
import time
from contextlib import suppress
from functools import cache
from math import floor
from typing import Final

from scenarios.errors import ServiceFailedError

#: The machine whose instructions ``_CODE`` holds.
MACHINE: Final = "x86_64"
#: Seconds by which a program's monotonic clock is ahead of the real one. A wait until a moment of its clock then does
#: not end by itself; the explorer ends it (see ``threads``). It is less than the time for which clients wait for an
#: answer: the first request has begun by the real clock.
AHEAD: Final = 20
NANOSECONDS: Final = 1_000_000_000

#: clock_gettime, gettimeofday and time. What measures CPU time still asks the kernel.
#:
#:     00  cmp edi, 7; ja 2f          no clock of the table
#:         mov eax, 0xf3; bt eax, edi; jnc 2f
#:         mov eax, edi; shl eax, 4; lea rdx, [rip+table]; add rdx, rax
#:         mov rax, [rdx]; mov [rsi], rax; mov rax, [rdx+8]; mov [rsi+8], rax
#:         xor eax, eax; ret
#:     2f  mov eax, 228; syscall; ret
#:     37  test rdi, rdi; jz 50
#:         mov rax, [rip+table]; mov [rdi], rax; mov rax, [rip+table+128]; mov [rdi+8], rax
#:     50  xor eax, eax; ret
#:     54  mov rax, [rip+table]; test rdi, rdi; jz 63; mov [rdi], rax
#:     63  ret
_CODE: Final = bytes.fromhex(
    "83ff07772ab8f30000000fa3f8732089f8c1e004488d154d0000004801c2"
    "488b02488906488b42084889460831c0c3b8e40000000f05c34885ff7415"
    "488b0525000000488907488b059b0000004889470831c0c3488b050d0000"
    "004885ff7403488907c30f1f40000000"
)[:0x68]
_TABLE: Final = 0x68
_GETTIMEOFDAY, _TIME = 0x37, 0x54
#: The clocks that the table holds by their numbers: the wall's are 0 and 5.
_CLOCKS: Final = 8
_WALL_CLOCKS: Final = frozenset({0, 5})

#: Parts of an ELF file. https://man7.org/linux/man-pages/man5/elf.5.html
_DYNAMIC: Final = 2
_STRTAB, _SYMTAB = 5, 6
_PROGRAM_HEADER, _SYMBOL = 56, 24


def why_not() -> str:
    """Return why no program's clock can be set on this machine, a clause; empty where it can."""
    if sys.platform != "linux" or platform.machine() != MACHINE:
        return f"it sets a program's clock in its memory, which takes Linux on {MACHINE}"
    if "__vdso_clock_gettime" not in _functions():
        return "this kernel gives processes no vDSO, through which a program's clock is set"
    return ""


class ProgramClock:
    """The clock of one process.

    Args:
        pid: the process; it should be at rest.
        vdso: where its vDSO is, where that is known.
        like: the clock of another process of the same program, whose time it shows; None for none.

    Attributes:
        memory: a descriptor of its memory.
        monotonic: what its monotonic clock shows, in seconds; likewise ``wall``.
        began: what it showed when it was taken over.

    Raises:
        ServiceFailedError: its memory cannot be written.
    """

    def __init__(self, pid: int, vdso: range | None = None, like: ProgramClock | None = None) -> None:
        self.began: float = floor(time.monotonic()) + AHEAD if like is None else like.began
        elapsed, wall = (0.0, 0.0) if like is None else (like.monotonic - like.began, like.wall)
        self.monotonic: float = self.began + elapsed
        self.wall: float = wall
        functions = _functions()
        base = (vdso or where_vdso_is(pid)).start
        try:
            self.memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise ServiceFailedError(_REFUSED.format(error)) from None
        code = functions["__vdso_clock_gettime"]
        self._table = base + code + _TABLE
        try:
            self.set(elapsed, wall)
            os.pwrite(self.memory, _CODE, base + code)
            for name, part in (("__vdso_gettimeofday", _GETTIMEOFDAY), ("__vdso_time", _TIME)):
                os.pwrite(self.memory, _jump(functions[name], code + part), base + functions[name])
        except OSError as error:
            self.close()
            raise ServiceFailedError(_REFUSED.format(error)) from None

    def set(self, elapsed: float, wall: float) -> None:
        """Let the clock show a moment; a process that has ended has none.

        Args:
            elapsed: seconds since the clock was taken over.
            wall: seconds since the epoch.
        """
        self.monotonic, self.wall = self.began + elapsed, wall
        on_wall, other = _timespec(wall), _timespec(self.monotonic)
        table = b"".join(on_wall if clock in _WALL_CLOCKS else other for clock in range(_CLOCKS))
        microseconds = struct.pack("<q", round(wall % 1 * NANOSECONDS) // 1000)
        with suppress(OSError):
            os.pwrite(self.memory, table + microseconds, self._table)

    def read(self, address: int, size: int) -> bytes:
        """Return a part of the process's memory; empty where there is none."""
        try:
            return os.pread(self.memory, size, address)
        except OSError:
            return b""

    @property
    def is_lost(self) -> bool:
        """Whether the memory is gone: the process has ended, or has become another program (execve(2))."""
        return not self.read(self._table, 1)

    def close(self) -> None:
        """Let go of the process's memory: its number can be another file's from now on."""
        memory, self.memory = self.memory, -1
        with suppress(OSError):
            os.close(memory)


_REFUSED = (
    "The clock of a program could not be set ({}); the explorer needs to be allowed to write to the memory of what it "
    "starts, as a debugger does."
)


def _timespec(seconds: float) -> bytes:
    whole = floor(seconds)
    return struct.pack("<qq", whole, min(NANOSECONDS - 1, round((seconds - whole) * NANOSECONDS)))


def _jump(at: int, to: int) -> bytes:
    return b"\xe9" + struct.pack("<i", to - (at + 5))


def where_vdso_is(pid: int) -> range:
    """Return the addresses of a program's vDSO.

    Raises:
        ServiceFailedError: there is none, so its clock cannot be set.
    """
    try:
        return vdso_of(pid)
    except (OSError, LookupError) as error:
        raise ServiceFailedError(_REFUSED.format(error)) from None


def vdso_of(pid: int | str) -> range:
    """Return the addresses of a process's vDSO.

    Raises:
        OSError, LookupError: there is no such process, or it has none.
    """
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:  # noqa: PTH123 - no file of ours
        for line in maps:
            if line.rstrip().endswith("[vdso]"):
                begin, end = line.partition(" ")[0].split("-")
                return range(int(begin, 16), int(end, 16))
    raise LookupError("it has no vDSO")


@cache
def _functions() -> dict[str, int]:
    """Return where the vDSO's functions begin; it is the same one in each process."""
    try:
        base = vdso_of("self").start
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, LookupError):
        return {}
    try:
        return _symbols(os.pread(memory, 2 * os.sysconf("SC_PAGE_SIZE"), base))
    except (OSError, struct.error, ValueError):
        return {}
    finally:
        os.close(memory)


def _symbols(image: bytes) -> dict[str, int]:
    """Return the symbols of an ELF image, each with its address."""
    (headers,) = struct.unpack_from("<Q", image, 0x20)
    (count,) = struct.unpack_from("<H", image, 0x38)
    dynamic = 0
    for number in range(count):
        kind, _, offset = struct.unpack_from("<IIQ", image, headers + _PROGRAM_HEADER * number)
        if kind == _DYNAMIC:
            dynamic = offset
    tags: dict[int, int] = {}
    while (entry := struct.unpack_from("<qQ", image, dynamic))[0]:
        tags[entry[0]] = entry[1]
        dynamic += 16
    found = {}
    for at in range(tags[_SYMTAB], tags[_STRTAB] - _SYMBOL + 1, _SYMBOL):
        name, _, _, _, value = struct.unpack_from("<IBBHQ", image, at)
        begin = tags[_STRTAB] + name
        found[image[begin : image.index(b"\0", begin)].decode("ascii", "replace")] = value
    return found
