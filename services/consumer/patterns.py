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
    CLAIMS = "claims"
    LEDGER_LOOK = "ledger-look"
    HEARTBEAT = "heartbeat"
    BACKOFF = "backoff"
    GROUPS_IN_A_BATCH = "groups-in-a-batch"
    IDEMPOTENCY_KEY = "idempotency-key"
    BUSINESS_KEY = "business-key"
    FRESHNESS = "freshness"
    PAYLOAD_REMOVAL = "payload-removal"
    SHORT_LEASE = "short-lease"
    REVERSE_COMPENSATION = "reverse-compensation"

    @property
    def meaning(self) -> str:
        """What a consumer that declares it does."""
        return _MEANINGS[self]


_MEANINGS = {
    Pattern.GRACEFUL_SHUTDOWN: "finish at SIGTERM what is in hand, begin nothing, and give back the rest at once",
    Pattern.RETRIED_ENTRIES: "offer again those entries of a batch that the queue did not do for a reason of its own",
    Pattern.CLAIMS: "claim each message in a store before its work, and leave what another consumer holds",
    Pattern.LEDGER_LOOK: "ask the external system whether a side effect was caused before causing it again",
    Pattern.HEARTBEAT: "extend claim and delivery while the work goes on, and let go when the claim is lost",
    Pattern.BACKOFF: "put off what failed, for longer each time",
    Pattern.GROUPS_IN_A_BATCH: "receive several messages of a group at once, and stop the group alone at a failure",
    Pattern.IDEMPOTENCY_KEY: "call the external system with a key by which it knows a call that was made before",
    Pattern.BUSINESS_KEY: "know a side effect by the payload field that names the business's own key",
    Pattern.FRESHNESS: "let a message expire that is too old to be worth anything",
    Pattern.PAYLOAD_REMOVAL: "remove a message's payload from the bucket when the message is deleted",
    Pattern.SHORT_LEASE: "let a claim end before its delivery does, so that a crash costs a message one receive",
    Pattern.REVERSE_COMPENSATION: "undo a saga's steps in reverse, the last one first",
}
