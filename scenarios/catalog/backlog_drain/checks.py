"""A backlog and a freshness rule: what was stale is not done, what was fresh is, and each message is one or the other.

A message's age counts from the beginning of its first send, by the history's own clock. Consumers judge by wall
clocks, which may be wrong by a part of the visibility timeout (see docs/simulation.md), so what lies that close to the
limit may go either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from scenarios.checks.invariants import DELETED_BEFORE_DONE, Invariant, Violation, deleted_on_no_word
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Deletion, Delivery, Event, History
from services.consumer.patterns import Pattern

#: By this part of the visibility timeout the wall clocks of two machines may differ, with what lies between two steps.
TOLERANCE = 0.1


def stale_work(history: History) -> list[Violation]:
    """Find side effects of messages that were too old when they were received."""
    created = _created(history)
    limit = _max_age(history) + _tolerance(history)
    found = []
    for effect in history.effects:
        delivery = history.delivery_in_hand(effect)
        if effect.status != "ok" or delivery is None or effect.message_id not in created:
            continue
        age = delivery.time - created[effect.message_id]
        if age > limit:
            found.append(
                Violation(
                    f"{history.name(effect.message_id)} was {age:.1f} s old when {effect.process} received it, and "
                    f"was done; {_max_age(history):g} s are the limit.",
                    (effect.key,),
                    (effect.message_id,),
                    (*delivery.call.records, *effect.call.records),
                )
            )
    return found


def expired_too_early(history: History) -> list[Violation]:
    """Find messages that were let expire although they were fresh."""
    created = _created(history)
    limit = _max_age(history) - _tolerance(history)
    return [
        Violation(
            f"{history.name(record['message_id'])} was let expire when it was {age:.1f} s old.",
            (record["key"],),
            (record["message_id"],),
            (record,),
        )
        for record in _expired(history)
        if (age := record.time - created.get(record["message_id"], -inf)) < limit
    ]


def neither_done_nor_expired(history: History) -> list[Violation]:
    """Find good messages that are in no queue any more, were not done, and are not known to have expired."""
    expired = {record["key"] for record in _expired(history)}
    return [
        Violation(
            f"{history.name(message.message_id)} is in no queue, and was neither done nor let expire.",
            (message.key,),
            (message.message_id,),
            message.call.records,
        )
        for message in history.sends
        if not message.poison
        and message.key not in expired
        and not history.executions.get(message.key)
        and not history.in_flight(latest := history.latest(message.message_id))
        and latest not in history.dead_letters
    ]


def deleted_fresh(history: History) -> list[Violation]:
    """Find messages that were deleted while they were fresh, and when nothing said that they were done.

    A stale message may go although another consumer, which found it fresh a moment before, is still at work on it.
    """
    created = _created(history)
    limit = _max_age(history) - _tolerance(history)

    def was_fresh(deletion: Deletion) -> bool:
        return deletion.call.started - created.get(deletion.message_id, inf) < limit

    return deleted_on_no_word(history, was_fresh)


def find_piled_up(history: History) -> Evidence | None:
    """Find messages that had piled up by the first receive, the oldest of them beyond its age."""
    if not history.deliveries:
        return None
    first = history.deliveries[0]
    waited = [message for message in history.sends if message.call.ended < first.time]
    if not waited or first.time - waited[0].call.ended <= _max_age(history):
        return None
    summary = f"{len(waited)} messages, the oldest {first.time - waited[0].call.ended:.1f} s old at the first receive"
    return Evidence(summary, len(waited), (*waited[0].call.records, *first.call.records))


def find_drained_together(history: History) -> Evidence | None:
    """Find consumers that drained the backlog together: one began when another had not yet deleted its part."""
    first = history.deliveries[0].time if history.deliveries else 0.0
    waited = {message.message_id for message in history.sends if message.call.ended < first}
    by_process: dict[str, list[Delivery]] = {}
    for delivery in history.deliveries:
        if delivery.message_id in waited:
            by_process.setdefault(delivery.process, []).append(delivery)
    if len(by_process) < MANY:
        return None
    begun = sorted((items[0] for items in by_process.values()), key=lambda item: item.time)
    second = begun[1]
    others = [
        deletion.call.started
        for deletion in history.deletions
        if deletion.message_id in waited and deletion.process != second.process
    ]
    if max(others, default=0.0) < second.time:
        return None
    shares = ", ".join(f"{process} received {len(items)}" for process, items in by_process.items())
    return Evidence(f"of the backlog, {shares}", len(by_process), (*begun[0].call.records, *second.call.records))


def find_expired(history: History) -> Evidence | None:
    """Find messages that expired, were deleted, and had no side effect."""
    deleted = {item.message_id for item in history.deletions if item.status == "ok"}
    expired: dict[str, Event] = {
        record["key"]: record
        for record in _expired(history)
        if record["message_id"] in deleted and not history.executions.get(record["key"])
    }
    if not expired:
        return None
    first = next(iter(expired.values()))
    age = first.time - _created(history)[first["message_id"]]
    summary = (
        f"{len(expired)} of {len(history.sends)} messages, e.g. {history.name(first['message_id'])}, {age:.1f} s old"
    )
    return Evidence(summary, len(expired), (first,))


def find_fresh_done(history: History) -> Evidence | None:
    """Find messages that were done in time, once the consumers were back."""
    created = _created(history)
    done = [
        effect
        for effect in history.effects
        if effect.status == "ok" and effect.call.started - created.get(effect.message_id, -inf) <= _max_age(history)
    ]
    if not done:
        return None
    age = done[-1].call.started - created[done[-1].message_id]
    summary = f"{times(len(done))}, e.g. {history.name(done[-1].message_id)}, {age:.2f} s old"
    return Evidence(summary, len(done), done[-1].call.records)


def _expired(history: History) -> Sequence[Event]:
    """Return the notes of what consumers let expire; where there is none, a delete without a side effect stands for it.

    Who deletes without a word may have found the message stale at any time until then.
    """
    noted = history.events("expired")
    keys = {record["key"] for record in noted}
    return [
        *noted,
        *(
            Event({**deletion.call.invoke, "message_id": message.message_id, "key": message.key})
            for message in history.messages.values()
            if not message.poison and message.key not in keys and not history.executions.get(message.key)
            for deletion in history.deletions_of.get(message.message_id, ())
            if deletion.status != "fail"
        ),
    ]


#: How many consumers are several.
MANY = 2


def _max_age(history: History) -> float:
    """Return the rule's limit, in seconds; infinite for a run that has none."""
    return float(history.facts.parameters.get("max_age", inf))


