"""Threads that a handler starts: each is a greenlet that computes in turns, as the handler itself does.

    handler ── starts ──▶ thread ── asks ──▶ operations of the environment's own process
    the environment is frozen: none gets a turn; requests that are under way still arrive
    it is thawed by the next invocation: they go on.  It is killed: they are gone

Python's own ``threading`` stands on locks, and on a number that names the current thread. Both are replaced here while
a handler is simulated; conditions, events, queues and executors are then Python's own.
"""

from __future__ import annotations

import _thread
import concurrent.futures.thread
import queue
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import Any, cast
from weakref import WeakKeyDictionary

from infra.localaws.http import Request as WireRequest
from infra.localaws.http import Response
from scenarios.errors import BrokenProgramError
from scenarios.lockstep import turns as turns_module
from scenarios.lockstep.turns import HOOKS, Asked, Surroundings, Turns, at_work, hooked_monotonic

_allocate_lock, _get_ident = threading._allocate_lock, threading.get_ident  # type: ignore[attr-defined]  # noqa: SLF001
_start, _join, _is_alive = threading.Thread.start, threading.Thread.join, threading.Thread.is_alive
_start_raw = _thread.start_new_thread
#: Numbers that name threads; the kernel's are addresses, and larger.
_idents = count(1)
_threads: WeakKeyDictionary[threading.Thread, GreenThread] = WeakKeyDictionary()


class PendingAnswer:
    """A request of a handler's that waits for its answer (see :class:`scenarios.lockstep.server.PendingRequest`).

    Args:
        owner: what waits for it.
        asked: its wait.
    """

    client = None

    def __init__(self, owner: Waiting, asked: Asked, request: WireRequest) -> None:
        self._owner, self._asked = owner, asked
        self.request = request

    def reply(self, response: Response) -> None:
        """Hand the answer over."""
        self._owner.answer(self._asked, response)

    def reset(self) -> None:
        """Close the connection without an answer."""
        self._owner.answer(self._asked, ConnectionResetError(104, "Connection reset by peer"))


class Waiting:
    """Code that computes in turns, and what it has waited for.

    Args:
        work: the code.
        around: what it finds around it.
        poke: has it looked at soon, where other code has ended its wait.

    Attributes:
        turns: its way through the code.
        is_due: what it waited for is there.
    """

    def __init__(self, work: Callable[[], Any], around: Surroundings, poke: Callable[[], None]) -> None:
        self.turns = Turns(work, around)
        self.turns.waken = self._waken
        self.is_due = True
        self._poke = poke
        self._answer: Response | Exception | None = None

    @property
    def next_due(self) -> float | None:
        """When it has waited long enough; None for never."""
        waits_for = self.turns.waits_for
        return None if waits_for is None or waits_for.until == inf else waits_for.until

    def go_on(self) -> list[PendingAnswer]:
        """Let it compute; return what it then asks."""
        self.is_due = False
        answer, self._answer = self._answer, None
        self.turns.resume(answer)
        asked = self.turns.waits_for
        return [] if asked is None or asked.request is None else [PendingAnswer(self, asked, asked.request)]

    def end_wait(self, elapsed: float) -> None:
        """End a wait whose time has come."""
        asked = self.turns.waits_for
        if asked is not None and asked.is_open and asked.until <= elapsed:
            self.answer(asked, TimeoutError("timed out") if asked.request is not None else None)

    def answer(self, asked: Asked, answer: Response | Exception | None) -> None:
        """Hand it what it waited for; where it waits no more, nothing happens."""
        if asked.is_open and self.turns.outcome is None and not self.turns.is_dead:
            asked.is_open = False
            self._answer, self.is_due = answer, True

    def _waken(self, asked: Asked) -> None:
        self.answer(asked, None)
        self._poke()


class GreenThread(Waiting):
    """One thread.

    Args:
        thread: what the handler has of it.
    """

    def __init__(self, thread: threading.Thread, around: Surroundings, poke: Callable[[], None]) -> None:
        super().__init__(self._run, around, poke)
        self.turns.ident = next(_idents)
        self._thread = thread
        self.ended = Lock()
        self.ended.acquire()

    @property
    def is_alive(self) -> bool:
        """Whether its code has not ended."""
        return self.turns.outcome is None and not self.turns.is_dead

    def kill(self) -> None:
        """End it where it stands."""
        self.turns.kill()
        self._forget()

    def _run(self) -> None:
        thread, ident = self._thread, self.turns.ident
        thread._ident = ident  # type: ignore[attr-defined]  # noqa: SLF001 - as Python's own start does
        threading._active[ident] = thread  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            thread.run()
        except SystemExit:
            pass
        except Exception:  # noqa: BLE001 - a thread ends with its error, and says so
            sys.stderr.write(f"Exception in thread {thread.name}:\n{traceback.format_exc()}")
        finally:
            self._forget()
            self.ended.release()

    def _forget(self) -> None:
        threading._active.pop(self.turns.ident, None)  # type: ignore[attr-defined]  # noqa: SLF001
        # Python joins the threads of executors when it ends.
        cast("Any", concurrent.futures.thread._threads_queues).pop(self._thread, None)  # noqa: SLF001
        self._thread._is_stopped = True  # type: ignore[attr-defined]  # noqa: SLF001


