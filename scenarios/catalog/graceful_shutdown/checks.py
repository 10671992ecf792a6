"""How a consumer ends when it is asked to: the invariants of a graceful shutdown, and its witnesses.

A consumer says ``stopped`` as its last word, and whether a signal was the reason. What it received is by then

    deleted, whatever it said of it                       finished
    handled and not settled (rejected, failed, held)      left to its visibility timeout, as always
    not handled, and given back                           visible to others at once
    anything else                                         abandoned

What fails after the request to end, though nothing that it asked for has failed, was broken off: abandoned, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, Delivery, Event, History, Record
from scenarios.history.events import ASKED_TO_END
from services.consumer.patterns import Pattern

_SETTLED = frozenset({"done", "duplicate", "discarded", "expired", "superseded"})
#: What a consumer asks for one message's sake.
_WORK = (
    *("Claim", "LookUpSideEffect", "FetchObject", "PerformSideEffect", "CallApi", "WriteState", "Complete"),
    *("GetItem", "PutItem", "DeleteItem", "AddToCounter", "Transact"),
)


@dataclass(frozen=True, slots=True)
class _End:
    """A clean end by a signal, and what the consumer had received."""

    stopped: Event
    deliveries: Sequence[Delivery]

    @property
    def process(self) -> str:
        return self.stopped.process


def _ends(history: History) -> Iterable[_End]:
    for record in history.events("stopped"):
        if record.get("signalled"):
            yield _End(record, [item for item in history.deliveries if item.process == record.process])


class _Request(NamedTuple):
    """The first request to end that a process was sent, and when it has surely heard of it."""

    record: Record
    time: float
    heard_by: float


def _requests(history: History) -> Mapping[str, _Request]:
    """Return the requests by process: the scenario's own, and the random faults', which come at once."""
    found = [
        *(
            (record["asked"], _Request(record, record.time, record.time + record["heard_within"]))
            for record in history.events(ASKED_TO_END)
        ),
        *(
            (item.process, _Request(item.record, item.time, item.time))
            for item in history.faults
            if item.kind == "sigterm"
        ),
    ]
    return dict(sorted(found, key=lambda item: item[1].time, reverse=True))


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
    requests = _requests(history)
    for end in _ends(history):
        given_back = _gave_back(history, end.process)
        handled = {
            record["message_id"]: record for record in history.events("handled") if record.process == end.process
        }
        for message_id, delivery in {item.message_id: item for item in end.deliveries}.items():
            if _is_deleted(history, delivery):
                continue
            said = handled.get(message_id)
            # What was said of an earlier delivery says nothing of this one.
            said = said if said is not None and said.time > delivery.time else None
            why = _why_in_hand(history, delivery, said, requests.get(end.process), message_id in given_back)
            if why:
                summary = f"{end.process} ended with {history.name(message_id)} in hand: {why}."
                records = (*delivery.call.records, end.stopped)
                found.append(Violation(summary, (), (message_id,), records))
    return found


def _is_deleted(history: History, delivery: Delivery) -> bool:
    """Return whether a delivery's own process has asked for the message's delete since."""
    return any(
        item.process == delivery.process and item.call.started > delivery.time
        for item in history.deletions_of.get(delivery.message_id, ())
    )


def _why_in_hand(
    history: History, delivery: Delivery, handled: Event | None, request: _Request | None, given_back: bool
) -> str:
    """Return why a message that was not deleted was still in hand; empty for one that was not."""
    if handled is not None and handled["outcome"] in _SETTLED:
        return "done and not deleted"
    if given_back or _came_to_nothing(history, delivery, handled):
        return ""
    if handled is None:
        return "neither finished nor given back"
    broken_off = handled["outcome"] == "failed" and request is not None and request.time < handled.time
    return "broken off, and not given back" if broken_off else ""


def _came_to_nothing(history: History, delivery: Delivery, handled: Event | None) -> bool:
    """Return whether something that a process asked for a delivery's sake failed, or was refused it."""
    keys = {history.messages[delivery.message_id].key} if delivery.message_id in history.messages else set()
    if handled is not None:
        keys.add(handled["key"])
    # A consumer may keep its books under keys of its own; which of them is this message's, it alone knows.
    others = history.attempted_keys - keys
    return any(
        call.status != "ok" or _is_refused(call)
        for operation in _WORK
        for call in history.calls(operation)
        if call.process == delivery.process
        and call.started > delivery.time
        and any(_may_be_about(key, keys, others) for key in _keys(call))
    )


