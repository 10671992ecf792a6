"""Fair queues: on a standard queue a message group names a tenant, and a noisy tenant waits for the quiet ones.

A tenant is noisy while it has a large share of the queue's messages in flight. SQS does not publish the share that it
calls large; here it is ``NOISY_SHARE`` of those in flight, and ``NOISY_MINIMUM`` messages at least. Messages of noisy
tenants are set aside when their turn comes, and taken when nothing else is visible; nothing is ever withheld.

Every operation costs amortised O(1).

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from infra.localaws.sqs.message import Message, State

NOISY_SHARE: Final = 0.1
NOISY_MINIMUM: Final = 10


class Tenants:
    """Who has how many messages in flight, and whose messages are set aside."""

    __slots__ = ("_aside", "_in_flight", "_quiet_again")

    def __init__(self) -> None:
        self._in_flight: dict[str, int] = {}
        self._aside: dict[str, deque[Message]] = {}
        self._quiet_again: deque[str] = deque()

    def __bool__(self) -> bool:
        """Whether there is anything to mind: a message in flight that has a tenant, or one set aside."""
        return bool(self._in_flight or self._aside)

    def took(self, tenant: str) -> None:
        """Count a message of a tenant that went in flight."""
        self._in_flight[tenant] = self._in_flight.get(tenant, 0) + 1

    def gave_back(self, tenant: str) -> None:
        """Count a message of a tenant that is in flight no more."""
        left = self._in_flight[tenant] - 1
        if left:
            self._in_flight[tenant] = left
        else:
            del self._in_flight[tenant]
        if tenant in self._aside:
            self._quiet_again.append(tenant)

    def is_noisy(self, tenant: str | None, in_flight: int) -> bool:
        """Tell whether a tenant has too large a share of ``in_flight``, the queue's messages in flight."""
        if tenant is None:
            return False
        own = self._in_flight.get(tenant, 0)
        return own >= NOISY_MINIMUM and own >= NOISY_SHARE * in_flight

    def set_aside(self, message: Message) -> None:
        """Keep a noisy tenant's message for later."""
        if message.group is not None:
            self._aside.setdefault(message.group, deque()).append(message)

    def next_of_the_quiet(self, in_flight: int) -> Message | None:
        """Take a message that was set aside and whose tenant is quiet again; it has waited longer than all in line."""
        while self._quiet_again:
            tenant = self._quiet_again[0]
            if not self.is_noisy(tenant, in_flight) and (message := self._take(tenant)):
                return message
            self._quiet_again.popleft()
        return None

    def next_of_the_noisy(self) -> Message | None:
        """Take a message that was set aside, from each noisy tenant in its turn."""
        while self._aside:
            tenant = next(iter(self._aside))
            message = self._take(tenant)
            if message is not None:
                if tenant in self._aside:
                    self._aside[tenant] = self._aside.pop(tenant)
                return message
        return None

    def set_aside_now(self) -> Iterator[Message]:
        """Yield what is set aside."""
        for messages in self._aside.values():
            yield from messages

    def clear(self) -> None:
        """Forget all."""
        self._in_flight.clear()
        self._aside.clear()
        self._quiet_again.clear()

    def _take(self, tenant: str) -> Message | None:
        messages = self._aside.get(tenant)
        message = None
        while messages and message is None:
            first = messages.popleft()
            message = first if first.state is State.VISIBLE else None
        if messages is not None and not messages:
            del self._aside[tenant]
        return message
