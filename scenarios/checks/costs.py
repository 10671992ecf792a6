"""Matters of cost: waste that harms no message. What violates them is a warning, and convicts no consumer.

SQS bills each request, and a message that comes again and again takes the place of others.
https://aws.amazon.com/sqs/pricing/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from scenarios.checks.invariants import Invariant, Violation
from scenarios.history import LAB, Call, History

#: So many receives a message that was done are many, on average over all of them.
MANY_RECEIVES = 3.0
#: So many empty receives in a row, and so many seconds from one to the next, are a loop that asks an empty queue.
IDLE_RECEIVES, IDLE_SECONDS = 20, 0.5
#: So many refusals in a row, and so many seconds from one to the next, are a loop that asks what refuses.
REFUSALS, REFUSED_SECONDS = 20, 0.5
#: A consumer that gives a message back at once and receives it again itself, so often in a row, runs in a circle.
HOT_TURNS = 3


def many_receives(history: History) -> list[Violation]:
    """Find that messages were received many times before they were done, on average."""
    done = [
        item for item in history.messages if history.executions.get(history.messages[item].key) and item in history.gone
    ]
    received = sum(len(history.deliveries_of.get(item, ())) for item in done)
    if not done or received <= MANY_RECEIVES * len(done):
        return []
    most = max(done, key=lambda item: len(history.deliveries_of.get(item, ())))
    times = len(history.deliveries_of[most])
    summary = (
        f"{len(done)} messages took {received} receives, {received / len(done):.1f} each; "
        f"{history.name(most)} took {times}."
    )
    return [Violation(summary, (), (most,))]


def idle_loops(history: History) -> list[Violation]:
    """Find consumers that asked an empty queue many times in quick succession."""
    found = []
    for process, calls in history.receives_of.items():
        row: list[Call] = []
        for call in (*calls, None):
            empty = call if call is not None and call.status == "ok" and not call.result else None
            if empty is not None and (not row or empty.started - row[-1].started < IDLE_SECONDS):
                row.append(empty)
                continue
            if len(row) >= IDLE_RECEIVES and not process.startswith(LAB):
                found.append(_idle(process, row))
                break
            row = [] if empty is None else [empty]
    return found


def _idle(process: str, row: Sequence[Call]) -> Violation:
    seconds = row[-1].started - row[0].started
    summary = f"{process} asked an empty queue {len(row)} times within {seconds:.1f} s; a long poll asks once."
    return Violation(summary, records=(*row[0].records, *row[-1].records))


def hot_loops(history: History) -> list[Violation]:
    """Find messages that a consumer gave back at once and received again itself, several times in a row."""
    given_back: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in history.calls("ChangeVisibility"):
        if call.status == "ok" and call.arguments["timeout"] == 0:
            for message_id in call.arguments["messages"]:
                given_back[call.process, message_id].append(call)
    found = []
    for (process, message_id), calls in given_back.items():
        received = [item.process for item in history.deliveries_of.get(message_id, ()) if item.time > calls[0].started]
        turns = 0
        for taker in received:
            if taker != process:
                break
            turns += 1
        if min(turns, len(calls)) >= HOT_TURNS:
            summary = f"{process} gave back {history.name(message_id)} at once and received it again {turns} times."
            found.append(Violation(summary, (), (message_id,), calls[0].records))
    return found


def refused_loops(history: History) -> list[Violation]:
    """Find consumers that asked again and again, in quick succession, for what was refused each time."""
    return [
        violation
        for process, calls in history.receives_of.items()
        if not process.startswith(LAB)
        for violation in _refused(process, calls)
    ]


def _refused(process: str, calls: Sequence[Call]) -> Iterable[Violation]:
    row: list[Call] = []
    for call in calls:
        if not call.error:
            row = []
            continue
        row = [*row, call] if row and call.started - row[-1].started < REFUSED_SECONDS else [call]
        if len(row) >= REFUSALS:
            seconds = row[-1].started - row[0].started
            summary = f"{process} asked {len(row)} times within {seconds:.1f} s, and was refused each time; back off."
            yield Violation(summary, records=(*row[0].records, *row[-1].records))
            return


MANY_RECEIVES_A_MESSAGE = Invariant(
    "many-receives",
    f"a message takes no more than {MANY_RECEIVES:g} receives on average",
    many_receives,
    is_cost=True,
)
IDLE_LOOP = Invariant("idle-loop", "no consumer asks an empty queue in quick succession", idle_loops, is_cost=True)
HOT_LOOP = Invariant("hot-loop", "no consumer gives back and receives a message in a circle", hot_loops, is_cost=True)
REFUSED_LOOP = Invariant(
    "refused-loop", "no consumer asks in quick succession for what is refused", refused_loops, is_cost=True
)

#: What costs more than it has to, on any queue.
COSTS: tuple[Invariant, ...] = (MANY_RECEIVES_A_MESSAGE, IDLE_LOOP, HOT_LOOP, REFUSED_LOOP)
