"""Drives an event source mapping on the endpoint's event loop: its receives, invocations and deletes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from infra.localaws.clock import ScaledClock
from infra.localaws.lambda_ import source
from infra.localaws.lambda_.actions import Delete, Failure, Invoke, Receive, Result, StopReceiving
from infra.localaws.lambda_.faults import FaultKind
from infra.localaws.lambda_.function import Function
from infra.localaws.lambda_.mapping import EventSourceMapping
from infra.localaws.longpolls import LongPolls, WaitingReceive
from infra.localaws.sqs.context import LongPoll
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.model import SqsModel

_TICK = 0.001
"""Seconds; the event loop's timers are no finer."""


@dataclass(frozen=True, slots=True)
class Queues:
    """The endpoint's queues.

    Attributes:
        model: their state.
        polls: where receives wait.
        clock: the model's clock.
        after: is called after what no request caused.
    """

    model: SqsModel
    polls: LongPolls
    clock: ScaledClock
    after: Callable[[], None]


@dataclass(slots=True)
class Counts:
    """What a mapping has done by now: batches answered, batches failed, throttles, messages deleted."""

    answered: int = 0
    failed: int = 0
    throttled: int = 0
    deleted: int = 0


class MappingRunner:
    """Performs what a mapping asks for.

    Args:
        mapping: the mapping; its clock is that of the queues.
        function: finds the function; None if there is none any more.
        queues: the endpoint's queues.
        on_idle: is told when a disabled mapping has nothing in hand any more.
    """

    def __init__(
        self,
        mapping: EventSourceMapping,
        function: Callable[[], Function | None],
        queues: Queues,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.mapping = mapping
        self.counts = Counts()
        self.last_result: str | None = None
        self._function = function
        self._model = queues.model
        self._polls = queues.polls
        self._clock = queues.clock
        self._after = queues.after
        self._on_idle = on_idle
        self._waiting: dict[int, WaitingReceive | asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Result]] = set()
        self._deletes = 0
        self._is_closed = False

    def step(self) -> None:
        """Perform all that there is to do now, and set the timer to what comes next."""
        if self._is_closed or not self.mapping.perform_all(self._perform):
            return
        self._after()
        self._arm()
        if not self.mapping.enabled and self.mapping.is_idle:
            self._on_idle()

    def close(self) -> None:
        """Stop at once, whatever is under way."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    # Within

    def _perform(self, action: Receive | StopReceiving | Invoke | Delete) -> None:
        match action:
            case Receive():
                self._receive(action)
            case StopReceiving():
                self._waiting.pop(action.poller).cancel()
                self.mapping.received(action.poller, [], self._clock())
            case Invoke():
                self._invoke(action)
            case Delete():
                self._delete(action)

    def _receive(self, action: Receive) -> None:
        name = self.mapping.queue.name
        deliveries = source.receive(self._model, name, action)
        if deliveries:
            self._received(action.poller, deliveries)
        elif not source.is_there(self._model, name):
            # Nothing announces that the queue is back, so the wait is all that is left to do.
            wait = self._clock.real_seconds(action.wait)
            self._waiting[action.poller] = asyncio.get_running_loop().call_later(wait, self._came, action.poller, [])
        else:
            poll = LongPoll(
                name, source.receive_request(action), cast("int", action.wait), lambda found: {"found": found}
            )
            # The answer needs no form: nothing but this runner sees it.
            waiting = self._polls.wait(poll, cast("Any", _deliveries))
            self._waiting[action.poller] = waiting
            waiting.start(cast("Any", lambda found: self._came(action.poller, found)), lambda: True)

    def _came(self, poller: int, deliveries: list[Delivery]) -> None:
        """A receive that waited has ended."""
        del self._waiting[poller]
        self._received(poller, deliveries)
        # Another mapping, or a client, may be next in line before the function is invoked.
        asyncio.get_running_loop().call_soon(self.step)

    def _received(self, poller: int, deliveries: list[Delivery]) -> None:
        ends = source.visible_at(self._model, self.mapping.queue.name) if deliveries else self._clock()
        if deliveries:
            self.mapping.note_received(poller, deliveries)
        self.mapping.received(poller, deliveries, ends)

    def _invoke(self, action: Invoke) -> None:
        loop = asyncio.get_running_loop()
        function = self._function()
        if function is None:
            self.last_result = "PROBLEM: Function not found"
            failed = Result(json.dumps({"errorMessage": "Function not found"}).encode(), Failure.ERROR)
            loop.call_soon(self._answered, action.batch, failed)
        elif not function.begin(action.batch):
            loop.call_soon(self._throttled, action.batch)
        else:
            task = loop.create_task(function.invoke(action.payload, batch=action.batch))
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._done(action.batch, done))

    def _done(self, batch: int, task: "asyncio.Task[Result]") -> None:
        self._tasks.discard(task)
        if not self._is_closed and not task.cancelled():
            self._answered(batch, task.result())

    def _answered(self, batch: int, result: Result) -> None:
        if result.failure is None:
            self.counts.answered += 1
        else:
            self.counts.failed += 1
        if self._function() is not None:
            self.last_result = "OK" if result.failure is None else "PROBLEM: Function call failed"
        self.mapping.answered(batch, result)
        self.step()

    def _throttled(self, batch: int) -> None:
        self.counts.throttled += 1
        self.mapping.throttled(batch)
        self.step()

    def _delete(self, action: Delete) -> None:
        self._deletes += 1
        function = self._function()
        fault = None if function is None else function.faults.take(FaultKind.DELETE_FAILED, self._deletes)
        failed: dict[str, bool] = {}
        if fault is not None and function is not None:
            failed = {entry.entry_id: True for at, entry in enumerate(action.entries) if fault.fails(at)}
            function.note(fault)
        kept = tuple(entry for entry in action.entries if entry.entry_id not in failed)
        failed |= source.delete(self._model, self.mapping.queue.name, Delete(action.number, kept, action.attempt))
        self.counts.deleted += len(action.entries) - len(failed)
        self.mapping.note_deleted(action, failed)
        self.mapping.deleted(action.number, failed)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.mapping.next_at()
        if due is not None:
            delay = max(_TICK, self._clock.real_seconds(due - self._clock()))
            self._timer = asyncio.get_running_loop().call_later(delay, self.step)


def _deliveries(answer: "dict[str, Any] | SqsError") -> list[Delivery]:
    """Return what a receive that waited has found; a queue that was deleted meanwhile has nothing."""
    found: list[Delivery] = [] if isinstance(answer, SqsError) else answer["found"] if answer else []
    return found
