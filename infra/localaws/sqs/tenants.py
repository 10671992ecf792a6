"""Fair queues: on a standard queue a message group names a tenant, and noisy tenants wait for the quiet ones.

A tenant becomes noisy with

- more than a tenth of the queue's messages in flight, and at least 30 of its own, or
- more than a tenth of the recent processing time: the time that messages spend in flight.

It is quiet again when no message of it waits, or when none of it was in flight for five minutes. Messages of noisy
tenants are set aside when their turn comes, and taken when nothing else is visible: first those of the tenant with the
fewest messages in flight. A message without a group is a tenant of its own, and never noisy.

SQS does not publish how long "recent" is. Here past processing time fades with a time constant of ``RECENT_SECONDS``.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from infra.localaws.sqs.line import Line
from infra.localaws.sqs.message import Message, State

NOISY_SHARE: Final = 0.1
NOISY_MINIMUM: Final = 30
QUIET_SECONDS: Final = 300.0
RECENT_SECONDS: Final = 60.0


@dataclass(slots=True)
class Load:
    """Messages in flight, and the processing time that they cost lately.

    Attributes:
        in_flight: messages now.
        time: seconds of processing, those long ago faded out.
        since: when ``time`` was right, in seconds of the model's clock.
    """

    in_flight: int = 0
    time: float = 0.0
    since: float = 0.0

    def change(self, by: int, now: float) -> None:
        """Count messages that went in flight, or came back."""
        self.time = self.recent(now)
        self.since = now
        self.in_flight += by

    def recent(self, now: float) -> float:
        """Return the recent processing time, in seconds."""
        if now <= self.since:
            return self.time
        steady = self.in_flight * RECENT_SECONDS
        return steady + (self.time - steady) * math.exp((self.since - now) / RECENT_SECONDS)


@dataclass(slots=True)
class Tenant:
    """One tenant that has messages in the queue.

    Attributes:
        waiting: its visible messages.
        idle_since: when its last message in flight came back, in seconds of the model's clock.
        aside: its messages that were set aside.
    """

    load: Load = field(default_factory=Load)
    waiting: int = 0
    is_noisy: bool = False
    idle_since: float = 0.0
    aside: Line = field(default_factory=lambda: Line(_is_visible))


class Tenants:
    """The tenants of one queue; false while there is none."""

    __slots__ = ("_all", "_noisy", "_tenants")

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}
        self._noisy: dict[str, Tenant] = {}
        self._all = Load()

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def waits(self, group: str, in_flight: int, now: float) -> None:
        """Count a message of a tenant that became visible; ``in_flight`` are the queue's messages in flight."""
        if not self._tenants:
            self._all = Load(in_flight, 0.0, now)
        tenant = self._tenants.get(group)
        if tenant is None:
            tenant = self._tenants[group] = Tenant(idle_since=now)
        tenant.waiting += 1

    def waits_no_more(self, group: str) -> None:
        """Count a visible message of a tenant that is gone, or that went in flight."""
        tenant = self._tenants[group]
        tenant.waiting -= 1
        if not tenant.waiting:
            tenant.is_noisy = False
            tenant.aside.clear()
            self._noisy.pop(group, None)
            self._tidy(group, tenant)

    def took(self, group: str | None, now: float) -> None:
        """Count a message that goes in flight."""
        self._all.change(1, now)
        if group is not None:
            tenant = self._tenants[group]
            tenant.load.change(1, now)
            self.waits_no_more(group)

    def gave_back(self, group: str | None, now: float) -> None:
        """Count a message that is in flight no more."""
        self._all.change(-1, now)
        if group is not None and (tenant := self._tenants.get(group)) is not None:
            tenant.load.change(-1, now)
            if not tenant.load.in_flight:
                tenant.idle_since = now
                self._tidy(group, tenant)

    def is_noisy(self, group: str | None, now: float) -> bool:
        """Return whether a tenant has too large a share of the queue."""
        tenant = None if group is None else self._tenants.get(group)
        if group is None or tenant is None:
            return False
        if not tenant.is_noisy and self._takes_too_much(tenant.load, now):
            tenant.is_noisy = True
            self._noisy[group] = tenant
        return tenant.is_noisy

    def set_aside(self, message: Message) -> None:
        """Keep a noisy tenant's message for later."""
        if message.group is not None:
            self._tenants[message.group].aside.add(message)

    def quiet_again(self, now: float) -> Iterator[Message]:
        """Yield the messages that were set aside, of tenants that are quiet again since they had none in flight."""
        for group, tenant in list(self._noisy.items()):
            if not tenant.load.in_flight and now - tenant.idle_since >= QUIET_SECONDS:
                tenant.is_noisy = False
                del self._noisy[group]
                while (message := tenant.aside.pop()) is not None:
                    yield message

    def next_of_the_noisy(self) -> Message | None:
        """Take a message that was set aside, of the noisy tenant with the fewest messages in flight."""
        first = self._fewest_in_flight()
        return None if first is None else first.aside.pop()

    def first_set_aside(self) -> Message | None:
        """Return the message with the lowest place that was set aside."""
        firsts = [message for tenant in self._noisy.values() if (message := tenant.aside.first())]
        return min(firsts, key=_place) if firsts else None

    def set_aside_now(self) -> Iterator[Message]:
        """Yield what is set aside."""
        for tenant in self._noisy.values():
            yield from tenant.aside

    def clear(self) -> None:
        """Forget all."""
        self._tenants.clear()
        self._noisy.clear()

    def _takes_too_much(self, load: Load, now: float) -> bool:
        if load.in_flight >= NOISY_MINIMUM and load.in_flight > NOISY_SHARE * self._all.in_flight:
            return True
        recent = load.recent(now)
        return recent > 0 and recent > NOISY_SHARE * self._all.recent(now)

    def _fewest_in_flight(self) -> Tenant | None:
        found: tuple[int, int] | None = None
        chosen = None
        for tenant in self._noisy.values():
            message = tenant.aside.first()
            if message is not None and (found is None or (tenant.load.in_flight, message.place) < found):
                found, chosen = (tenant.load.in_flight, message.place), tenant
        return chosen

    def _tidy(self, group: str, tenant: Tenant) -> None:
        if not tenant.waiting and not tenant.load.in_flight:
            self._tenants.pop(group, None)


def _is_visible(message: Message) -> bool:
    return message.state is State.VISIBLE


def _place(message: Message) -> int:
    return message.place
