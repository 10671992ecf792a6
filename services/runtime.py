"""The runtime: steps the tasks of one process side by side, each in a thread of its own.

The main task runs in the main thread, where Python delivers signals; the others are daemons that end with it.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from services.drivers.base import Driver
from services.errors import ConfigurationError, ServiceError
from services.operations import Gather, Operation, OperationFailed, Task, no_operation

Result = TypeVar("Result")


def run(main: Task[Result], driver: Driver, beside: Sequence[Task[Any]] = ()) -> Result:
    """Step the main task to its end and return its value; step the others beside it.

    Raises:
        OperationFailed: an operation of the main task failed, and the task did not handle it.
        MachineError: the machine is at its end, as any of the tasks found.
    """
    watched = _Watched(driver)
    for task in beside:
        threading.Thread(target=watched.step_beside, args=(task,), daemon=True).start()
    return step(main, watched)


def step(task: Task[Result], driver: Driver) -> Result:
    """Perform what a task yields, one operation after another, and return the task's value."""
    try:
        operation = next(task)
        while True:
            if not isinstance(operation, Operation):
                raise ConfigurationError(no_operation(task, operation))
            try:
                result = _gather(operation, driver) if isinstance(operation, Gather) else driver.perform(operation)
            except _Gathered as gathered:
                operation = task.throw(gathered.error)
            except OperationFailed as error:
                operation = task.throw(error)
            else:
                operation = task.send(result)
    except StopIteration as stop:
        value: Result = stop.value
        return value


def start_beside(task: Task[Any], driver: Driver) -> None:
    """Step a task in a thread of its own, which nothing waits for."""

    def live() -> None:
        with contextlib.suppress(OperationFailed):
            step(task, driver)

    threading.Thread(target=live, daemon=True).start()


class _Gathered(Exception):  # noqa: N818 - it carries an error to the task that gathers
    """A gathered task ended with an error that is no failed operation."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _gather(operation: Gather, driver: Driver) -> tuple[Any, ...]:
    """Step tasks side by side, each in a thread of its own; see :class:`services.operations.Gather`."""
    tasks = operation.tasks
    ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    may_run = threading.Semaphore(operation.at_once or max(1, len(tasks)))

    def live(place: int, task: Task[Any]) -> None:
        with may_run:
            try:
                ended.put((place, step(task, driver)))
            except BaseException as error:  # noqa: BLE001 - what a task raises is the gatherer's
                ended.put((place, error))

    for place, task in enumerate(tasks):
        threading.Thread(target=live, args=(place, task), daemon=True).start()
    results: dict[int, Any] = {}
    while len(results) < len(tasks):
        place, result = ended.get()
        results[place] = result
        if isinstance(result, OperationFailed):
            if operation.until_first_failure:
                raise result
        elif isinstance(result, BaseException):
            raise _Gathered(result)
    return tuple(results[place] for place in range(len(tasks)))


class _Watched:
    """A driver that ends the main task where the machine has ended one beside it."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._failure: Exception | None = None

    def perform(self, operation: Operation) -> Any:
        """See :class:`services.drivers.base.Driver`."""
        if self._failure is not None:
            raise self._failure
        return self._driver.perform(operation)

    def step_beside(self, task: Task[Any]) -> None:
        """Step a task to its end."""
        # The main task meets a failure as well that a task beside it does not handle.
        with contextlib.suppress(OperationFailed):
            try:
                step(task, self._driver)
            except (ServiceError, OSError, MemoryError) as error:
                self._failure = error


@contextlib.contextmanager
def signals_to(stop: Callable[[], None], wake: threading.Event) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a request to stop that cuts waits short.

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
