"""Invariants and witnesses of the outbox: each change has its message, and each message its change.

A change and its message have one key, the order's.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Call, History, Record, SentMessage


def change_without_message(history: History) -> list[Violation]:
    """Find changes that were surely made, and of which no message tells.

    That a change "was made before" says as surely that it was. One of unknown outcome gets the benefit of the doubt.
    """
    told = {message.key for message in history.messages.values()}
    return [
        Violation(
            f"{commit.process} committed the order {commit.arguments['key'][:8]}, and no message tells of it.",
            (commit.arguments["key"],),
            (),
            commit.records,
        )
        for key, commit in _commits(history).items()
        if key not in told
    ]


def message_without_change(history: History) -> list[Violation]:
    """Find messages that were sent before anybody had begun to make the change of which they tell."""
    begun: dict[str, float] = {}
    for call in history.calls("CommitChange"):
        if call.status != "fail":
            begun.setdefault(call.arguments["key"], call.started)
    return [
        Violation(
            f"{history.name(message.message_id)} tells of an order that was never committed.",
            (message.key,),
            (message.message_id,),
            message.call.records,
        )
        for message in history.messages.values()
        if begun.get(message.key, float("inf")) > message.call.started
    ]


def find_left_in_the_outbox(history: History) -> Evidence | None:
    """Find changes whose maker died without having sent their message, and that another process sent."""
    found = []
    for key, commit in _commits(history).items():
        sends = _sends(history).get(key, ())
        if sends and commit.process in _killed(history) and all(it.call.process != commit.process for it in sends):
            found.append((commit, sends[0]))
    if not found:
        return None
    commit, sent = found[0]
    summary = f"{len(found)} messages, e.g. {_name(history, sent)}: {commit.process} died, {sent.call.process} sent it"
    return Evidence(summary, len(found), (*commit.records, *_end(history, commit.process), *sent.call.records))


def find_sent_twice(history: History) -> Evidence | None:
    """Find messages that one relay sent and did not live to mark, and that another one sent again, for one effect."""
    found = [
        (sends[0], sends[1])
        for key, sends in _sends(history).items()
        if len(sends) > 1
        and sends[0].call.process in _killed(history)
        and sends[1].call.process != sends[0].call.process
        and history.executions.get(key) == 1
    ]
    if not found:
        return None
    first, again = found[0]
    summary = (
        f"{len(found)} messages, e.g. {_name(history, first)}: {first.call.process} sent it and died, "
        f"{again.call.process} sent it again, and it was done once"
    )
    return Evidence(summary, len(found), (*first.call.records, *_end(history, first.call.process), *again.call.records))


def find_died_before_sending(history: History) -> Evidence | None:
    """Find a relay that had read the outbox and died before it sent what it had read."""
    for strike in history.faults:
        died = strike.kind == "crash" and strike.operation == "Send" and strike.point == "before"
        if died and strike.process in _killed(history):
            count = len(strike.call.arguments["messages"])
            summary = f"{strike.process} died by SIGKILL with {count} messages to send"
            return Evidence(summary, count, (strike.record, *_end(history, strike.process)))
    return None


def _commits(history: History) -> Mapping[str, Call]:
    """Return the first call that says of a change that it is made, by key."""
    found: dict[str, Call] = {}
    for call in history.calls("CommitChange"):
        if call.status == "ok":
            found.setdefault(call.arguments["key"], call)
    return found


def _sends(history: History) -> Mapping[str, Sequence[SentMessage]]:
    """Return the messages of each order, each of which is a send of its own."""
    found: dict[str, list[SentMessage]] = defaultdict(list)
    for message in history.messages.values():
        found[message.key].append(message)
    return found


def _killed(history: History) -> frozenset[str]:
    return frozenset(end.process for end in history.exits.values() if end.code == -signal.SIGKILL)


def _end(history: History, process: str) -> Iterable[Record]:
    return (history.exits[process].record,) if process in history.exits else ()


def _name(history: History, message: SentMessage) -> str:
    return history.name(message.message_id)


CHANGE_WITHOUT_MESSAGE = Invariant(
    "change-without-message", "every change that is committed is told of", change_without_message
)
MESSAGE_WITHOUT_CHANGE = Invariant(
    "message-without-change", "no message tells of a change that was not made", message_without_change
)
LEFT_IN_THE_OUTBOX = Witness(
    "left-in-the-outbox",
    "a service dies between its commit and the send, and another process sends the message",
    find_left_in_the_outbox,
)
DIED_BEFORE_SENDING = Witness(
    "died-before-sending", "a relay dies with messages that it has read and not sent", find_died_before_sending
)
SENT_TWICE = Witness(
    "sent-twice", "a relay dies with messages that it has sent and not marked; they are sent again", find_sent_twice
)
