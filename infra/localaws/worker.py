"""One thread for slow work, so that the endpoint's event loop goes on: DynamoDB and S3 are moto's, and moto blocks.

The work is done one after the other in the order in which it came, so a conditional write stays atomic. A client whose
work takes longer than the deadline gets an answer that says so. Work that has begun is never broken off, since it could
leave a table half changed; work whose deadline has passed while it waited is not begun.
"""

import asyncio
import gc
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from infra.localaws.faults import FAULTS
from infra.localaws.http import Response, text_response

DEADLINE_SECONDS: Final = 20.0
"""How long a client waits for DynamoDB or S3; SDKs wait 60 seconds, and moto needs milliseconds for a legal request."""
COLLECT_BYTES: Final = 64 * 1024 * 1024
"""After so many bytes of requests and answers the garbage is collected: moto's objects refer to each other in circles,
and the process's collector looks at them seldom."""

RECURSION: Final = 6_000
"""Calls within calls: moto goes down the tree of an expression, which is as deep as it has actions (up to 300)."""
STACK_BYTES: Final = 64 * 1024 * 1024

Work = Callable[[], Response]


class Worker:
    """A thread that starts with the first work and ends with ``stop``.

    Args:
        seconds: the deadline of one piece of work.
    """

    def __init__(self, seconds: float = DEADLINE_SECONDS) -> None:
        # Known to the whole interpreter, but only this thread goes so deep, and has the stack for it.
        sys.setrecursionlimit(max(RECURSION, sys.getrecursionlimit()))
        self._seconds = seconds
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._jobs: deque[_Job] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._bytes = 0

    def run(self, work: Work, late: Work, size: int = 0) -> "_Job":
        """Return the pending answer to a request.

        Args:
            work: makes the answer, in the worker's thread.
            late: makes the answer to a client whose work takes too long.
            size: bytes of the request.
        """
        return _Job(self, work, late, size)

    def prepare(self, work: Callable[[], object]) -> None:
        """Do something without waiting for it."""

        def done() -> Response:
            work()
            return text_response(200, "")

        job = _Job(self, done, done, 0)
        self._start()
        self._queue.put(job)

    def stop(self) -> None:
        """End the thread after the work that it has begun; what waits is dropped."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for job in self._jobs:
            job.is_dropped = True
        self._queue.put(None)

    def enter(self, job: "_Job") -> None:
        """Take work on; called in the event loop."""
        loop = asyncio.get_running_loop()
        job.loop = loop
        job.due = loop.time() + self._seconds
        self._start()
        self._jobs.append(job)
        self._queue.put(job)
        if self._watch is None:
            self._watch = loop.call_at(job.due, self._look)

    def _look(self) -> None:
        """Answer those whose deadline has passed; deadlines come in the order of the work."""
        self._watch = None
        loop = asyncio.get_running_loop()
        while self._jobs and self._jobs[0].due <= loop.time():
            self._jobs.popleft().give_up()
        if self._jobs:
            self._watch = loop.call_at(self._jobs[0].due, self._look)

    def leave(self) -> None:
        """Forget the work that is done; called in the event loop."""
        while self._jobs and self._jobs[0].is_done:
            self._jobs.popleft()

    def _start(self) -> None:
        if self._thread is None:
            before = threading.stack_size(STACK_BYTES)
            try:
                self._thread = threading.Thread(target=self._serve, daemon=True, name="localaws-worker")
                self._thread.start()
            finally:
                threading.stack_size(before)

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.is_dropped:
                continue
            try:
                response = job.take()()
            except Exception:  # noqa: BLE001 - a fault of ours must not end the worker
                FAULTS.exception("A request could not be answered.")
                response = text_response(500, "The endpoint failed on this request; its log says where.")
            self._collect(job.size + len(response.body))
            job.tell(response)

    def _collect(self, count: int) -> None:
        self._bytes += count
        if self._bytes >= COLLECT_BYTES:
            self._bytes = 0
            gc.collect()


class _Job:
    """One piece of work; the HTTP face's ``Pending``."""

    __slots__ = ("_late", "_respond", "_work", "_worker", "due", "is_done", "is_dropped", "loop", "size")

    def __init__(self, worker: Worker, work: Work, late: Work, size: int) -> None:
        self._worker = worker
        self._late = late
        self._respond: Callable[[Response], None] | None = None
        self._work: Work | None = work
        self.size = size
        self.loop: asyncio.AbstractEventLoop | None = None
        self.due = 0.0
        self.is_done = False
        self.is_dropped = False

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:
        """Begin."""
        del is_open
        self._respond = respond
        self._worker.enter(self)

    def cancel(self) -> None:
        """Answer no one: the client has gone. Its request has arrived, and is performed."""
        self._respond = None

    def take(self) -> Work:
        """Return the work, once: it holds the request's body."""
        work, self._work = self._work, None
        return work or self._late

    def tell(self, response: Response) -> None:
        """Hand the answer to the event loop; called in the worker's thread."""
        if self.loop is not None and not self.loop.is_closed():
            try:
                self.loop.call_soon_threadsafe(self._finish, response)
            except RuntimeError:
                return  # the endpoint has stopped meanwhile

    def give_up(self) -> None:
        """Answer that the work takes too long, unless it is done."""
        if not self.is_done:
            self.is_dropped = True
            self._finish(self._late())

    def _finish(self, response: Response) -> None:
        if self.is_done:
            return
        self.is_done = True
        self._worker.leave()
        respond, self._respond = self._respond, None
        if respond is not None:
            respond(response)
