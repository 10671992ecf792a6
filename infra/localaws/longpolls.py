"""Receives that wait: each is answered as soon as its queue has something, in the order in which they came."""

import asyncio
from collections.abc import Callable
from typing import Final

from infra.localaws.clock import ScaledClock
from infra.localaws.http import Response
from infra.localaws.sqs.context import LongPoll, Shape
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import Queue

_TICK: Final = 0.001
"""Seconds; the event loop's timers are no finer."""


Answer = Callable[[Shape | SqsError], Response]


class LongPolls:
    """All receives that wait.

    Args:
        model: the queues; its ``on_available`` has to be this object's ``notice``.
        clock: the model's clock.
        after: is called after receives that no request caused.
    """

    def __init__(
        self,
        model: SqsModel,
        clock: ScaledClock,
        after: Callable[[], None],
    ) -> None:
        self._model = model
        self._clock = clock
        self._after = after
        self._waiting: dict[str, dict[WaitingReceive, None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._noticed: dict[str, None] = {}
        self._scheduled = False

    def wait(self, poll: LongPoll, answer: Answer) -> "WaitingReceive":
        """Return the pending answer to a receive that found nothing.

        Args:
            poll: the receive.
            answer: turns a shape, or the error that ends the wait, into a response.
        """
        return WaitingReceive(self, poll, answer)

    def waiting(self, name: str) -> int:
        """Return how many receives wait at a queue."""
        return len(self._waiting.get(name, ()))

    def notice(self, queue: Queue) -> None:
        """Take note that a queue may have something; those who wait there are served before the loop goes on."""
        if queue.name in self._waiting:
            self._noticed[queue.name] = None
            if not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._serve_noticed)

    def enter(self, receive: "WaitingReceive") -> None:
        """Begin to wait."""
        loop = asyncio.get_running_loop()
        poll = receive.poll
        receive.deadline = loop.call_later(self._clock.real_seconds(poll.seconds), self._give_up, receive)
        self._waiting.setdefault(poll.queue_name, {})[receive] = None
        self._arm(poll.queue_name)

    def leave(self, receive: "WaitingReceive") -> None:
        """Wait no more."""
        if receive.deadline is not None:
            receive.deadline.cancel()
        name = receive.poll.queue_name
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.pop(receive, None)
            if not waiting:
                del self._waiting[name]
                self._disarm(name)

    def _give_up(self, receive: "WaitingReceive") -> None:
        self.leave(receive)
        receive.finish(receive.poll.render([]))

    def _serve_noticed(self) -> None:
        self._scheduled = False
        noticed, self._noticed = self._noticed, {}
        for name in noticed:
            self._serve(name)
        self._after()

    def _serve_due(self, name: str) -> None:
        self._timers.pop(name, None)
        self._serve(name)
        self._after()

    def _serve(self, name: str) -> None:
        for receive in list(self._waiting.get(name, ())):
            if not receive.is_open():
                # Its connection is about to report the loss; what it would get goes to the next.
                self.leave(receive)
                continue
            try:
                deliveries = self._model.receive(name, receive.poll.request)
            except SqsError as error:
                answer: Shape | SqsError = error
            else:
                if not deliveries:
                    break
                answer = receive.poll.render(deliveries)
            self.leave(receive)
            receive.finish(answer)
        if name in self._waiting:
            self._arm(name)

    def _arm(self, name: str) -> None:
        """Set the queue's timer to the moment when something becomes visible."""
        self._disarm(name)
        due = self._model.next_visible_at(name)
        if due is not None:
            delay = max(_TICK, self._clock.real_seconds(due - self._clock()))
            self._timers[name] = asyncio.get_running_loop().call_later(delay, self._serve_due, name)

    def _disarm(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


class WaitingReceive:
    """One receive that waits; the HTTP face's ``Pending``."""

    __slots__ = ("_answer", "_polls", "_respond", "deadline", "is_open", "poll")

    def __init__(self, polls: LongPolls, poll: LongPoll, answer: Answer) -> None:
        self._answer = answer
        self._polls = polls
        self._respond: Callable[[Response], None] | None = None
        self.poll = poll
        self.deadline: asyncio.TimerHandle | None = None
        self.is_open: Callable[[], bool] = bool

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:
        """Begin to wait."""
        self._respond = respond
        self.is_open = is_open
        self._polls.enter(self)

    def cancel(self) -> None:
        """Wait no more: the client has gone."""
        self._polls.leave(self)

    def finish(self, answer: Shape | SqsError) -> None:
        """Answer."""
        if self._respond is not None:
            self._respond(self._answer(answer))
