"""Invariants and witnesses of duplicates alone."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, Delivery, History


def find_delivered_again_at_work(history: History) -> Evidence | None:
    """Find messages that were delivered to another consumer while the first was still at work on them."""
    found = []
    for deliveries in history.deliveries_of.values():
        for first in deliveries:
            over = _end_of_work(history, first)
            if over is None:
                continue
            found += [(first, later, over) for later in deliveries if _during(first, later, over)][:1]
    if not found:
        return None
    first, later, over = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name(first.message_id)}: {later.process} received it "
        f"{later.time - first.time:.1f} s after {first.process}, which was at work for {over.ended - first.time:.1f} s"
    )
    return Evidence(summary, len(found), (*first.call.records, *later.call.records, *over.records))


def _end_of_work(history: History, delivery: Delivery) -> Call | None:
    """Return the side effect that a delivery led to in its own process."""
    message = history.messages.get(delivery.message_id)
    for effect in history.effects_of.get(message.key, ()) if message else ():
        if effect.process == delivery.process and effect.call.started >= delivery.time and effect.status == "ok":
            return effect.call
    return None


def _during(first: Delivery, later: Delivery, over: Call) -> bool:
    return later.process != first.process and first.time < later.time < over.ended


DELIVERED_AGAIN_AT_WORK = Witness(
    "delivered-again-at-work",
    "a message is delivered again while the first consumer is still at work on it",
    find_delivered_again_at_work,
)
