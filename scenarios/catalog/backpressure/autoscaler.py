"""An autoscaler for consumers: how many there should be, from how much there is to do. It does nothing itself.

    messages for each consumer
      more than ``high``       ─▶ out, to as many as bring it down to ``high``
      in between               ─▶ as it is; but one more if the oldest message is older than ``oldest``
      less than ``low``        ─▶ in, one at a time, once it has been so for ``calm`` seconds without a break

What is acceptable for a consumer is the time that a message may wait, divided by the time that one takes:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html

Two things keep it from flapping. Between ``low`` and ``high`` there is a wide band in which it rests (hysteresis). And
a change is given time to show its effect before another one follows: ``pause`` seconds in the same direction, ``calm``
in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

from scenarios.history.backlog import Load


@dataclass(frozen=True, slots=True)
class Policy:
    """When to have more consumers, and when fewer.

    Attributes:
        least: consumers that there always are.
        most: consumers that there are at most.
        high: messages for each consumer above which there are to be more.
        low: messages for each consumer below which there are to be fewer.
        oldest: the age of the oldest message, in seconds, above which one more consumer starts.
        pause: seconds from a change to the next one in the same direction.
        calm: seconds for which the load must have been low before there are fewer; and from a change to one in the
            other direction.
    """

    least: int = 1
    most: int = 8
    high: float = 2.0
    low: float = 0.5
    oldest: float = 20.0
    pause: float = 5.0
    calm: float = 10.0


@dataclass(frozen=True, slots=True)
class Decision:
    """How many consumers there are to be from now on, and why."""

    consumers: int
    why: str


class Autoscaler:
    """Decides by a policy; remembers what it has decided, and since when the load is low.

    Attributes:
        consumers: how many there are to be by its last decision.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.consumers = policy.least
        self._last = 0
        self._changed_at = -inf
        self._low_since = inf

    def decide(self, load: Load, moment: float) -> Decision | None:
        """Return what is to change, None for nothing.

        Args:
            load: the work that waits.
            moment: the time, in seconds; it never goes back from one call to the next.
        """
        is_low = load.messages < self.policy.low * self.consumers
        self._low_since = min(self._low_since, moment) if is_low else inf
        wanted = self._wanted(load, moment)
        change = wanted.consumers - self.consumers
        if not change or moment - self._changed_at < self._rest(change):
            return None
        self.consumers = wanted.consumers
        self._last, self._changed_at, self._low_since = change, moment, inf
        return wanted

    def _wanted(self, load: Load, moment: float) -> Decision:
        policy, now = self.policy, self.consumers
        if load.messages > policy.high * now:
            enough = ceil(load.messages / policy.high)
            return Decision(max(now, min(enough, policy.most)), f"{load.messages} messages for {now}")
        if load.oldest > policy.oldest:
            return Decision(max(now, min(now + 1, policy.most)), f"the oldest message is {load.oldest:.0f} s old")
        if moment - self._low_since >= policy.calm:
            return Decision(max(now - 1, policy.least), f"{load.messages} messages for {now}")
        return Decision(now, "")

    def _rest(self, change: int) -> float:
        """Return for how long nothing must have changed before this change."""
        return self.policy.calm if change * self._last < 0 else self.policy.pause
