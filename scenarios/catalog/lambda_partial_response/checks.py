"""Partial batch responses: what one invocation names as failed, and what the mapping deletes of its batch."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History


def find_named_in_the_answer(history: History) -> Evidence | None:
    """Find invocations whose answer names a part of the batch, and of which just the rest is deleted."""
    found = []
    for call in history.calls("InvokeFunction"):
        failed = set((call.result or {}).get("failed", ()))
        good = [item for item in call.arguments["messages"] if item not in failed]
        deleted = {
            item.message_id for item in history.deletions if item.status == "ok" and item.process == call.process
        }
        if failed and good and set(good) <= deleted and not failed & deleted:
            found.append((call, good, failed))
    if not found:
        return None
    call, good, failed = found[0]
    summary = f"{times(len(found))}, e.g. {len(failed)} of {len(good) + len(failed)} named, and the others deleted"
    return Evidence(summary, len(found), call.records)


NAMED_IN_THE_ANSWER = Witness(
    "named-in-the-answer",
    "a batch holds good and bad messages; the answer names the bad ones, and just the good ones are deleted",
    find_named_in_the_answer,
    reads=("InvokeFunction",),
)
