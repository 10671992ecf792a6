"""Invariant and witnesses of schema evolution: what is charged is what was meant, by whichever versions met.

What a message means is read here from its body, by a table of the judge's own. A consumer says in its ``charges``
events how it has read a message, and up to which version it knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Event, History


class Reading(NamedTuple):
    """A message as a consumer has read it, and as it was sent."""

    record: Event
    body: Mapping[str, Any]
    message_id: str
    process: str
    knows: int

    @property
    def version(self) -> int:
        """The version of the message."""
        return int(self.body.get("schema", 1))


def meant(body: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return cents and currency of a message; None for a version that no consumer here can know."""
    match body.get("schema", 1):
        case 1:
            return body["amount"] * 100, "EUR"
        case 2:
            return body["amount_cents"], body["currency"]
    return None


def misread(history: History) -> list[Violation]:
    """Find messages of which a consumer charged something else than they mean."""
    return [
        Violation(
            f"{reading.process} charged {said[0]} cents {said[1]} for {history.name(reading.message_id)}, "
            + (f"which means {wanted[0]} cents {wanted[1]}." if wanted else "of which it could know nothing."),
            (reading.record["key"],),
            (reading.message_id,),
            (reading.record,),
        )
        for reading in _readings(history)
        for said, wanted in [((reading.record["cents"], reading.record["currency"]), meant(reading.body))]
        if said != wanted
    ]


def find_upcast(history: History) -> Evidence | None:
    """Find messages that a consumer of a newer version has read."""
    found = [reading for reading in _readings(history) if reading.version < reading.knows]
    return _evidence(history, found, "is of version {version}, and {process} knows {knows}")


def ignored(field: str) -> Witness:
    """A consumer has read a message with a field that its version does not know."""

    def find(history: History) -> Evidence | None:
        found = [reading for reading in _readings(history) if field in reading.body]
        return _evidence(history, found, f"has a {field!r} of which {{process}} knows nothing")

    return Witness("unknown-field-ignored", "a message with an unknown field is done all the same", find)


def find_side_by_side(history: History) -> Evidence | None:
    """Find that a consumer of a newer version did a message while one of an older version, with its own, still ran."""
    readings = list(_readings(history))
    for new in readings:
        for old in readings:
            end = history.exits.get(old.process)
            ran_on = end is None or end.time > new.record.time
            if old.knows < new.knows and old.record.time < new.record.time and ran_on:
                summary = f"{new.process} (version {new.knows}) began while {old.process} (version {old.knows}) ran"
                return Evidence(summary, 1, (old.record, new.record))
    return None


def find_newer_version_kept(history: History) -> Evidence | None:
    """Find messages from the future that no consumer charged, and whose bodies were dead-lettered as sent."""
    sent = {
        entry["message_id"]: call.arguments["messages"][entry["entry"]]["body"]
        for call in history.calls("Send")
        for entry in (call.result or {}).get("sent", ())
    }
    charged = {reading.message_id for reading in _readings(history)}
    found = [
        delivery
        for delivery in history.dead_letter_deliveries
        if delivery.body == sent.get(delivery.message_id)
        and meant(json.loads(delivery.body)) is None
        and delivery.message_id not in charged
    ]
    if not found:
        return None
    version = json.loads(found[0].body)["schema"]
    summary = f"{len(found)} messages, e.g. one of version {version}, in the dead-letter queue as it was sent"
    return Evidence(summary, len(found), found[0].call.records)


def _readings(history: History) -> Iterable[Reading]:
    for record in history.events("charges"):
        for delivery in history.deliveries_of.get(record["message_id"], ())[:1]:
            yield Reading(record, json.loads(delivery.body), record["message_id"], record.process, record["knows"])


def _evidence(history: History, found: list[Reading], words: str) -> Evidence | None:
    if not found:
        return None
    first = found[0]
    said = words.format(version=first.version, process=first.process, knows=first.knows)
    summary = f"{len(found)} messages, e.g. {history.name(first.message_id)} {said}"
    return Evidence(summary, len(found), (first.record,))


MISREAD = Invariant("misread", "what is charged for a message is what its producer meant", misread)
UPCAST = Witness("upcast", "a message of an older version is read by a newer consumer", find_upcast)
SIDE_BY_SIDE = Witness("side-by-side", "consumers of two versions are at work together", find_side_by_side)
NEWER_VERSION_KEPT = Witness(
    "newer-version-kept", "a message from the future is dead-lettered as it was sent", find_newer_version_kept
)
