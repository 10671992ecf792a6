"""Witness of late requests: a call timed out, the work was done by another call, and then the first one arrived."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History, Record, pointer_of
from services.injection import ARRIVED_LATE
from services.operations import STALE_TOKEN


def has_arrived(history: History) -> bool:
    """Tell whether each late request that the story asked for has arrived."""
    planned = {strike.call.pointer for strike in history.faults if strike.planned and strike.kind == "late-request"}
    arrived = {pointer_of(record) for record in history.events(ARRIVED_LATE)}
    return bool(planned) and planned <= arrived


def find_outrun(history: History) -> Evidence | None:
    """Find a request for a side effect that arrived after another call had caused it."""
    found = []
    for record in history.events(ARRIVED_LATE):
        effects = history.effects_of.get(record.get("key", ""), ())
        late = next((it for it in effects if _is(it.call.invoke, record)), None)
        before = [it for it in effects if it.status == "ok" and it.call.ended < record.time]
        # A system that compares tokens refuses it: then it arrived all the same.
        if late is not None and before and record.get("error", STALE_TOKEN) == STALE_TOKEN:
            found.append((record, late, before[0]))
    if not found:
        return None
    record, late, done = found[0]
    after = record.time - late.call.ended
    summary = (
        f"{times(len(found))}, e.g. {history.name(late.message_id)}: {late.process} heard of a timeout, {done.process} "
        f"did it, and the first request arrived {after:.2f} s after its timeout"
    )
    return Evidence(summary, len(found), (*late.call.records, *done.call.records, record))


def _is(invoke: Record, arrival: Record) -> bool:
    return pointer_of(invoke) == pointer_of(arrival)


OUTRUN = Witness(
    "late-request-outrun",
    "a call times out, another one does the work, and then the first request takes effect",
    find_outrun,
)
