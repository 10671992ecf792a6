"""Updates by version: what must hold of the state that they leave, and that they really came out of order.

What a message updates is read from its body, and the state from the table: a consumer's own word counts for nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from math import inf
from typing import NamedTuple

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, Delivery, History
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
    """Find entities whose state is older than the highest version that left the queue, or newer than any that was sent.

    An update that waits in a queue or in the dead-letter queue is another invariant's matter. It may have been written:
    a delete can fail, or come too late.
    """
    newest: dict[str, tuple[int, str]] = {}
    highest: dict[str, int] = {}
    for message_id, update in updates(history).items():
        highest[update.entity] = max(highest.get(update.entity, 0), update.version)
        if message_id in history.gone:
            newest[update.entity] = max(newest.get(update.entity, (0, "")), (update.version, message_id))
    there = _states(history)
    return [
        Violation(
            f"{entity} is at version {there.get(entity, 'none')}, and version {version} was sent.",
            (),
            (message_id,),
            tuple(chain.from_iterable(call.records for call in _writes(history).get(entity, ()))),
        )
        for entity, (version, message_id) in newest.items()
        if not version <= there.get(entity, 0) <= highest[entity]
    ]


def update_dropped(history: History) -> list[Violation]:
    """Find updates that were deleted before any write had been told of their version, or of a newer one.

    Who told it does not matter: an older update of a batch needs no write of its own once the newest one is written.
    """
    told, writes = updates(history), _writes(history)
    return [
        Violation(
            f"{history.name(message_id)} left the queue before any write had found {update.entity} at version "
            f"{update.version} or newer.",
            (history.messages[message_id].key,),
            (message_id,),
            tuple(chain.from_iterable(item.call.records for item in history.deletions_of.get(message_id, ()))),
        )
        for message_id, update in told.items()
        if message_id in history.messages
        and not history.messages[message_id].poison
        and message_id in history.gone
        and not any(_known(history, message_id, writes.get(update.entity, ()), update.version))
        and not any(_known(history, message_id, _reads(history, update.entity), update.version))
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
    """Find updates that never took, and left the queue because a newer version was known to be there."""
    writes = _writes(history)
    found: list[tuple[Update, Call]] = []
    for message_id, update in updates(history).items():
        tellers = (*writes.get(update.entity, ()), *_reads(history, update.entity))
        newer = list(_known(history, message_id, tellers, update.version + 1))
        took = any(
            call.arguments["version"] == update.version and call.status == "ok" and call.result["took"]
            for call in writes.get(update.entity, ())
        )
        if newer and not took and message_id in history.gone:
            own = [call for call in newer if call.arguments.get("version") == update.version]
            found.append((update, (own or newer)[0]))
    if not found:
        return None
    update, call = found[0]
    summary = (
        f"{times(len(found))}, e.g. {update.entity}: version {update.version}, when version {_version_told(call)} "
        "was there"
    )
    return Evidence(summary, len(found), call.records)


def find_raced(history: History) -> Evidence | None:
    """Find two writes of one entity, by two consumers, that were under way at the same time."""
    found = [
        (one, other)
        for calls in _writes(history).values()
        for place, one in enumerate(calls)
        for other in calls[place + 1 :]
        if other.process != one.process
        and other.started < one.ended
        and other.arguments["version"] != one.arguments["version"]
        and one.status == other.status == "ok"
    ]
    if not found:
        return None
    one, other = found[0]
    summary = (
        f"{times(len(found))}, e.g. {one.arguments['entity']}: version {one.arguments['version']} by {one.process} and "
        f"version {other.arguments['version']} by {other.process}"
    )
    return Evidence(summary, len(found), (*one.records, *other.records))


def find_overtaken_write(history: History) -> Evidence | None:
    """Find a write that was under way while another consumer wrote the newest version of its entity.

    Only a condition in the write itself keeps the older version from staying.
    """
    newest: dict[str, int] = defaultdict(int)
    for update in updates(history).values():
        newest[update.entity] = max(newest[update.entity], update.version)
    found = [
        (older, newer)
        for entity, calls in _writes(history).items()
        for newer in calls
        for older in calls
        if newer.arguments["version"] == newest[entity] > older.arguments["version"]
        and older.process != newer.process
        and newer.status == older.status == "ok"
        and older.started < newer.started
        and newer.ended < older.ended
    ]
    if not found:
        return None
    older, newer = found[0]
    summary = (
        f"{times(len(found))}, e.g. {older.arguments['entity']}: version {newer.arguments['version']} by "
        f"{newer.process} during the write of version {older.arguments['version']} by {older.process}"
    )
    return Evidence(summary, len(found), (*older.records, *newer.records))


def _known(history: History, message_id: str, writes: Iterable[Call], version: int) -> Iterator[Call]:
    """Yield the calls that were answered with this version or a newer one before any consumer deleted a message."""
    deletions = [item for item in history.deletions_of.get(message_id, ()) if item.status != "fail"]
    before = min((item.call.started for item in deletions), default=inf)
    for call in writes:
        if call.status == "ok" and call.ended <= before and _version_told(call) >= version:
            yield call


def _version_told(call: Call) -> int:
    """Return the version that was there by the answer to a write, or to a read of a program's; 0 for none."""
    return int(call.result or 0) if call.operation == "ReadState" else int(call.result["version"])


def _reads(history: History, entity: str) -> list[Call]:
    return [call for call in history.calls("ReadState") if call.arguments["entity"] == entity]


def _states(history: History) -> Mapping[str, int]:
    """Return the version of each entity, by the table; where it was not read, by the last write that was answered."""
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
    "update-dropped",
    "no update leaves the queue before its version or a newer one is known to be there",
    update_dropped,
)
OVERTAKEN = Witness("overtaken", "an update is received after a newer one of its entity", find_overtaken)
SUPERSEDED = Witness("superseded", "an older update finds a newer version there, and leaves it", find_superseded)
OVERTAKEN_WRITE = Witness(
    "overtaken-write",
    "an older update is being written while another consumer writes the newest one of its entity",
    find_overtaken_write,
)
#: By luck: two consumers meet in most runs, and not in each.
RACED = Witness("raced", "two consumers write versions of one entity at the same time", find_raced, required=False)
