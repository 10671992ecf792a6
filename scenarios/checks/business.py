"""Invariants about orders: what a payload names by a business key is done once, however many messages name it.

They read the key from the bodies that were sent, and the order of a side effect from the message that caused it. So a
consumer that keys by something else is judged by what the customer sees. How often an order was paid the ledger says:
a payment whose reply was lost is a payment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain

from scenarios.checks.invariants import Invariant, Violation
from scenarios.history import Effect, History
from services.payload import MalformedPayload, effect_key, parse_payload


def done_once(field: str) -> Invariant:
    """Return the invariant that no order is done more than once."""

    def check(history: History) -> list[Violation]:
        return [
            Violation(
                f"{key} was paid {count} times, for {', '.join(_causes(history, effects))}.",
                (key,),
                tuple(dict.fromkeys(effect.message_id for effect in effects)),
                tuple(chain.from_iterable(effect.call.records for effect in effects)),
            )
            for key, effects in _of(history, field)
            if (count := _payments(history, effects)) > 1
        ]

    promise = f"what one {field} names is done at most once, by any number of messages"
    return Invariant("paid-twice", promise, check, of_leases=True)


def none_left_out(field: str) -> Invariant:
    """Return the invariant that each order is done."""

    def check(history: History) -> list[Violation]:
        effects = dict(_of(history, field))
        return [
            Violation(f"{key} was ordered and never paid.", (key,), tuple(message_ids))
            for key, message_ids in messages_by(history, field).items()
            if not _may_be_paid(history, effects.get(key, ()))
        ]

    return Invariant("unpaid", f"what each {field} names is done", check, excusable=True, eventual=True)


def nothing_else(field: str) -> Invariant:
    """Return the invariant that nothing is done but what an order asks for, whatever key it is done under."""

    def check(history: History) -> list[Violation]:
        ordered = messages_by(history, field)
        effects = {id(effect.call) for _, mine in _of(history, field) for effect in mine}
        return [
            Violation(
                f"{effect.process} paid under the key {effect.key}, and no order asked for it.",
                (effect.key,),
                (effect.message_id,),
                effect.call.records,
            )
            for effect in history.effects
            if effect.status != "fail" and id(effect.call) not in effects and effect.key not in ordered
        ]

    return Invariant("unrequested-side-effect", f"nothing is done that no {field} asks for", check)


def messages_by(history: History, field: str) -> Mapping[str, Sequence[str]]:
    """Return the MessageIds of each order; a message that names none belongs to none.

    A message counts if its send was acknowledged or if it was received: a reply that was lost unsends nothing.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for message_id, body in history.bodies.items():
        with suppress(MalformedPayload):
            found[effect_key(parse_payload(body), "", field)].append(message_id)
    return found


def _payments(history: History, effects: Sequence[Effect]) -> int:
    """Return how often an order was surely paid, by the ledger's count of the keys under which it was.

    A key under which other orders were paid as well says nothing of this one; then its clients' word has to do.
    """
    count = 0
    for key in dict.fromkeys(effect.key for effect in effects):
        mine = [effect for effect in effects if effect.key == key]
        alone = len(mine) == sum(effect.status != "fail" for effect in history.effects_of[key])
        seen = sum(effect.status == "ok" and not effect.recognised for effect in mine)
        count += history.executions.get(key, 0) if alone else seen
    return count


def _may_be_paid(history: History, effects: Sequence[Effect]) -> bool:
    """Whether an order was paid; where the ledger was not read, an unknown outcome gets the benefit of the doubt."""
    return any(history.ledger is None or history.executions.get(effect.key) for effect in effects)


def _of(history: History, field: str) -> Sequence[tuple[str, list[Effect]]]:
    """Return the side effects that a consumer set out to cause for each order; one that surely failed is none."""
    order_of = {item: key for key, message_ids in messages_by(history, field).items() for item in message_ids}
    found: dict[str, list[Effect]] = defaultdict(list)
    for effect in history.effects:
        if effect.status != "fail" and effect.message_id in order_of:
            found[order_of[effect.message_id]].append(effect)
    return list(found.items())


def _causes(history: History, effects: Sequence[Effect]) -> Sequence[str]:
    return list(dict.fromkeys(history.name(effect.message_id) for effect in effects))