def _may_be_about(key: str, mine: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether a key is a message's own, or no other's as far as anyone can tell."""
    return any(own in key for own in mine) or not any(other in key for other in others)


def _is_refused(call: Call) -> bool:
    held = call.operation == "Claim" and call.result["type"] == "HeldByAnother"
    refused = call.operation in ("Complete", "PutItem", "DeleteItem") and not call.result
    return held or refused or (call.operation == "Transact" and not call.result["done"])


def _keys(call: Call) -> Sequence[str]:
    """Return what a request of a consumer's work is about: a transaction names several things."""
    writes = [write["key"] for write in call.arguments.get("writes", ())]
    return [*writes, call.arguments["key"]] if "key" in call.arguments else writes


def begun_after_sigterm(history: History) -> list[Violation]:
    """Find messages that a consumer began to work on after it had been asked to end.

    Its claims say what it begins; of one that makes none, its side effects do. What it had asked anything for before,
    such as a look into the ledger, was begun by then.
    """
    found = []
    for process, request in _requests(history).items():
        claims = [call for call in history.calls("Claim") if call.process == process]
        begins = claims or [effect.call for effect in history.effects if effect.process == process]
        asked = [call for name in _WORK for call in history.calls(name) if call.process == process]
        for call in begins:
            if call.started > request.heard_by and not _was_begun(history, call, asked, request.heard_by):
                name = history.name_of_key(call.arguments["key"])
                summary = f"{process} was asked to end, and began {name} after that."
                records = (request.record, *call.records)
                found.append(Violation(summary, (call.arguments["key"],), (), records))
    return found


def _was_begun(history: History, call: Call, asked: Iterable[Call], by: float) -> bool:
    """Return whether its process had asked for anything for a call's key by then, since its last receive."""
    receives = [item.ended for item in history.receives_of.get(call.process, ())]
    since = max((time for time in receives if time <= call.started), default=0.0)
    return any(since <= item.started <= by and call.arguments["key"] in _keys(item) for item in asked)


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


def find_asked_to_end_at_work(history: History) -> Evidence | None:
    """Find a consumer that was asked to end between the beginning and the end of a side effect."""
    found = [
        (request, effect)
        for process, request in _requests(history).items()
        for effect in history.effects
        if effect.process == process and effect.call.started < request.time < effect.call.ended
    ]
    if not found:
        return None
    request, effect = found[0]
    summary = f"{effect.process} was asked to end while it was at work on {history.name(effect.message_id)}"
    return Evidence(summary, len(found), (request.record, *effect.call.records))


def find_finished_in_hand(history: History) -> Evidence | None:
    """Find a batch in which a consumer finished the message that it was at work on, and gave back others."""
    for end in _ends(history):
        given_back = _gave_back(history, end.process)
        if not given_back:
            continue
        released = min(call.started for call in given_back.values())
        deleted = {item.message_id for item in history.deletions if item.process == end.process}
        mine = [item for item in history.effects if item.process == end.process and item.call.ended < released]
        if (
            mine
            and mine[-1].message_id in deleted
            and history.exits.get(end.process)
            and history.exits[end.process].code == 0
        ):
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
        polls = history.receives_of.get(end.process, ())
        exited = history.exits.get(end.process)
        if polls and polls[-1].status == "ok" and not polls[-1].result and exited is not None and exited.code == 0:
            summary = f"{end.process} was asked to end during a long poll, and ended after it with exit code 0"
            return Evidence(summary, 1, (*polls[-1].records, end.stopped))
    return None


ABANDONED = Invariant(
    "abandoned-at-shutdown",
    "a consumer that is asked to end finishes what is in hand and gives back the rest",
    abandoned,
    pattern=Pattern.GRACEFUL_SHUTDOWN,
)
BEGUN_AFTER_SIGTERM = Invariant(
    "begun-after-sigterm",
    "nothing new is begun after a request to end",
    begun_after_sigterm,
    pattern=Pattern.GRACEFUL_SHUTDOWN,
    # Of a consumer whose claims cannot be seen it is unknown what it had begun: it may finish all that it holds.
    reads=("Claim",),
)
ASKED_TO_END_AT_WORK = Witness(
    "asked-to-end-at-work", "a consumer is asked to end while it is at work on a message", find_asked_to_end_at_work
)
RELEASED_EARLY = Witness(
    "released-early",
    "what was not begun is received by another consumer before its visibility timeout could end",
    find_released_early,
    pattern=Pattern.GRACEFUL_SHUTDOWN,
)
FINISHED_IN_HAND = Witness(
    "finished-in-hand",
    "a consumer is asked to end in the middle of a batch, finishes one message and gives back others",
    find_finished_in_hand,
    pattern=Pattern.GRACEFUL_SHUTDOWN,
)
ASKED_TWICE = Witness(
    "asked-twice",
    "a second request to end comes while a consumer ends, and does not hurry it",
    find_asked_twice,
    pattern=Pattern.GRACEFUL_SHUTDOWN,
)
ENDED_IN_A_LONG_POLL = Witness(
    "ended-in-a-long-poll",
    "a consumer is asked to end while it waits for messages",
    find_ended_in_a_long_poll,
    pattern=Pattern.GRACEFUL_SHUTDOWN,
)
