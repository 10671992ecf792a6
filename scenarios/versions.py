"""Updates by version: what must hold of the state that they leave, and that they really came out of order.

What a message updates is read from its body, and the state from the table: a consumer's own word counts for nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from scenarios.history import Call, Delivery, History
from scenarios.invariants import Invariant, Violation
from scenarios.witnesses import Evidence, Witness, times
from services.payload import MalformedPayload, parse_payload, update_of


class Update(NamedTuple):
    """What a message says: that an entity has come to a version."""

    entity: str
    version: int


def updates(history: History) -> Mapping[str, Update]:
    """Return what each message says, by its MessageId; a message that is no update is not among them."""
    found: dict[str, Update] = {}
    for message_id, body in history.bodies.items():
        with suppress(MalformedPayload):
            found[message_id] = Update(*update_of(parse_payload(body)))
    return found


def stale_state(history: History) -> list[Violation]:
    """Find entities whose state is not that of the highest version that left the queue.

    An update that waits in a queue or in the dead-letter queue is another invariant's matter.
    """
    newest: dict[str, tuple[int, str]] = {}
    for message_id, update in updates(history).items():
        if message_id in history.gone:
            newest[update.entity] = max(newest.get(update.entity, (0, "")), (update.version, message_id))
    there = _states(history)
    return [
        Violation(
            "stale-state",
            f"{entity} is at version {there.get(entity, 'none')}, and version {version} was sent.",
            (),
            (message_id,),
            tuple(chain.from_iterable(call.records for call in _writes(history).get(entity, ()))),
        )
        for entity, (version, message_id) in newest.items()
        if there.get(entity) != version
    ]


def update_dropped(history: History) -> list[Violation]:
    """Find updates that left the queue although nobody had written them, or found a newer version in their place."""
    weighed = {call.arguments["message_id"] for call in history.calls("WriteState") if call.status == "ok"}
    weighed_keys = {history.messages[item].key for item in weighed if item in history.messages}
    return [
        Violation(
            "update-dropped",
            f"{history.name(message.message_id)} left the queue, and was neither written nor found superseded.",
            (message.key,),
            (message.message_id,),
            tuple(chain.from_iterable(item.call.records for item in history.deletions_of.get(message.message_id, ()))),
        )
        for message in history.messages.values()
        if not message.poison and message.message_id in history.gone and message.key not in weighed_keys
    ]


def find_overtaken(history: History) -> Evidence | None:
    """Find updates that were received after a newer one of their entity."""
    told = updates(history)
    furthest: dict[str, tuple[int, Delivery]] = {}
    found: list[tuple[Delivery, Delivery]] = []
    for delivery in history.deliveries:
        update = told.get(delivery.message_id)
        if update is None:
            continue
        version, newer = furthest.get(update.entity, (0, delivery))
        if update.version < version:
            found.append((newer, delivery))
        else:
            furthest[update.entity] = (update.version, delivery)
    if not found:
        return None
    newer, older = found[0]
    first = sum(delivery.receive_count == 1 for _, delivery in found)
    summary = (
        f"{times(len(found))}, {first} of them at the first receive, e.g. {told[older.message_id].entity}: version "
        f"{told[older.message_id].version} after version {told[newer.message_id].version}"
    )
    return Evidence(summary, len(found), (*newer.call.records, *older.call.records))


def find_superseded(history: History) -> Evidence | None:
    """Find writes that were refused because a newer version was there."""
    found = [
        call
        for call in history.calls("WriteState")
        if call.status == "ok" and not call.result["took"] and call.result["version"] > call.arguments["version"]
    ]
    if not found:
        return None
    call = found[0]
    entity, version = call.arguments["entity"], call.arguments["version"]
    summary = f"{times(len(found))}, e.g. {entity}: version {version}, when version {call.result['version']} was there"
    return Evidence(summary, len(found), call.records)


def _states(history: History) -> Mapping[str, int]:
    """Return the version of each entity, by the table; where nobody read it, by the last write that was answered."""
    if history.states is not None:
        return history.states
    answered = {entity: [call for call in calls if call.status == "ok"] for entity, calls in _writes(history).items()}
    return {entity: calls[-1].result["version"] for entity, calls in answered.items() if calls}


def _writes(history: History) -> Mapping[str, list[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls("WriteState"):
        found[call.arguments["entity"]].append(call)
    return found


STALE_STATE = Invariant("stale-state", "the state of each entity is that of the highest version sent", stale_state)
UPDATE_DROPPED = Invariant(
    "update-dropped", "no update leaves the queue before it is written or found superseded", update_dropped
)
OVERTAKEN = Witness("overtaken", "an update is received after a newer one of its entity", find_overtaken)
SUPERSEDED = Witness("superseded", "a write finds a newer version there, and leaves it", find_superseded)
