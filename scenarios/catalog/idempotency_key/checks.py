"""Witness of idempotency keys: a call was done, its caller never heard, and the API knew the next one."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History
from services.consumer.patterns import Pattern


def find_recognised_after_a_lost_reply(history: History) -> Evidence | None:
    """Find a call that was done and whose reply was lost, and a later one with the same key that was recognised."""
    found = []
    for strike in history.faults:
        lost = strike.call
        if strike.kind != "reply-lost" or lost.operation != "CallApi":
            continue
        repeats = [
            call
            for call in history.calls("CallApi")
            if call.arguments["idempotency_key"] == lost.arguments["idempotency_key"]
            and call.started > lost.ended
            and call.result is not None
            and call.result["recognised"]
        ]
        found += [(lost, call) for call in repeats[:1]]
    if not found:
        return None
    lost, again = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name(lost.arguments['message_id'])}: {lost.process} heard of a timeout, "
        f"{again.process} called again {again.started - lost.ended:.2f} s later, and the API knew the key"
    )
    return Evidence(summary, len(found), (*lost.records, *again.records))


RECOGNISED_AFTER_A_LOST_REPLY = Witness(
    "recognised-after-a-lost-reply",
    "a call is done and its reply lost, and the API recognises the next one by its key",
    find_recognised_after_a_lost_reply,
    pattern=Pattern.IDEMPOTENCY_KEY,
)
