"""A memory that forgets after a fixed time: for deduplication ids, receive attempts and deleted names."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TimedMemory(Generic[K, V]):
    """Values by key, each kept for ``seconds`` after it was put. Every operation costs amortised O(1)."""

    __slots__ = ("_entries", "_order", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: dict[K, tuple[float, V]] = {}
        self._order: deque[tuple[float, K]] = deque()

    def get(self, key: K, now: float) -> V | None:
        """Return what is remembered under the key, None if nothing is."""
        self._forget_until(now - self._seconds)
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def put(self, key: K, value: V, now: float) -> None:
        """Remember a value from ``now`` on, in place of an earlier one."""
        self._forget_until(now - self._seconds)
        self._entries[key] = (now, value)
        self._order.append((now, key))

    def forget(self, key: K) -> None:
        """Forget one key, remembered or not."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._order.clear()

    def _forget_until(self, horizon: float) -> None:
        order = self._order
        while order and order[0][0] <= horizon:
            put_at, key = order.popleft()
            entry = self._entries.get(key)
            if entry is not None and entry[0] == put_at:
                del self._entries[key]
