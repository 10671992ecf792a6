"""The curves of a report: what flows through the queue, how many messages are in it, and how old the oldest is.

They come from the history and not from the queue's own counts, which are approximate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scenarios.history import History
from scenarios.report.html.rows import MessageOutcomes, Span

#: Points on a curve.
POINTS = 240
#: What every event says of itself; the number of an event ``scaled`` is what it says besides.
_OF_EVERY_EVENT = frozenset({"time", "process", "index", "type", "event"})


def curves_of(history: History, origin: float, end: float, outcomes: MessageOutcomes) -> dict[str, list[float]]:
    """Return the curves as lists of equal length, over ``times`` in seconds from the beginning of the run.

    Counts of messages since the beginning: ``sent``, ``done`` (side effects), ``over`` (out of the queue). Messages at
    a time: ``waiting`` (in the queue), ``held`` (of those, in flight). Seconds: ``age``, of the
    oldest in the queue.

    Args:
        history: of the run.
        origin: the time at which the run began.
        end: the time at which it ended.
        outcomes: what became of the messages.
    """
    settled, spans = outcomes
    step = (end - origin) / (POINTS - 1) or 1.0
    times = [origin + number * step for number in range(POINTS)]
    lives = sorted(
        (history.arrived(message), settled.get(message.message_id, float("inf")))
        for message in history.messages.values()
        if message.acknowledged
    )
    sent = _counted((begin for begin, _ in lives), times)
    over = _counted((over for _, over in lives), times)
    taken = [_merged(found) for found in spans.values()]
    begun = _counted((begin for each in taken for begin, _ in each), times)
    given_back = _counted((back for each in taken for _, back in each), times)
    return {
        "times": [round(time - origin, 4) for time in times],
        "sent": sent,
        "done": _counted((effect.call.ended for effect in history.effects if effect.status == "ok"), times),
        "over": over,
        "waiting": [max(0.0, came - went) for came, went in zip(sent, over, strict=True)],
        "held": [max(0.0, took - gave) for took, gave in zip(begun, given_back, strict=True)],
        "age": _ages(lives, times),
    }


def consumers_of(history: History, origin: float, end: float) -> dict[str, list[float]] | None:
    """Return how many consumers ran, as steps: ``times`` and ``running``; None where they were not scaled.

    A scenario that scales its consumers records an event ``scaled`` with their new number, under any name.
    """
    steps = [(record.time, number) for record in history.events("scaled") if (number := _number_in(record)) is not None]
    if not steps:
        return None
    return {
        "times": [*(round(time - origin, 4) for time, _ in steps), round(end - origin, 4)],
        "running": [*(number for _, number in steps), steps[-1][1]],
    }


def _number_in(record: Mapping[str, Any]) -> int | None:
    """Return the new number of consumers; where an event says several numbers, the one called ``consumers``."""
    numbers = {
        name: value
        for name, value in record.items()
        if name not in _OF_EVERY_EVENT and isinstance(value, int) and not isinstance(value, bool)
    }
    return numbers.get("consumers", next(iter(numbers.values()), None))


def _counted(moments: Iterable[float], times: Sequence[float]) -> list[float]:
    """Return how many moments have come by each time."""
    ordered = sorted(moments)
    return [bisect_right(ordered, time) for time in times]


def _merged(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """Return the spans of a message, those that overlap as one: it is in flight, or it is not."""
    found: list[tuple[float, float]] = []
    for _, begin, end in sorted(spans, key=lambda span: span.begin):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def _ages(lives: Sequence[tuple[float, float]], times: Sequence[float]) -> list[float]:
    ages: list[float] = []
    oldest = 0
    for time in times:
        # Who is settled stays so: the oldest one is never before where it was.
        while oldest < len(lives) and lives[oldest][1] <= time:
            oldest += 1
        age = time - lives[oldest][0] if oldest < len(lives) else 0.0
        ages.append(round(max(0.0, age), 3))
    return ages
