"""What a handler of ours leaves to the background of its environment, stepped in virtual time.

handler ── starts ──▶ task ── its operations ──▶ a process of the environment's own
the environment is frozen: the process stands still.  The next invocation thaws it.  It is killed: the task is lost
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenarios.simulation.process import Program, SimulatedProcess
from services.operations import Sleep, Task


class BackgroundTasks:
    """The tasks that run beside the handler of one environment.

    Args:
        make: makes the process that steps them; it is asked at the first of them.
    """

    def __init__(self, make: Callable[[], SimulatedProcess]) -> None:
        self._make = make
        self._process: SimulatedProcess | None = None
        self._open = 0

    @property
    def are_at_work(self) -> bool:
        """Whether one has not ended."""
        return self._open > 0

    def start(self, task: Task[Any]) -> None:
        """Start a task."""
        if self._process is None:
            self._process = self._make()
            self._process.start(Program(_idle(), (), _do_nothing), self._process.world.scheduler.now)
        self._process.add(self._counted(task))

    def freeze(self) -> None:
        """Let them stand still."""
        if self._process is not None:
            self._process.stand_still()

    def thaw(self) -> None:
        """Let them go on."""
        if self._process is not None:
            self._process.go_on()

    def end(self) -> None:
        """End them where they stand."""
        if self._process is not None:
            self._process.kill()
            self._open = 0

    def _counted(self, task: Task[Any]) -> Task[Any]:
        self._open += 1
        try:
            return (yield from task)
        finally:
            self._open -= 1


def _idle() -> Task[int]:
    yield Sleep(float("inf"))
    return 0


def _do_nothing() -> None:
    """Do nothing: a function hears of no end."""
