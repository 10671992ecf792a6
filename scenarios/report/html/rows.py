"""The messages of a report: for each a row with its deliveries, its side effects and its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

from scenarios.history import Call, Delivery, History, SentMessage

#: The part of a delivery that others can overlap: its end is as the queue has it, its begin as its receiver, later.
SURE = 0.9
#: The most messages that get a row.
MOST_ROWS = 2000


class Span(NamedTuple):
    """For how long a delivery kept a message from others."""

    delivery: Delivery
    begin: float
    end: float


class Track(NamedTuple):
    """Where a delivery is drawn among those of the same message that it overlaps.

    Attributes:
        number: from 0.
        of: how many there are side by side.
    """

    number: int
    of: int


class MessageOutcomes(NamedTuple):
    """What became of the messages, each by its MessageId.

    Attributes:
        settled: when it left the queue; a message that is still there has no entry.
        spans: for how long its deliveries kept it from others.
    """

    settled: Mapping[str, float]
    spans: Mapping[str, Sequence[Span]]


def fates_of(history: History) -> MessageOutcomes:
    """Return what became of the messages."""
    settled = _settled_at(history)
    return MessageOutcomes(settled, _spans_of(history, settled))


def _spans_of(history: History, settled: Mapping[str, float]) -> dict[str, list[Span]]:
    changes: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in history.calls("ChangeVisibility"):
        for message_id in call.arguments["messages"]:
            changes[call.process, message_id].append(call)
    found: dict[str, list[Span]] = defaultdict(list)
    for delivery in history.deliveries:
        end = delivery.time + history.facts.visibility_timeout
        for call in changes.get((delivery.process, delivery.message_id), ()):
            if delivery.time <= call.started <= end:
                end = call.started + call.arguments["timeout"]
        over = settled.get(delivery.message_id)
        if over is not None and delivery.time <= over:
            end = min(end, over)
        found[delivery.message_id].append(Span(delivery, delivery.time, end))
    return found


def rows_of(
    history: History,
    lanes: Sequence[str],
    accused: frozenset[str],
    origin: float,
    outcomes: MessageOutcomes,
) -> tuple[list[dict[str, Any]], int]:
    """Return a row for each message in the order of sends, and how many messages have none.

    Args:
        history: of the run.
        lanes: who did operations; a row speaks of them by number.
        accused: the messages that violations are about; they have a row in any case.
        origin: the time at which the run began.
        outcomes: what became of the messages.
    """
    settled, spans = outcomes
    messages = list(history.messages.values())

    def rank(message: SentMessage) -> tuple[bool, int]:
        return message.message_id not in accused, -len(spans.get(message.message_id, ()))

    chosen = nsmallest(MOST_ROWS, enumerate(messages), key=lambda item: (*rank(item[1]), item[0]))
    at = {lane: number for number, lane in enumerate(lanes)}
    rows: list[dict[str, Any]] = []
    for _, message in sorted(chosen, key=lambda item: item[0]):
        over = settled.get(message.message_id)
        rows.append({
            "id": message.message_id,
            "name": history.name(message.message_id).removeprefix("message "),
            "group": message.group,
            "poison": message.poison,
            "accused": message.message_id in accused,
            "sent": _rounded(history.arrived(message) - origin) if message.acknowledged else None,
            "spans": [
                [at[span.delivery.process], _rounded(span.begin - origin), _rounded(span.end - origin),
                 span.delivery.receive_count, *track]
                for span, track in tracks_of(spans.get(message.message_id, ()))
            ],
            "effects": [
                [at[effect.process], _rounded(_time_of(effect.call) - origin), effect.status, effect.executions]
                for effect in history.effects_for.get(message.message_id, ())
            ],
            "settled": None if over is None else _rounded(over - origin),
            "dead": message.message_id in history.dead_letters,
        })  # fmt: skip
    return rows, len(messages) - len(rows)


def tracks_of(spans: Iterable[Span]) -> Iterator[tuple[Span, Track]]:
    """Yield the deliveries of a message, each with its track: two that overlap are not drawn over one another."""
    crowd: list[tuple[Span, int]] = []
    ends: list[float] = []  # of each track of the crowd
    for span in sorted(spans, key=lambda span: span.begin):
        if crowd and span.begin >= max(ends):
            yield from _placed(crowd, len(ends))
            crowd, ends = [], []
        number = next((number for number, end in enumerate(ends) if end <= span.begin), len(ends))
        ends[number : number + 1] = [span.begin + SURE * (span.end - span.begin)]
        crowd.append((span, number))
    yield from _placed(crowd, len(ends))


def _placed(crowd: Iterable[tuple[Span, int]], of: int) -> Iterator[tuple[Span, Track]]:
    return ((span, Track(number, of)) for span, number in crowd)


def _time_of(call: Call) -> float:
    """Return when an operation was over, or begun where no more is known."""
    return call.started if call.outcome is None else call.ended


def _settled_at(history: History) -> dict[str, float]:
    """Return when each message left the queue under study: deleted, purged, or dead-lettered."""
    found = {message_id: record.time for message_id, record in history.purged.items()}
    for message_id, time in _deleted(history):
        found.setdefault(message_id, time)
    # A dead letter is received and deleted by the lab when all is over; it left the queue when it was moved.
    return {**found, **history.dead_lettered_at}


def _deleted(history: History) -> Iterable[tuple[str, float]]:
    if history.has_endpoint:
        return ((record["message_id"], record.time) for record in history.endpoint("deleted"))
    return (
        (deletion.message_id, deletion.call.ended)
        for deletion in history.deletions
        if deletion.status == "ok" and deletion.message_id in history.gone
    )


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
