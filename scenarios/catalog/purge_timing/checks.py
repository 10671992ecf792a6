"""What a purge takes: the messages that were there, and some of those that are sent while it goes on.

A message that was sent, acknowledged and not there any more, although no consumer received it, was purged:

    sent        before PurgeQueue │ within 60 s of it                │ later
    purged      all of them       │ each may be, silently            │ none
                                  └─────── the danger window ────────┘

What a sender counts on is told by a field of the payload, so a sender that does not wait is judged by what it lost.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from scenarios.checks.business import messages_by
from scenarios.checks.invariants import Invariant, Violation, lost
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Call, History, SentMessage
from services.producer.producer import PURGE_SECONDS

#: The payload field that says what a message is for.
PURPOSE = "purpose"
#: Messages that are left over in the queue.
LEFTOVER = "leftover"
#: What is sent to see what becomes of it.
PROBE = "probe"
#: Messages that must arrive.
WORK = "work"


def work_lost(history: History) -> list[Violation]:
    """Find messages that must arrive, and that are lost."""
    counted_on = frozenset(messages_by(history, PURPOSE).get(WORK, ()))
    return [
        replace(
            violation,
            summary=f"message #{history.messages[message_id].sequence} was sent{_when(history, message_id)}, "
            "acknowledged, never done, and is in no queue.",
        )
        for violation in lost(history)
        for message_id in violation.message_ids
        if message_id in counted_on
    ]


def _when(history: History, message_id: str) -> str:
    purge = _last_purge(history)
    sent = history.messages[message_id].call.started
    return f" {sent - purge.ended:.1f} s after the purge was asked for" if purge and sent > purge.started else ""


def find_danger_window(history: History) -> Evidence | None:
    """Find messages that were purged although they were sent after the call; say when, and what else was."""
    purge = _last_purge(history)
    if purge is None:
        return None
    purged = {message_id for violation in lost(history) for message_id in violation.message_ids}
    end = purge.ended + PURGE_SECONDS
    before = [message for message in history.sends if message.call.ended <= purge.started]
    within = [message for message in history.sends if purge.started < message.call.ended and message.call.started < end]
    later = [message for message in history.sends if message.call.started >= end]
    results = [message for message in within if message.message_id in purged]
    if not results:
        return None
    last = max(results, key=lambda message: message.call.started)
    summary = (
        f"purged of those sent before the call: {_share(before, purged)}; within {PURGE_SECONDS:g} s of it: "
        f"{_share(within, purged)}, the last one {last.call.started - purge.ended:.1f} s after it; "
        f"later: {_share(later, purged)}"
    )
    taken = history.purged.get(last.message_id)
    records = (*purge.records, *last.call.records, *((taken,) if taken else ()))
    return Evidence(summary, len(results), records)


def _share(messages: Sequence[SentMessage], purged: set[str]) -> str:
    return f"{sum(message.message_id in purged for message in messages)} of {len(messages)}"


def _last_purge(history: History) -> Call | None:
    """Return the last purge that was answered; one whose answer was lost is asked for again."""
    answered = [call for call in history.calls("Purge") if call.status == "ok"]
    return answered[-1] if answered else None


def find_leftovers_purged(history: History) -> Evidence | None:
    """Find that all of what was left over was purged, and nothing of it done."""
    leftovers = messages_by(history, PURPOSE).get(LEFTOVER, ())
    purged = {message_id for violation in lost(history) for message_id in violation.message_ids}
    if not leftovers or not purged.issuperset(leftovers):
        return None
    records = chain.from_iterable(call.records for call in history.calls("Purge"))
    return Evidence(f"{len(leftovers)} of {len(leftovers)} messages", len(leftovers), tuple(records))


WORK_LOST = Invariant("work-lost", "no message that must arrive is lost", work_lost)
DANGER_WINDOW = Witness(
    "danger-window", "messages that are sent after the purge was asked for go with the others", find_danger_window
)
LEFTOVERS_PURGED = Witness("leftovers-purged", "all that was in the queue before is purged", find_leftovers_purged)