class GreenThreads:
    """The threads of one environment, to their process what a program is (see :class:`scenarios.lockstep.child.Child`).

    Args:
        around: what their code finds around it.
        begin: has their process begin, at the first of them.

    Attributes:
        poke: has them looked at soon.
    """

    exit_code: int | None = None
    forked_away = False

    def __init__(self, around: Surroundings, begin: Callable[[], None]) -> None:
        self._around = around
        self._begin = begin
        self._has_begun = False
        self._threads: list[GreenThread] = []
        self.poke: Callable[[], None] = _do_nothing

    @property
    def are_at_work(self) -> bool:
        """Whether one has not ended."""
        return any(each.is_alive for each in self._threads)

    def start(self, thread: threading.Thread) -> None:
        """Start a thread: it gets its first turn when the code that starts it has ended its own."""
        if not self._has_begun:
            self._has_begun = True
            self._begin()
        _threads[thread] = green = GreenThread(thread, self._around, self.poke)
        turns = turns_module.current()
        green.turns.monotonic, green.turns.wall = turns.monotonic, turns.wall
        self._threads.append(green)
        self.poke()

    # --- what a program does ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Do nothing: a thread begins at once."""

    def expect(self) -> None:
        """Do nothing: an answer is handed over by hand."""

    def terminate(self) -> None:
        """Do nothing: a function hears of no end."""

    def show(self, elapsed: float, wall: float) -> None:
        """Set their clocks."""
        for each in self._threads:
            each.turns.monotonic, each.turns.wall = elapsed, wall

    def settle(self) -> Sequence[PendingAnswer]:
        """Let compute what is due; return what it then asks.

        Raises:
            BrokenProgramError: it does what cannot be simulated.
        """
        asked: list[PendingAnswer] = []
        while (due := next((each for each in self._threads if each.is_due and each.is_alive), None)) is not None:
            asked += due.go_on()
            if due.turns.complaint:
                raise self.failure(due.turns.complaint)
            self._around.wake_selects()
        self._threads = [each for each in self._threads if each.is_alive]
        return asked

    @property
    def next_due(self) -> float | None:
        """When the first of them has waited long enough; None for never."""
        return min((due for each in self._threads if (due := each.next_due) is not None), default=None)

    def end_waits(self, elapsed: float) -> None:
        """End the waits whose time has come."""
        for each in self._threads:
            each.end_wait(elapsed)

    def kill(self) -> None:
        """End them where they stand."""
        threads, self._threads = self._threads, []
        for each in threads:
            each.kill()

    def last_lines(self) -> list[str]:
        """Return the last lines that they have printed."""
        return self._around.log.last()

    def failure(self, what: str) -> BrokenProgramError:
        """Return the error that a thread does something which cannot be simulated."""
        return BrokenProgramError(f"The handler {what}.", self.last_lines())


class Lock:
    """A lock that a thread waits for by ending its turn; to all other code it is a lock as any."""

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._waiting: deque[tuple[Turns, Asked]] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock; return whether it is acquired."""
        if not blocking or not at_work():
            return bool(self._lock.acquire(blocking, timeout))
        if self._lock.acquire(False):
            return True
        turns = turns_module.current()
        until = inf if timeout < 0 else turns.monotonic + timeout
        while turns.monotonic < until:
            asked = Asked(until)
            self._waiting.append((turns, asked))
            turns.ask(asked)
            if self._lock.acquire(False):
                return True
        return False

    def release(self) -> None:
        """Release the lock, and wake the first that waits for it."""
        self._lock.release()
        while self._waiting:
            turns, asked = self._waiting.popleft()
            if asked.is_open and not turns.is_dead:
                turns.waken(asked)
                return

    def locked(self) -> bool:
        """Tell whether the lock is acquired."""
        return bool(self._lock.locked())

    def _at_fork_reinit(self) -> None:
        self._lock = _allocate_lock()
        self._waiting.clear()

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self.release()


def _hooked_start(thread: threading.Thread) -> None:
    if not at_work():
        _start(thread)
        return
    started = thread._started  # type: ignore[attr-defined]  # noqa: SLF001 - as Python's own start does
    if started.is_set():
        raise RuntimeError("threads can only be started once")
    started.set()
    turns_module.current().around.start_thread(thread)


def _hooked_raw_start(*given: Any, **named: Any) -> int:
    if at_work():
        turns_module.current().complain(
            "starts a thread by the module _thread, which cannot be held still; start it by threading.Thread"
        )
        raise RuntimeError("can't start new thread")
    return int(_start_raw(*given, **named))


def _hooked_join(thread: threading.Thread, timeout: float | None = None) -> None:
    green = _threads.get(thread)
    if green is None:
        _join(thread, timeout)
    elif green.is_alive and green.ended.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
        green.ended.release()


def _hooked_is_alive(thread: threading.Thread) -> bool:
    green = _threads.get(thread)
    return _is_alive(thread) if green is None else green.is_alive


def _hooked_ident() -> int:
    return (at_work() and turns_module.current().ident) or _get_ident()


def _hooked_lock() -> Any:
    """Return a lock; one that the laboratory makes for itself is Python's own."""
    return Lock() if at_work() else _allocate_lock()


def _do_nothing() -> None:
    """Do nothing: there is no process yet."""


HOOKS.extend(
    (
        (threading, "Lock", _hooked_lock),
        (threading, "_allocate_lock", _hooked_lock),
        (threading, "RLock", threading._PyRLock),  # type: ignore[attr-defined]  # noqa: SLF001 - it stands on the lock
        (threading, "get_ident", _hooked_ident),
        (threading, "_time", hooked_monotonic),
        (_thread, "start_new_thread", _hooked_raw_start),
        (threading.Thread, "start", _hooked_start),
        (threading.Thread, "join", _hooked_join),
        (threading.Thread, "is_alive", _hooked_is_alive),
        (queue, "SimpleQueue", queue._PySimpleQueue),  # type: ignore[attr-defined]  # noqa: SLF001 - likewise
        (queue, "time", hooked_monotonic),
    )
)
