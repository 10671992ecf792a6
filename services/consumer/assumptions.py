"""Assumptions: what a consumer's pattern takes for granted of the world, declared by its class.

Within its assumptions a pattern keeps its promise; beyond them it need not. ``Consumer.assumes`` names them, and the
simulation keeps its faults within those that are named (``invoke explore --beyond`` drops them one by one).
"""

from __future__ import annotations

from enum import StrEnum


class Assumption(StrEnum):
    """One thing that a pattern takes for granted."""

    NO_LATE_REQUESTS = "no-late-requests"
    SHORT_PAUSES = "short-pauses"
    CLOSE_CLOCKS = "close-clocks"
    SPARE_RECEIVES = "spare-receives"
    BOUNDED_DELAY = "bounded-delay"
    KEPT_RECORDS = "kept-records"
    FIXED_ATTRIBUTES = "fixed-attributes"
    LONG_RETENTION = "long-retention"

    @property
    def meaning(self) -> str:
        """What it says, as a clause."""
        return _MEANINGS[self]


_MEANINGS = {
    Assumption.NO_LATE_REQUESTS: "a side effect whose call timed out does not happen afterwards",
    Assumption.SHORT_PAUSES: "no pause between a claim and its side effect outlasts the lease",
    Assumption.CLOSE_CLOCKS: "each wall clock is wrong by less than 4 % of the visibility timeout",
    Assumption.SPARE_RECEIVES: "faults cost a message fewer receives than max-receive-count",
    Assumption.BOUNDED_DELAY: "all faults together delay the scenario by no more than it allows for",
    Assumption.KEPT_RECORDS: "status records and idempotency keys are kept until no copy of their message can come",
    Assumption.FIXED_ATTRIBUTES: "neither visibility timeout nor max-receive-count is lowered while messages wait",
    Assumption.LONG_RETENTION: "no message outlasts its retention before it is done",
}

#: What a claim with a lease and a look into the ledger take for granted.
ALL = frozenset(Assumption)
