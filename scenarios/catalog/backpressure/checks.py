"""Backpressure in a history: how old messages became, how the number of consumers changed, and where it came to rest.

The decisions stand in the history as events ``scaled``, each with the number of consumers from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Event, History
from scenarios.history.backlog import Load, lives, load_at
from scenarios.history.events import SCALED

#: Seconds for which a number of consumers must rest before it has come to rest.
REST = 10.0


def younger_than(limit: float) -> Invariant:
    """Return the invariant that no message is in the queue for longer than so many seconds."""

    def check(history: History) -> list[Violation]:
        end = history.ended
        ages = [(life.message, min(life.until, end) - life.since) for life in lives(history)]
        return [
            Violation(
                f"{history.name(message.message_id)} was in the queue for {age:.0f} s.",
                (message.key,),
                (message.message_id,),
                message.call.records,
            )
            for message, age in ages
            if age > limit
        ]

    return Invariant("too-old", f"no message is in the queue for longer than {limit:g} s", check)


def steady(calm: float) -> Invariant:
    """Return the invariant that the number of consumers does not flap: no change is taken back within so long."""

    def check(history: History) -> list[Violation]:
        changes = _changes(history)
        return [
            Violation(
                f"{_in_words(first)} consumers was taken back {later[1]['time'] - first[1]['time']:.1f} s later.",
                records=(first[1], later[1]),
            )
            for first, later in pairwise(changes)
            if first[0] * later[0] < 0 and later[1].time - first[1].time < calm
        ]

    return Invariant("flapping", f"the number of consumers is not changed back within {calm:g} s", check)


def _in_words(change: tuple[int, Event]) -> str:
    by, record = change
    return f"scaling {'out' if by > 0 else 'in'} to {record['consumers']}"


def _changes(history: History) -> Sequence[tuple[int, Event]]:
    """Return by how many consumers each decision changed their number, with its record."""
    return [
        (later["consumers"] - first["consumers"], later)
        for first, later in pairwise(history.events(SCALED))
        if later["consumers"] != first["consumers"]
    ]


def find_outrun(history: History) -> Evidence | None:
    """Find that the producer outran the consumers: each had more than one message to do when they became more."""
    out = [record for by, record in _changes(history) if by > 0]
    if not out:
        return None
    first = out[0]
    before = load_at(history, first.time)
    count = history.events(SCALED)[0]["consumers"]
    if before.messages <= count:
        return None
    summary = (
        f"{before.messages} messages for {count} consumer, the oldest of them {before.oldest:.0f} s old, "
        f"when the first of {len(out)} decisions to scale out was made"
    )
    return Evidence(summary, len(out), tuple(out))


def find_steady_state(history: History) -> Evidence | None:
    """Find the longest time, between two decisions and while the producer went on, in which consumers kept up.

    They did if no more was to be done at its end than at its beginning.
    """
    if not history.sends:
        return None
    last = history.sends[-1].call
    scaled = history.events(SCALED)
    rests = [
        (record, record.time, min(until, last.ended))
        for record, until in zip(scaled, (*(later.time for later in scaled[1:]), last.ended), strict=True)
        if record["consumers"] > scaled[0]["consumers"]
    ]
    kept_up = [
        rest
        for rest in rests
        if rest[2] - rest[1] >= REST and load_at(history, rest[2]).messages <= load_at(history, rest[1]).messages
    ]
    if not kept_up:
        return None
    record, since, until = max(kept_up, key=lambda rest: rest[2] - rest[1])
    sent = [message for message in history.sends if since < message.call.ended <= until]
    summary = (
        f"{record['consumers']} consumers for {until - since:.0f} s and {len(sent)} more messages: "
        f"{_in_short(load_at(history, since))} at the beginning, {_in_short(load_at(history, until))} at the end"
    )
    return Evidence(summary, len(sent), (record, *last.records))


def _in_short(load: Load) -> str:
    return f"{load.messages} messages to do, the oldest {load.oldest:.0f} s old"


def find_scaled_in(history: History) -> Evidence | None:
    """Find that the consumers became as few as in the beginning, once nothing was left to do."""
    scaled = history.events(SCALED)
    inward = [record for by, record in _changes(history) if by < 0]
    if not inward or scaled[-1]["consumers"] != scaled[0]["consumers"]:
        return None
    most = max(record["consumers"] for record in scaled)
    took = inward[-1].time - inward[0].time
    summary = (
        f"from {most} to {scaled[-1]['consumers']} in {len(inward)} steps, {took:.0f} s from the first to the last"
    )
    return Evidence(summary, len(inward), tuple(inward))


OUTRUN = Witness("outrun", "the producer outruns the consumers, and there are to be more of them", find_outrun)
STEADY_STATE = Witness(
    "steady-state",
    "with enough consumers the backlog grows no more, while the producer goes on",
    find_steady_state,
)
SCALED_IN = Witness("scaled-in", "when it is quiet, there are as few consumers as in the beginning", find_scaled_in)
