"""Invariants and witnesses of side-effects alone."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History
from services.consumer.patterns import Pattern


def find_found_in_ledger(history: History) -> Evidence | None:
    """Find a look-up that found the side effect of another process, one that never came to its bookkeeping."""
    completed = {(item.key, item.process) for item in history.completions if item.accepted}
    found = [
        (effect, call)
        for key, calls in history.found_in_ledger.items()
        for call in calls
        for effect in history.effects_of.get(key, ())[:1]
        if effect.process != call.process and (effect.key, effect.process) not in completed
    ]
    if not found:
        return None
    effect, call = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name(effect.message_id)}: {effect.process} caused its side effect and "
        f"died, {call.process} found it in the ledger"
    )
    return Evidence(summary, len(found), (*effect.call.records, *call.records))


FOUND_IN_LEDGER = Witness(
    "found-in-ledger",
    "a side effect without its bookkeeping is found in the ledger",
    find_found_in_ledger,
    reads=("LookUpSideEffect", "Complete"),
    pattern=Pattern.LEDGER_LOOK,
)
