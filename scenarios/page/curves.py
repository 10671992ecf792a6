"""The curves of a report: how many messages wait, how many are in somebody's hands, and how old the oldest is."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from scenarios.history import History

#: Points on a curve.
POINTS = 240


def curves_of(history: History, origin: float, end: float) -> dict[str, Any]:
    """Return the curves as lists of equal length: times, messages in the queue, the oldest one's age in seconds.

    They come from the history and not from the queue's own counts, which are approximate.
    """
    settled = settled_at(history)
    lives = sorted(
        (message.call.ended, settled.get(message.message_id, float("inf")))
        for message in history.messages.values()
        if message.acknowledged
    )
    begins = [begin for begin, _ in lives]
    ends = sorted(over for _, over in lives)
    step = (end - origin) / (POINTS - 1) or 1.0
    times = [origin + number * step for number in range(POINTS)]
    waiting = [bisect_right(begins, time) - bisect_right(ends, time) for time in times]
    ages: list[float] = []
    oldest = 0
    for time in times:
        # Who is settled stays so: the oldest one is never before where it was.
        while oldest < len(lives) and lives[oldest][1] <= time:
            oldest += 1
        age = time - lives[oldest][0] if oldest < len(lives) else 0.0
        ages.append(round(max(0.0, age), 2))
    return {"times": [round(time - origin, 3) for time in times], "waiting": waiting, "age": ages}


def settled_at(history: History) -> dict[str, float]:
    """Return when each message left the queue under study: deleted, or dead-lettered."""
    found: dict[str, float] = {}
    if history.has_endpoint:
        for record in history.endpoint("deleted"):
            found.setdefault(record["message_id"], float(record["time"]))
    else:
        for deletion in history.deletions:
            if deletion.status == "ok" and deletion.message_id in history.gone:
                found.setdefault(deletion.message_id, deletion.call.ended)
    for message_id, records in history.dead_letters.items():
        # A dead letter is received and deleted by the lab when all is over; it left the queue when it was moved.
        found[message_id] = float(records[0]["time"])
    return found
