"""Redrives: what came back from the dead-letter queue came back as another message, and nothing is left behind.

An endpoint that records its moves says which MessageId became which; see ``History.redriven``.
"""

from __future__ import annotations

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Effect, History


def left_in_dead_letter_queue(history: History) -> list[Violation]:
    """Find messages that are in the dead-letter queue in the end."""
    return [
        Violation(
            f"{history.name(message_id)} is in the dead-letter queue at the end.",
            (history.messages[message_id].key,) if message_id in history.messages else (),
            (message_id,),
            tuple(records),
        )
        for message_id, records in history.dead_letters.items()
        if history.latest(message_id) == message_id
    ]


def find_moved_back(history: History) -> Evidence | None:
    """Find a move task that completed, and the messages that came back by it, each under a new MessageId."""
    ended = [record for record in history.events("redriven") if record["status"] == "COMPLETED"]
    received = [new for new in history.redriven if new in history.deliveries_of]
    if not ended or not received:
        return None
    moved = history.redriven[received[0]]
    summary = (
        f"{len(received)} messages, e.g. {history.name(moved['message_id'])}: dead-lettered as "
        f"{moved['message_id'][:8]}, received again as {received[0][:8]}"
    )
    again = history.deliveries_of[received[0]][0].call
    return Evidence(summary, len(received), (moved, ended[0], *again.records))


def find_done_before_the_redrive(history: History) -> Evidence | None:
    """Find messages whose side effect was caused before they were dead-lettered, and which were moved back."""
    found = [(effects[0], new) for new, effects in _before(history) if effects]
    if not found:
        return None
    effect, new = found[0]
    moved = history.redriven[new]
    summary = (
        f"{times(len(found))}, e.g. {history.name(effect.message_id)}: {effect.process} caused its side effect "
        f"{float(moved['time']) - effect.call.ended:.1f} s before it was moved back"
    )
    return Evidence(summary, len(found), (*effect.call.records, moved))


def find_done_by_the_fix(history: History) -> Evidence | None:
    """Find messages that no consumer could handle before they were dead-lettered, and that were done afterwards."""
    found = []
    for new, before in _before(history):
        after = [item for item in history.effects_for.get(new, ()) if item.status == "ok"]
        if after and not before:
            found.append(after[0])
    if not found:
        return None
    effect = found[0]
    summary = f"{times(len(found))}, e.g. {history.name(effect.message_id)} by {effect.process}"
    return Evidence(summary, len(found), (history.redriven[effect.message_id], *effect.call.records))


def _before(history: History) -> list[tuple[str, list[Effect]]]:
    """Return each MessageId that a redrive gave, with the side effects of the message under its former one."""
    return [
        (
            new,
            [item for item in history.effects_for.get(record["message_id"], ()) if item.status == "ok"],
        )
        for new, record in history.redriven.items()
    ]


LEFT_IN_DEAD_LETTER_QUEUE = Invariant(
    "left-in-dead-letter-queue",
    "the dead-letter queue is empty at the end",
    left_in_dead_letter_queue,
    excusable=True,
    eventual=True,
)
MOVED_BACK = Witness(
    "moved-back", "a message move task completes, and what it moved comes under a new MessageId", find_moved_back
)
DONE_BEFORE_THE_REDRIVE = Witness(
    "done-before-the-redrive",
    "a message is dead-lettered although its side effect was caused, and is moved back",
    find_done_before_the_redrive,
)
DONE_BY_THE_FIX = Witness(
    "done-by-the-fix", "what no consumer could handle before is done after the redrive", find_done_by_the_fix
)
