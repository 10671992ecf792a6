"""Tells for how long the machine kept a process from its processors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_NANOSECONDS: Final = 1_000_000_000


def waits_of(pid: int, proc: Path = PROC, *, alone: bool = False) -> Mapping[int, float]:
    """Return for how many seconds each thread of a process was ready to run and had no processor, by its id.

    Source: the second number of ``schedstat``,
    https://docs.kernel.org/scheduler/sched-stats.html

    Args:
        pid: the process; one that has ended has no threads.
        proc: where the system tells of its processes; a system that does not tell of none.
        alone: leave out the processes that it has started; otherwise they count as its threads.
    """
    found: dict[int, float] = {}
    with suppress(OSError, ValueError, IndexError):
        for task in (proc / str(pid) / "task").iterdir():
            with suppress(OSError, ValueError, IndexError):
                found[int(task.name)] = int((task / "schedstat").read_text().split()[1]) / _NANOSECONDS
            if alone:
                continue
            with suppress(OSError, ValueError):
                for child in (task / "children").read_text().split():
                    found.update(waits_of(int(child), proc))
    return found


def longest_wait(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Return for how many seconds the thread waited that waited most between two looks."""
    return max((waited - before.get(thread, 0.0) for thread, waited in after.items()), default=0.0)
