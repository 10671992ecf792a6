"""The keys that a consumer remembers: the most recently used ones, as many as fit."""

from __future__ import annotations

from collections import OrderedDict


class RecentKeys:
    """A set of keys of limited size, from which the least recently used one goes first.

    Args:
        size: how many keys it holds; 0 for none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> None:
        """Remember a key, which is a use of it."""
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)

    def use(self, key: str) -> bool:
        """Return whether a key is remembered; one that is counts as used just now."""
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True
