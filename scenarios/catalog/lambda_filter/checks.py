"""Filters: what an event source mapping deletes without an invocation."""

from __future__ import annotations

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import History, SentMessage
from services.payload import MalformedPayload, parse_payload

#: The payload field that a filter reads, and the kind of message that no function is to be bothered with.
FIELD, NOISE = "kind", "audit"


def is_noise(history: History, message: SentMessage) -> bool:
    """Return whether a message is one that the filter is there to keep away."""
    try:
        return parse_payload(history.bodies.get(message.message_id, "")).get(FIELD) == NOISE
    except MalformedPayload:
        return False


def work_filtered(history: History) -> list[Violation]:
    """Find messages that ask for work, were never done, and are nowhere any more."""
    return [
        Violation(
            f"{history.name(message.message_id)} asks for work, and the event source mapping deleted it unseen.",
            (message.key,),
            (message.message_id,),
            message.call.records,
        )
        for message in history.sends
        if not is_noise(history, message)
        and not history.executions.get(message.key)
        and not history.in_flight(message.message_id)
        and message.message_id not in history.dead_letters
    ]


WORK_FILTERED = Invariant("work-filtered", "no filter deletes a message that asks for work", work_filtered)


def find_noise_filtered(history: History) -> Evidence | None:
    """Find messages that the filter was to keep away, and that were deleted without an invocation."""
    noise = {message.message_id for message in history.sends if is_noise(history, message)}
    filtered = [record for record in history.events("messages-filtered") if noise & set(record["messages"])]
    if not filtered:
        return None
    count = sum(len(noise & set(record["messages"])) for record in filtered)
    summary = f"{count} of {len(noise)} messages that are not for the function, deleted without an invocation"
    return Evidence(summary, count, (filtered[0],))


NOISE_FILTERED = Witness(
    "noise-filtered", "the mapping deletes without an invocation what its filter keeps away", find_noise_filtered
)
