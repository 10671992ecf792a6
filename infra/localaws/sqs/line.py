"""A line of messages in the order of their places, whenever each of them joins it.

A message keeps the place that it got when it was enqueued. One that becomes visible again stands before those that
were sent later. Most messages join in order, at the cost of an append; the others go through a heap.

Entries of messages that left the line by another way are void. They are dropped when they come to the front.
"""

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from infra.localaws.sqs.message import Message


class Line:
    """Messages, the lowest place first. Every operation costs amortised O(log n) or less.

    Args:
        is_valid: tells whether a message that has an entry still stands in the line.
    """

    __slots__ = ("_in_order", "_is_valid", "_late")

    def __init__(self, is_valid: Callable[[Message], bool]) -> None:
        self._is_valid = is_valid
        self._in_order: deque[Message] = deque()
        self._late: list[tuple[int, Message]] = []

    def __len__(self) -> int:
        return len(self._in_order) + len(self._late)

    def __iter__(self) -> Iterator[Message]:
        yield from self._in_order
        for _, message in self._late:
            yield message

    def add(self, message: Message) -> None:
        """Let a message join at its place; its earlier entry, if there is one, serves again."""
        if message.queued:
            return
        message.queued = True
        in_order = self._in_order
        if not in_order or message.place > in_order[-1].place:
            in_order.append(message)
        else:
            heappush(self._late, (message.place, message))

    def first(self) -> Message | None:
        """Return the first message, None if the line is empty."""
        if not self._late:
            return self._first_in_order()
        while (message := self._front()) is not None and not self._is_valid(message):
            self._drop_front()
        return message

    def pop(self) -> Message | None:
        """Take out the first message, None if the line is empty."""
        message = self.first()
        if message is not None:
            self._drop_front()
        return message

    def pop_one_of(self, window: int, choose: Callable[[list[Message]], Message]) -> Message | None:
        """Take out another than the first of the ``window`` first messages, None if there is only one.

        Args:
            window: messages.
            choose: chooses among the others, which are in their order.
        """
        popped = [message for _ in range(window) if (message := self.pop()) is not None]
        chosen = choose(popped[1:]) if len(popped) > 1 else None
        for message in reversed(popped):
            if message is not chosen:
                self._put_back(message)
        return chosen

    def clear(self) -> None:
        """Forget all."""
        for message in self:
            message.queued = False
        self._in_order.clear()
        self._late.clear()

    def _first_in_order(self) -> Message | None:
        in_order, is_valid = self._in_order, self._is_valid
        while in_order:
            message = in_order[0]
            if is_valid(message):
                return message
            in_order.popleft().queued = False
        return None

    def _front(self) -> Message | None:
        in_order, late = self._in_order, self._late
        if late and (not in_order or late[0][0] < in_order[0].place):
            return late[0][1]
        return in_order[0] if in_order else None

    def _drop_front(self) -> None:
        in_order, late = self._in_order, self._late
        is_late = late and (not in_order or late[0][0] < in_order[0].place)
        message = heappop(late)[1] if is_late else in_order.popleft()
        message.queued = False

    def _put_back(self, message: Message) -> None:
        message.queued = True
        in_order = self._in_order
        if not in_order or message.place < in_order[0].place:
            in_order.appendleft(message)
        else:
            heappush(self._late, (message.place, message))
