"""When messages become visible, and when they expire: time-ordered indexes with lazy deletion.

Both hold references to messages that may have moved on since; such entries are skipped when they are met,
and swept out when they outnumber the live ones, so that every operation costs amortised O(log n) or less.
"""

import math
from collections import deque
from heapq import heapify, heappop, heappush
from typing import Final

from infra.localaws.sqs.message import Message, State

_SLACK: Final = 64
"""Entries below which sweeping is not worth its while."""


class VisibilityTimers:
    """The messages that become visible later: delayed ones and those in flight, the soonest first."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []
        self._serial = 0

    def start(self, message: Message, waiting: int) -> None:
        """Index a message by its ``visible_at``.

        Args:
            message: delayed or in flight; an earlier entry of it becomes void.
            waiting: how many messages of the queue are delayed or in flight, this one counted.
        """
        heap = self._heap
        if len(heap) > 2 * waiting + _SLACK:
            heap[:] = [entry for entry in heap if _is_current(entry)]
            heapify(heap)
        self._serial += 1
        message.timer = self._serial
        heappush(heap, (message.visible_at, self._serial, message))

    def pop_due(self, now: float) -> Message | None:
        """Take out the message that is longest due, None if none is."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heappop(heap)
            if _is_current(entry):
                return entry[2]
        return None

    def next_due(self) -> float | None:
        """Return when the next message becomes visible, in seconds of the model's clock; None if none waits."""
        heap = self._heap
        while heap:
            if _is_current(heap[0]):
                return heap[0][0]
            heappop(heap)
        return None

    def next_entry(self) -> float:
        """Return a moment, in seconds of the model's clock, before which no message becomes visible."""
        return self._heap[0][0] if self._heap else math.inf

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()


def _is_current(entry: tuple[float, int, Message]) -> bool:
    _, serial, message = entry
    return message.timer == serial and (message.state is State.IN_FLIGHT or message.state is State.DELAYED)


class RetentionIndex:
    """The messages of a queue by age, the oldest first.

    Sends arrive in order and cost O(1). Only messages that a dead-letter move brings with an older enqueue time
    need the heap.
    """

    __slots__ = ("_in_order", "_moved_in", "_serial")

    def __init__(self) -> None:
        self._in_order: deque[Message] = deque()
        self._moved_in: list[tuple[float, int, Message]] = []
        self._serial = 0

    def add(self, message: Message, live: int) -> None:
        """Index a message by its ``enqueued_at``; ``live`` is how many messages the queue holds."""
        in_order = self._in_order
        if len(in_order) > 2 * live + _SLACK:
            self._in_order = in_order = deque(m for m in in_order if m.state is not State.GONE)
        if in_order and message.enqueued_at < in_order[-1].enqueued_at:
            self._serial += 1
            if len(self._moved_in) > 2 * live + _SLACK:
                self._moved_in[:] = [entry for entry in self._moved_in if entry[2].state is not State.GONE]
                heapify(self._moved_in)
            heappush(self._moved_in, (message.enqueued_at, self._serial, message))
        else:
            in_order.append(message)

    def oldest(self) -> float:
        """Return a moment, in seconds of the model's clock, before which none of the messages was enqueued."""
        oldest = self._in_order[0].enqueued_at if self._in_order else math.inf
        return min(oldest, self._moved_in[0][0]) if self._moved_in else oldest

    def pop_older(self, horizon: float) -> Message | None:
        """Take out a message that was enqueued at or before ``horizon``, None if there is none."""
        in_order = self._in_order
        while in_order:
            message = in_order[0]
            if message.state is State.GONE:
                in_order.popleft()
            elif message.enqueued_at <= horizon:
                return in_order.popleft()
            else:
                break
        moved_in = self._moved_in
        while moved_in and (moved_in[0][0] <= horizon or moved_in[0][2].state is State.GONE):
            message = heappop(moved_in)[2]
            if message.state is not State.GONE:
                return message
        return None

    def clear(self) -> None:
        """Forget all."""
        self._in_order.clear()
        self._moved_in.clear()
