"""A history that grows: each record is read once, however often a condition asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from scenarios.history import ENDPOINT, History, Record

#: By what part a history has grown when it is worth asking any condition again. A condition may read all of it, so
#: what all questions together cost stays in proportion to its length.
WORTH_A_LOOK = 0.1
#: The event that comes with every message, and so is no news.
_USUAL = "handled"
_CALLS = frozenset({"invoke", "ok", "fail"})
#: The views that a record may change; what the lab says of the run stands in the first.
_VIEWS = frozenset(name for name, value in vars(History).items() if isinstance(value, cached_property)) - {"facts"}
#: The views that something else than a send changes.
_NOT_OF_SENDS = _VIEWS - {"sends", "_numbers_follow_sends"}


class IncrementalHistory(History):
    """The history of a simulation that goes on.

    Args:
        records: a list that others append to, in the order of time.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(())
        self.records = records
        self._read_so_far = 0
        self._look_again_at = 0.0
        #: Up to here there is no news.
        self._looked_at = 0

    def grown(self) -> History:
        """Return the history up to now."""
        read, length = self._read_so_far, len(self.records)
        if read < length:
            stale = _VIEWS if self._read(self.records[read:length]) else _NOT_OF_SENDS
            self._read_so_far = self._looked_at = length
            for view in stale & self.__dict__.keys():
                del self.__dict__[view]
        return self

    def has_news(self) -> bool:
        """Return whether something unusual happened since ``grown`` was last called, or very much of the usual."""
        records, length = self.records, len(self.records)
        if length >= self._look_again_at:
            self._look_again_at = length * (1 + WORTH_A_LOOK) + 1
            return True
        while self._looked_at < length:
            record = records[self._looked_at]
            # Calls and answers are most of it, and none of them is news.
            if record["type"] not in _CALLS and _is_news(record):
                return True
            self._looked_at += 1
        return False


def _is_news(record: Record) -> bool:
    """Tell whether a fault or an event is news."""
    if record["type"] == "fault":
        return True
    return bool(record["process"] != ENDPOINT and record["event"] != _USUAL)
