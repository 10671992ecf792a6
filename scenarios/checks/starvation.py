"""Starvation: when the machine kept a process from its processors, and which side effects were late for that.

A lease holds while its holder is in time. On a machine that is too busy the best consumer is late: its claim ends,
another one takes the next delivery and does it, and then the first does its own. The lab reads from the system how long
each process waited (``scenarios.local.waits``). A duplicate that came of such a wait convicts no consumer.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scenarios.checks.invariants import Violation
from scenarios.history import ENDPOINT, LAB, Event, History
from scenarios.history.events import WAITED
from services.consumer.assumptions import Assumption
from services.consumer.consumer import LEASE_PART

#: What waits for a processor for this part of its time had no fair chance: of the visibility timeout, or of its own.
STARVED_PART = 0.25
#: Without its waits, a side effect that ends after this part of the visibility timeout might have been in time.
LATE_PART = LEASE_PART - STARVED_PART


class Span(NamedTuple):
    """A time in which a process waited for a processor for a good part of a visibility timeout; in seconds."""

    since: float
    until: float


def starvations(history: History) -> Mapping[str, Sequence[Span]]:
    """Return the spans by process. What answers keeps all waiting that ask. Nothing excuses a naive twin."""
    found: dict[str, list[Span]] = defaultdict(list)
    recent: dict[str, deque[Event]] = defaultdict(deque)
    timeout = history.facts.visibility_timeout
    for record in () if history.facts.naive else history.events(WAITED):
        name = record["waiter"]
        waits = recent[name]
        waits.append(record)
        while waits[0].time - waits[0]["within"] < record.time - timeout - record["within"]:
            waits.popleft()
        if sum(wait["seconds"] for wait in waits) >= STARVED_PART * timeout:
            span = Span(waits[0].time - waits[0]["within"], record.time)
            for waiter in history.receives_of if name in (ENDPOINT, LAB) else [name]:
                found[waiter].append(span)
    return found


def late_by_starvation(history: History, violation: Violation) -> str:
    """Return why a duplicate convicts no consumer, a sentence; empty where it does.

    Where a consumer does without the assumption of short pauses, it lives with those of the machine as well.
    """
    assumes = history.facts.assumes
    if assumes is not None and Assumption.SHORT_PAUSES not in assumes:
        return ""
    spans = starvations(history)
    for effect in (effect for key in violation.keys for effect in history.effects_of.get(key, ())):
        delivery = history.delivery_in_hand(effect)
        if delivery is None or effect.status == "fail":
            continue
        held = effect.call.ended - delivery.time
        waited = any(
            span.since <= effect.call.ended and span.until >= delivery.time for span in spans.get(effect.process, ())
        )
        if waited and held > LATE_PART * history.facts.visibility_timeout:
            return (
                f"{effect.process} had {history.name(effect.message_id)} in hand for {held:.1f} s, and the machine "
                "kept it, or what answers it, from the processors."
            )
    return ""
