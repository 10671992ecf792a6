"""What a program leaves behind when it ends: processes that it had started, and that now belong to nobody.

Linux gives such a process to its nearest ancestor that asked for orphans (prctl(2), PR_SET_CHILD_SUBREAPER). The
explorer asks, finds them by a mark in their environment, and ends them.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

#: The variable that marks what belongs to a program; its value tells one program from another.
MARK = "QUEUE_FUNDAMENTALS_PROGRAM"
_PR_SET_CHILD_SUBREAPER = 36


@cache
def adopt() -> None:
    """Have orphans of this process's descendants become its own children, from now on."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(pid: int | str) -> list[int]:
    """Return the processes that a process has started, or been given."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def descendants_of(pid: int) -> list[int]:
    """Return its children, their children, and so on."""
    children = children_of(pid)
    return [*children, *(below for child in children for below in descendants_of(child))]


def orphans(mark: str = "") -> list[int]:
    """Return the processes that were given to this one and that bear a mark; empty for any mark."""
    return [pid for pid in children_of("self") if _bears(pid, mark)]


def end(pids: list[int]) -> None:
    """Kill processes with all that they have started, and take note of their ends, where they are this process's."""
    for pid in pids:
        for each in (pid, *descendants_of(pid)):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


@contextmanager
def none_left() -> Iterator[None]:
    """End, at the end, what programs have left behind here, and what those processes did that were killed here."""
    adopt()
    try:
        yield
    finally:
        while left := orphans():
            end(left)


def _bears(pid: int, mark: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"\0{MARK}={mark}".encode() in b"\0" + environment
