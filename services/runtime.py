"""The runtime: steps the tasks of one process side by side, each in a thread of its own.

The main task runs in the main thread, where Python delivers signals; the others are daemons that end with it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from services.drivers.base import Driver
from services.operations import OperationFailed, Task

Result = TypeVar("Result")


def run(main: Task[Result], driver: Driver, beside: Sequence[Task[Any]] = ()) -> Result:
    """Step the main task to its end and return its value; step the others beside it.

    Raises:
        OperationFailed: an operation of the main task failed and the task did not handle it.
    """
    for task in beside:
        threading.Thread(target=_step_beside, args=(task, driver), daemon=True).start()
    return step(main, driver)


def step(task: Task[Result], driver: Driver) -> Result:
    """Perform what a task yields, one operation after another, and return the task's value."""
    try:
        operation = next(task)
        while True:
            try:
                result = driver.perform(operation)
            except OperationFailed as error:
                operation = task.throw(error)
            else:
                operation = task.send(result)
    except StopIteration as stop:
        value: Result = stop.value
        return value


def _step_beside(task: Task[Any], driver: Driver) -> None:
    # What such a task could not handle itself, the main task meets as well.
    with contextlib.suppress(OperationFailed):
        step(task, driver)


@contextlib.contextmanager
def signals_to(stop: Callable[[], None], wake: threading.Event) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a request to stop that cuts waits short, and nothing else.

    The handler records nothing: it may run in the middle of a record.
    """

    def on_signal(_number: int, _frame: object) -> None:
        stop()
        wake.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        wake.set()
        for number, handler in before.items():
            signal.signal(number, handler)