def _tolerance(history: History) -> float:
    return TOLERANCE * history.facts.visibility_timeout


def _created(history: History) -> Mapping[str, float]:
    """Return when the first send of each message began: a body that is offered again is the same message."""
    offered: dict[str, float] = {}
    for call in history.calls("Send"):
        for message in call.arguments["messages"]:
            offered.setdefault(message["body"], call.started)
    return {message_id: offered[body] for message_id, body in history.bodies.items() if body in offered}


STALE_WORK = Invariant(
    "stale-work",
    "no message that is stale when it is received has a side effect",
    stale_work,
    pattern=Pattern.FRESHNESS,
)
EXPIRED_TOO_EARLY = Invariant("expired-too-early", "no fresh message is let expire", expired_too_early)
NEITHER_DONE_NOR_EXPIRED = Invariant(
    "neither-done-nor-expired",
    "each message is done or known to have expired",
    neither_done_nor_expired,
    eventual=True,
)
DELETED_FRESH = replace(DELETED_BEFORE_DONE, check=deleted_fresh)
PILED_UP = Witness("piled-up", "messages pile up until the first of them are stale", find_piled_up)
DRAINED_TOGETHER = Witness("drained-together", "several consumers drain at once", find_drained_together)
EXPIRED = Witness(
    "expired", "stale messages are acknowledged, noted, and not done", find_expired, pattern=Pattern.FRESHNESS
)
FRESH_DONE = Witness("fresh-done", "fresh messages are done in time", find_fresh_done, pattern=Pattern.FRESHNESS)
