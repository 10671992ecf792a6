"""Invariants and witnesses of happy alone."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import History


def find_all_sent(history: History) -> Evidence | None:
    """Find that messages were sent, and that each send was acknowledged."""
    count = len(history.sends)
    unclear = [call for call in history.calls("Send") if call.status != "ok" or call.result["failed"]]
    return Evidence(f"{count} messages, all acknowledged", count) if count and not unclear else None


def find_all_deleted(history: History) -> Evidence | None:
    """Find that each message that was sent was deleted."""
    count = len(history.sends)
    if not count or any(message.message_id not in history.gone for message in history.sends):
        return None
    return Evidence(f"{count} of {count} messages", count)


ALL_SENT = Witness("all-sent", "every message is sent", find_all_sent)


ALL_DELETED = Witness("all-deleted", "every message is deleted", find_all_deleted)
