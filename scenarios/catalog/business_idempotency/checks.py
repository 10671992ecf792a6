"""Invariants and witnesses of business-idempotency alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import History

MessagesByKey = Callable[[History, str], Mapping[str, Sequence[str]]]


def several_messages(messages_by_key: MessagesByKey, field: str) -> Witness:
    """Two messages with two MessageIds named one order, and both were received."""

    def find(history: History) -> Evidence | None:
        for key, message_ids in messages_by_key(history, field).items():
            received = [item for item in message_ids if item in history.deliveries_of]
            if len(received) > 1:
                calls = [history.deliveries_of[item][0].call for item in received[:2]]
                summary = f"{len(received)} messages name {key}, and each was received"
                return Evidence(summary, len(received), tuple(record for call in calls for record in call.records))
        return None

    return Witness("several-messages-one-order", f"several messages name one {field}, and are received", find)
