"""The witness of head-given-back alone."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, Delivery, History, SentMessage
from services.consumer.patterns import Pattern


def find_head_taken_over(history: History) -> Evidence | None:
    """Find a failed head that one consumer gave back, and another received while the first held the rest of its group.

    The first consumer holds a later message from its receive until it deletes it or makes it visible again.
    """
    found = [
        (head, call, taken, held)
        for call in history.calls("ChangeVisibility")
        if call.status == "ok" and call.arguments["timeout"] == 0
        for head in _failed_heads(history, call)
        for taken in _taken_by_another(history, head, call)
        if (held := _held_behind(history, head, call.process, taken.time))
    ]
    if not found:
        return None
    head, call, taken, held = found[0]
    summary = (
        f"{times(len(found))}, e.g. {call.process} gave back {history.name(head.message_id)} of group {head.group}; "
        f"{taken.process} received it while {call.process} held {', '.join(map(history.name, held))} behind it"
    )
    return Evidence(summary, len(found), (*call.records, *taken.call.records))


def _failed_heads(history: History, call: Call) -> Iterable[SentMessage]:
    """Yield the messages of a call whose side effect the same consumer failed to cause before."""
    for message_id in call.arguments["messages"]:
        message = history.messages.get(message_id)
        if message is None or message.group is None:
            continue
        tries = history.effects_of.get(message.key, ())
        if any(
            effect.status == "fail" and effect.process == call.process and effect.call.ended <= call.started
            for effect in tries
        ):
            yield message


def _taken_by_another(history: History, head: SentMessage, call: Call) -> Iterable[Delivery]:
    """Yield the first delivery of a head after it was given back, if another consumer received it."""
    later = [item for item in history.deliveries_of.get(head.message_id, ()) if item.time > call.started]
    yield from (item for item in later[:1] if item.process != call.process)


def _held_behind(history: History, head: SentMessage, process: str, moment: float) -> list[str]:
    """Return the later messages of a head's group that a consumer holds at a moment."""
    ends = [
        call
        for operation in ("Delete", "ChangeVisibility")
        for call in history.calls(operation)
        if call.process == process and call.arguments.get("timeout", 0) == 0
    ]
    held = []
    for message in history.messages.values():
        if message.group != head.group or message.position <= head.position:
            continue
        received = [
            item.time
            for item in history.deliveries_of.get(message.message_id, ())
            if item.process == process and item.time < moment
        ]
        if not received:
            continue
        let_go = min(
            (
                call.started
                for call in ends
                if message.message_id in call.arguments["messages"] and call.started > received[-1]
            ),
            default=inf,
        )
        if let_go > moment:
            held.append(message.message_id)
    return held


HEAD_TAKEN_OVER = Witness(
    "head-taken-over",
    "a failed head is given back, and another consumer receives it while the first holds the rest of its group",
    find_head_taken_over,
    pattern=Pattern.GROUPS_IN_A_BATCH,
)
