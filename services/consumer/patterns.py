"""Patterns that a consumer's class declares: promises of its own, beyond those that every consumer has to keep.

That nothing is lost and nothing is done twice is asked of every consumer. Whether one gives messages back at its end,
or leaves them to their visibility timeout, is its own choice: a check of such a pattern judges those that declare it.
"""

from __future__ import annotations

from enum import StrEnum


class Pattern(StrEnum):
    """One promise of a consumer's own."""

    GRACEFUL_SHUTDOWN = "graceful-shutdown"
    RETRIED_ENTRIES = "retried-entries"

    @property
    def meaning(self) -> str:
        """What a consumer that declares it does."""
        return _MEANINGS[self]


_MEANINGS = {
    Pattern.GRACEFUL_SHUTDOWN: "finish at SIGTERM what is in hand, begin nothing, and give back the rest at once",
    Pattern.RETRIED_ENTRIES: "offer again those entries of a batch that the queue did not do for a reason of its own",
}
