"""Where a campaign's chunks are simulated: in this process, in several of this machine, or on a Dask cluster.

Each is a ``concurrent.futures.Executor``. A process that dies ends nothing but its chunk: another one tries it again,
and where that dies as well, the chunk is reported as lost.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from scenarios.errors import RequestError

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Objects that a worker makes before it looks for garbage: those of a few histories.
GARBAGE_AFTER: Final = 50_000
#: How often a chunk is tried whose process dies.
TRIES: Final = 2
#: Seconds in which a scheduler must answer.
CONNECT_SECONDS: Final = 10
#: The errors of Dask by which a worker's death is known, after it has tried the task again on others.
_KILLED: Final = frozenset({"KilledWorker"})


class Died:
    """What a chunk comes to whose processes died."""


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor at work.

    Attributes:
        slots: how many chunks it has in hand at most.
    """

    executor: Executor
    slots: int

    def get_ready(self, function: Callable[..., object], *given: object) -> None:
        """Start the processes of this machine, where there are any, and have each do something before its work."""
        if isinstance(self.executor, Processes):
            self.executor.get_ready(function, *given)


#: Who simulates, for as long as it is needed.
Pool = AbstractContextManager[Workers]


def pool_of(jobs: int, beforehand: Callable[[], object] | None = None) -> Pool:
    """Return this process, or so many of this machine.

    Args:
        jobs: how many.
        beforehand: what each of several processes does at once, before there is a task; it can be sent to them.
    """
    return _processes(jobs, beforehand) if jobs > 1 else _here()


@contextmanager
def handed_over(stack: ExitStack, workers: Workers) -> Iterator[Workers]:
    """Yield workers that were entered with a stack, and leave the stack's contexts with them."""
    with stack.pop_all():
        yield workers


def in_order(
    workers: Workers, function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | Died]]:
    """Have tasks done, and yield what they come to in the order of the tasks.

    No more of them are taken than there are slots, so a long campaign takes no more memory than a short one.
    """
    numbered = enumerate(tasks)
    at_work: dict[int, _AtWork[Task, Result]] = {}
    done: dict[int, tuple[Task, Result | Died]] = {}
    due = 0
    while True:
        for number, task in islice(numbered, workers.slots - len(at_work)):
            at_work[number] = _AtWork(task, workers.executor.submit(function, task))
        if not at_work and due not in done:
            return
        if due not in done:
            wait([work.future for work in at_work.values()], return_when=FIRST_COMPLETED)
        for number, work in [item for item in at_work.items() if item[1].future.done()]:
            del at_work[number]
            result = _result_of(work)
            if result is None:
                at_work[number] = _AtWork(work.task, workers.executor.submit(function, work.task), work.tries + 1)
            else:
                done[number] = (work.task, result)
        while due in done:
            yield done.pop(due)
            due += 1


@dataclass(frozen=True, slots=True)
class _AtWork(Generic[Task, Result]):
    """A task, what will come of it, and how often it was tried."""

    task: Task
    future: Future[Result]
    tries: int = 1


def _result_of(work: _AtWork[Task, Result]) -> Result | Died | None:
    """Return what a task came to; None where it should be tried again."""
    error = _error_of(work.future)
    if error is None:
        return work.future.result()
    if type(error).__name__ in _KILLED:
        return Died()
    if isinstance(error, BrokenExecutor):
        return Died() if work.tries >= TRIES else None
    raise error


def _error_of(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:
        return error


# --- this process ---------------------------------------------------------------------------------------------------


class _Here(Executor):
    """Do a task at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See :class:`concurrent.futures.Executor`."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def _here() -> Iterator[Workers]:
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_AFTER)
    try:
        yield Workers(_Here(), 1)
    finally:
        gc.set_threshold(*before)


# --- several processes ----------------------------------------------------------------------------------------------


class Processes(Executor):
    """Processes of this machine, each in a pool of its own: one that dies breaks no other one's work."""

    def __init__(self, count: int, beforehand: Callable[[], object] | None = None) -> None:
        self._beforehand = beforehand
        # A fresh interpreter for each process: what a fork inherits of threads and locks is not to be relied on.
        self._context = multiprocessing.get_context("spawn")
        self._idle = [self._start() for _ in range(count)]
        self._busy: dict[Future[Any], _Lane] = {}

    def _start(self) -> _Lane:
        pid = self._context.Value("i", 0)
        pool = ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin, initargs=(pid,))
        if self._beforehand is not None:
            pool.submit(self._beforehand)
        return _Lane(pool, pid)

    def get_ready(self, function: Callable[..., object], *given: object) -> None:
        """Have each process do something; one that dies of it is started again."""
        told = [(lane, lane.pool.submit(function, *given)) for lane in self._idle]
        self._idle = [self._renewed(lane, _error_of(future)) for lane, future in told]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See :class:`concurrent.futures.Executor`; there must be an idle process."""
        for future, lane in list(self._busy.items()):
            if future.done():
                del self._busy[future]
                self._idle.append(self._renewed(lane, _error_of(future)))
        lane = self._idle.pop()
        future = lane.pool.submit(fn, *args, **kwargs)
        self._busy[future] = lane
        return future

    def _renewed(self, lane: _Lane, error: BaseException | None) -> _Lane:
        """Return a process that works: this one, or another where it has died."""
        if not isinstance(error, BrokenExecutor):
            return lane
        lane.pool.shutdown(wait=True)
        return self._start()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes at once, whatever they are at."""
        lanes = [*self._idle, *self._busy.values()]
        pids = {lane.pid.value for lane in lanes}
        for child in multiprocessing.active_children():
            if child.pid in pids:
                child.kill()
        for lane in lanes:
            lane.pool.shutdown(wait=wait, cancel_futures=cancel_futures)


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    """A pool of one process, and where the process says its id."""

    pool: ProcessPoolExecutor
    pid: Any


@contextmanager
def _processes(count: int, beforehand: Callable[[], object] | None) -> Iterator[Workers]:
    executor = Processes(count, beforehand)
    try:
        yield Workers(executor, count)
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(pid: Any) -> None:
    """Begin as a worker."""
    pid.value = multiprocessing.current_process().pid or 0
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Do not look for garbage after every few records.
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


# --- a cluster ------------------------------------------------------------------------------------------------------


@contextmanager
def cluster(address: str) -> Iterator[Workers]:
    """Yield the workers of a Dask scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises:
        RequestError: Dask is not installed here, no scheduler answers, or it has no workers.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise RequestError("--cluster needs Dask: pip install 'queue-fundamentals[cluster]'.") from None
    if "://" not in address:
        raise RequestError(f"--cluster is a scheduler's address, such as tcp://127.0.0.1:8786, not {address!r}.")
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RequestError(f"No Dask scheduler answers at {address}: {error}.") from None
    with client:
        threads = sum(client.ncores().values())
        if not threads:
            raise RequestError(f"The Dask scheduler at {address} has no workers; start some: dask worker {address}.")
        # One more for each worker, so that none waits for the next chunk to travel.
        yield Workers(client.get_executor(pure=False), 2 * threads)
