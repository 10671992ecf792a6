"""How a consumer ends when it is asked to: the invariant of a graceful shutdown, and its witnesses.

A consumer says ``stopped`` as its last word, and whether a signal was the reason. What it received is by then

    handled and settled, and its delete was asked for     finished
    handled and not settled (rejected, failed, held)      left to its visibility timeout, as always
    not handled, and given back                           visible to others at once
    anything else                                         abandoned
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scenarios.history import Call, Delivery, History, Record
from scenarios.invariants import Invariant, Violation
from scenarios.witnesses import Evidence, Witness, times

_SETTLED = frozenset({"done", "duplicate", "discarded"})


@dataclass(frozen=True, slots=True)
class _End:
    """A clean end by a signal, and what the consumer had received."""

    stopped: Record
    deliveries: Sequence[Delivery]

    @property
    def process(self) -> str:
        return str(self.stopped["process"])


def _ends(history: History) -> Iterable[_End]:
    for record in history.events("stopped"):
        if record.get("signalled"):
            yield _End(record, [item for item in history.deliveries if item.process == record["process"]])


def _gave_back(history: History, process: str) -> dict[str, Call]:
    return {
        message_id: call
        for call in history.calls("ChangeVisibility")
        if call.process == process and call.arguments["timeout"] == 0
        for message_id in call.arguments["messages"]
    }


def abandoned(history: History) -> list[Violation]:
    """Find messages that a consumer still held when it ended, neither finished nor given back."""
    found = []
    for end in _ends(history):
        outcomes = {
            record["message_id"]: record["outcome"]
            for record in history.events("handled")
            if record["process"] == end.process
        }
        deleted = {item.message_id for item in history.deletions if item.process == end.process}
        given_back = _gave_back(history, end.process)
        for message_id, delivery in {item.message_id: item for item in end.deliveries}.items():
            outcome = outcomes.get(message_id)
            if outcome is None:
                why = "" if message_id in given_back else "neither begun nor given back"
            else:
                why = "done and not deleted" if outcome in _SETTLED and message_id not in deleted else ""
            if why:
                summary = f"{end.process} ended with {history.name(message_id)} in hand: {why}."
                records = (*delivery.call.records, end.stopped)
                found.append(Violation("abandoned-at-shutdown", summary, (), (message_id,), records))
    return found


def find_released_early(history: History) -> Evidence | None:
    """Find a message that was given back at a shutdown, and that another received before its timeout could end."""
    found = []
    for end in _ends(history):
        given_back = _gave_back(history, end.process)
        for first in end.deliveries:
            call = given_back.get(first.message_id)
            # The timeout runs from within the receive, so from its beginning at the earliest.
            could_end = first.call.started + history.facts.visibility_timeout
            found += [
                (first, later, call, could_end)
                for later in history.deliveries_of[first.message_id]
                if call is not None and later.process != end.process and call.started < later.time < could_end
            ]
    if not found:
        return None
    first, later, call, could_end = found[0]
    summary = (
        f"{len(found)} messages, e.g. {history.name(first.message_id)}: {first.process} gave it back, and "
        f"{later.process} received it {could_end - later.time:.1f} s before its visibility timeout could end"
    )
    return Evidence(summary, len(found), (*first.call.records, *call.records, *later.call.records))


def find_finished_in_hand(history: History) -> Evidence | None:
    """Find a batch in which a consumer finished the message that it was at work on, and gave back others."""
    for end in _ends(history):
        given_back = _gave_back(history, end.process)
        if not given_back:
            continue
        released = min(call.started for call in given_back.values())
        mine = [item for item in history.effects if item.process == end.process and item.call.ended < released]
        if mine and history.exits.get(end.process) and history.exits[end.process].code == 0:
            summary = (
                f"{end.process} finished {history.name(mine[-1].message_id)}, gave back {len(given_back)} messages and "
                "ended with exit code 0"
            )
            return Evidence(summary, 1, (*mine[-1].call.records, end.stopped))
    return None


def find_asked_twice(history: History) -> Evidence | None:
    """Find a consumer that was asked to end a second time, gave back what it had not begun all the same, and ended."""
    for end in _ends(history):
        requests, exited = end.stopped.get("requests", 0), history.exits.get(end.process)
        given_back = _gave_back(history, end.process)
        if requests > 1 and given_back and exited is not None and exited.code == 0:
            summary = f"{end.process} was asked to end {times(requests)}, was not hurried, and ended with exit code 0"
            return Evidence(summary, 1, (*next(iter(given_back.values())).records, end.stopped))
    return None


def find_ended_in_a_long_poll(history: History) -> Evidence | None:
    """Find a consumer that was asked to end while it waited for messages: its last poll brought none, and it ended."""
    for end in _ends(history):
        polls = [call for call in history.calls("Receive") if call.process == end.process]
        exited = history.exits.get(end.process)
        if polls and polls[-1].status == "ok" and not polls[-1].result and exited is not None and exited.code == 0:
            summary = f"{end.process} was asked to end during a long poll, and ended after it with exit code 0"
            return Evidence(summary, 1, (*polls[-1].records, end.stopped))
    return None


ABANDONED = Invariant(
    "abandoned-at-shutdown",
    "whoever is asked to end finishes what is in hand and gives back the rest",
    abandoned,
)
RELEASED_EARLY = Witness(
    "released-early",
    "what was not begun is received by another consumer before its visibility timeout could end",
    find_released_early,
)
FINISHED_IN_HAND = Witness(
    "finished-in-hand",
    "a consumer is asked to end in the middle of a batch, finishes one message and gives back others",
    find_finished_in_hand,
)
ASKED_TWICE = Witness(
    "asked-twice", "a second request to end comes while a consumer ends, and does not hurry it", find_asked_twice
)
ENDED_IN_A_LONG_POLL = Witness(
    "ended-in-a-long-poll", "a consumer is asked to end while it waits for messages", find_ended_in_a_long_poll
)
