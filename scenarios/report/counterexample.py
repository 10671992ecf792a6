"""A history as a scenario that a person can read: who did what to which message, when, and what went wrong.

    12 ms  consumer-1   receives #0, #1
    14 ms  consumer-1   claims #0: token 1
    18 ms  consumer-1   *** crash after Claim ***
>   25 ms  consumer-2   PERFORMS #0: for the second time

A line of the evidence is marked, which is what the violation needs. A line that comes again at once stands there once,
with how often. So do several lines that come again in the same order and differ in nothing but numbers such as a
token. Times are those of the simulation's clock, from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from scenarios.checks.invariants import Violation
from scenarios.history import ENDPOINT, LAB, Call, Facts, History, Record, identity_of
from scenarios.history.events import ASKED_TO_END, SCALED
from scenarios.verdict import Verdict
from services.faults import REACHES
from services.history import CLOCK
from services.injection import ARRIVED_LATE
from services.operations import OPERATIONS, Delete, Receive
from services.records import Event as Told
from services.records import Fail, FaultRecord, Ok, typed

#: Events that say nothing which an operation or an exit does not say as well.
_SILENT = frozenset({"handled", "sent", "stopped", "run", "ledger", "payloads", CLOCK})
#: What the endpoint says and no client hears, about a message.
_QUEUE_ACTS: Mapping[str, str] = {
    "expired": "the queue forgets {name}: its retention is over",
    "dead-lettered": "the queue moves {name} to the dead-letter queue after {receive_count} receives",
    "brought-back": "the queue will deliver {name} again, after its delete",
    "stale-read": "*** the table answers a read of {key} from before its last write ***",
    "delete-ignored": "the queue ignores a delete of {name}: the receipt handle is stale, or it is gone",
}
#: A scenario longer than this, in lines, is told around what violates.
WHOLE = 400
#: Then so many lines are told before and after each line about a message of the violation.
AROUND = 1


#: So many lines make a round at most.
LONGEST_ROUND = 8
#: The numbers in which two rounds may differ; the number of a message is none of them.
_NUMBERS = re.compile(r"(?<![#\w.])\d+(?:\.\d+)?")


class Row(NamedTuple):
    """A line of the text.

    Attributes:
        shape: what it has in common with the same line of another round.
        is_evidence: the violation needs it.
        time: of the last record that it tells of, in seconds.
    """

    text: str
    shape: tuple[str, str, str]
    is_evidence: bool
    time: float


class Line(NamedTuple):
    """A line of the story, and the record that it tells of."""

    time: float
    who: str
    what: str
    subjects: frozenset[str]
    record: Record


def format_counterexample(verdict: Verdict, history: History) -> list[str]:
    """Return the scenario's lines: the facts of the run, what happened, and how it ended."""
    facts = history.facts
    lines = [
        _headline(verdict, facts),
        "",
    ]
    told = list(_lines(history))
    violations = [item for items in verdict.violations.values() for item in items]
    kept = _kept(told, violations)
    evidence = frozenset(identity_of(record) for violation in violations for record in violation.records)
    width = max((len(line.who) for line in told), default=0)
    rows: list[Row] = []
    skipped = 0
    for keep, alike in _collapsed(kept, told):
        if not keep:
            skipped += len(alike)
            continue
        if skipped:
            rows.append(_left_out(skipped))
            skipped = 0
        line = alike[0]
        mark = ">" if any(identity_of(item.record) in evidence for item in alike) else " "
        again = f"  ({len(alike)} times)" if len(alike) > 1 else ""
        text = f"{mark}{1000 * line.time:7.0f} ms  {line.who:{width}}  {line.what}{again}"
        rows.append(Row(text, (line.who, _NUMBERS.sub("N", line.what), again), mark == ">", alike[-1].time))
    if skipped:
        rows.append(_left_out(skipped))
    lines += _without_rounds(rows)
    lines.append("")
    lines += [f"{name}: {violation.summary}" for name, items in verdict.violations.items() for violation in items]
    return [*lines, *verdict.remarks]


def _collapsed(kept: Sequence[bool], told: Sequence[Line]) -> Iterable[tuple[bool, list[Line]]]:
    """Yield the lines that come again in a row together; a line of other messages stands for itself."""
    for (keep, _, _), group in groupby(zip(kept, told, strict=True), key=lambda item: (item[0], *item[1][1:3])):
        yield keep, [line for _, line in group]


def _left_out(lines: int) -> Row:
    text = f"{'':11}... {lines} lines about other messages"
    return Row(text, ("", text, ""), False, 0.0)


def _without_rounds(rows: Sequence[Row]) -> Iterable[str]:
    """Yield the texts of rows; a round of some that comes again at once is told once, unless it holds evidence."""
    at = 0
    while at < len(rows):
        length, again = _rounds_at(rows, at)
        yield from (row.text for row in rows[at : at + length])
        if again:
            last = rows[at + length * (again + 1) - 1]
            lines = f"these {length} lines come" if length > 1 else "this line comes"
            times = "once more" if again == 1 else f"{again} more times"
            yield f"{'':11}... {lines} {times}, until {1000 * last.time:.0f} ms"
        at += length * (again + 1)


def _rounds_at(rows: Sequence[Row], at: int) -> tuple[int, int]:
    """Return how many rows make a round that begins here, and how often it comes again; 1 and 0 for no round."""
    best = (1, 0)
    for length in range(1, min(LONGEST_ROUND, (len(rows) - at) // 2) + 1):
        shape = [row.shape for row in rows[at : at + length]]
        again = 0
        while True:
            first = at + length * (again + 1)
            following = rows[first : first + length]
            if [row.shape for row in following] != shape or any(row.is_evidence for row in following):
                break
            again += 1
        # A row that says how often the round came takes a line itself.
        if length * again > max(1, best[0] * best[1]):
            best = (length, again)
    return best


def _headline(verdict: Verdict, facts: Facts) -> str:
    count = verdict.conditions.parameters.count
    return (
        f"{verdict.scenario.name}: {count} {'message' if count == 1 else 'messages'}, visibility timeout "
        f"{facts.visibility_timeout:g} s, dead-lettered after {facts.max_receive_count} receives"
    )


def _kept(told: Sequence[Line], violations: Iterable[Violation]) -> list[bool]:
    concerned = frozenset(name for violation in violations for name in (*violation.message_ids, *violation.keys))
    if len(told) <= WHOLE or not concerned:
        return [True] * len(told)
    about = [not line.subjects or bool(line.subjects & concerned) for line in told]
    return [any(about[max(0, at - AROUND) : at + AROUND + 1]) for at in range(len(about))]


def _lines(history: History) -> Iterable[Line]:
    calls = {call.pointer: call for call in history.all_calls}
    for record in history.records:
        match typed(record):
            case Told(process=process, event="purged", time=time, details=said) if process == ENDPOINT:
                what = f"the purge takes effect: {said['count']} messages are gone"
                yield Line(time, "the queue", what, frozenset(said["message_ids"]), record)
            case Told(process=process, event=event, time=time, details=said) if process == ENDPOINT:
                text = _QUEUE_ACTS.get(event)
                if text is not None:
                    about = said.get("message_id")
                    what = text.format(**{**said, "name": history.name(about) if about else ""})
                    yield Line(time, "the queue" if about else "the table", what, _of(about), record)
            case Told() as told:
                yield from _event(record, told)
            case FaultRecord() as fault:
                yield Line(fault.time, fault.process, f"*** {_fault(fault)} ***", frozenset(), record)
            case Ok() | Fail() as outcome:
                call = calls[outcome.process, outcome.invocation]
                what = _call(history, call)
                if what:
                    yield Line(outcome.time, outcome.process, what, _subjects(call), record)


def _event(record: Record, told: Told) -> Iterable[Line]:
    time, process, event, said = told.time, told.process, told.event, told.details
    if event == "exited":
        code = said["code"]
        why = f": {said['why']}" if "why" in said else ""
        what = "is dead" if code < 0 else f"ends with exit code {code}{why}"
        yield Line(time, said["exited"], what, frozenset(), record)
    elif event == ASKED_TO_END:
        yield Line(time, said["asked"], "*** SIGTERM ***", frozenset(), record)
    elif event == ARRIVED_LATE:
        named = (said[name] for name in ("key", "message_id") if name in said)
        about = frozenset({*said.get("messages", ()), *named})
        done = f"fails: {said['error']}" if "error" in said else "is done"
        what = f"*** its {said['operation']} that timed out arrives, and {done} ***"
        yield Line(time, process, what, about, record)
    elif event == SCALED:
        yield Line(time, process, f"is to have {said['consumers']} consumers: {said['why']}", frozenset(), record)
    elif event not in _SILENT:
        words = ", ".join(f"{name} {_short(value)}" for name, value in said.items())
        yield Line(time, process, f"says: {event}" + (f" ({words})" if words else ""), frozenset(), record)


def _fault(told: FaultRecord) -> str:
    fault = told.fault
    seconds = fault.get("seconds", 0.0)
    words = {
        "operation": told.operation,
        "point": fault.get("point", "after"),
        "code": fault.get("code", "ServiceUnavailable"),
        "entries": ", ".join(map(str, fault.get("entries", ()))),
        "kind": fault["kind"],
        "seconds": f"{seconds:g} s",
        "signed": f"{seconds:+g} s",
        "from": fault.get("from") or REACHES[fault.get("reach", "")],
        "attribute": fault.get("attribute", ""),
        "to": fault.get("to", ""),
        "within": f"{fault.get('within', 0.0):g} s",
        "key": _short(fault.get("key", "")),
    }
    key = "crash during" if words["kind"] == "crash" and words["point"] == "during" else words["kind"]
    return _FAULTS.get(key, "{kind} of {operation}").format(**words)


#: How each kind of fault reads.
_FAULTS: Mapping[str, str] = {
    "crash": "crash {point} {operation}",
    "crash during": "crash in {operation}, which is done",
    "error": "{operation} fails: {code}",
    "delay": "{operation} takes {seconds} longer",
    "reply-lost": "{operation} is done, and the reply is lost",
    "late-request": "{operation} times out, and takes effect {seconds} later",
    "partial-failure": "{operation} fails in part: entries {entries}",
    "clock-skew": "its clock is wrong by {signed}",
    "sigterm": "SIGTERM",
    "outage": "every consumer dies, and none comes back for {seconds}",
    "retention-end": "the retention of the message in hand ends",
    "pause": "stands still for {seconds}, {point} {operation}",
    "partial-reply-lost": "{operation} is done but for entries {entries}, and the reply is lost",
    "partition": "is cut off from {from} for {seconds}",
    "throttling": "{from} refuse whatever any consumer asks for {seconds}",
    "brown-out": "{from} answer with errors, or not at all, for {seconds}",
    "expired-credentials": "its credentials have expired; an operator renews them after {seconds}",
    "missing-resource": "no consumer finds {from} for {seconds}",
    "deleted-resource": "an operator deletes {from} for good",
    "freeze": "stands still for {seconds}, and its monotonic clock with it",
    "clock-jump": "its clock is set to be wrong by {signed}",
    "clock-drift": "its clock drifts, to be wrong by {signed} within {within}",
    "attribute-raised": "an operator raises {attribute} to {to}",
    "attribute-lowered": "an operator lowers {attribute} to {to}",
    "undone-expiry": "the retention of a message ends that waits in the queue",
    "record-expiry": "the record of {key} has outlived its time, and is removed",
    "copy-after-delete": "a server has missed the delete, and keeps a copy",
    "deduplication-over": "{operation} is done, the reply is lost, and the queue forgets its deduplication ids",
}


def _call(history: History, call: Call) -> str:
    kind = OPERATIONS.get(call.operation)
    if kind is None or (call.process.startswith(LAB) and kind in (Receive, Delete)):
        return ""  # what the lab collects in the end is no part of the story
    doing, outcome = kind.told(call, history)
    if not doing:
        return ""
    if call.error:
        return f"{doing}: {call.error}"
    return f"{doing}: {outcome}" if outcome else doing


def _subjects(call: Call) -> frozenset[str]:
    arguments = call.arguments
    found = {value for name in ("key", "message_id") if (value := arguments.get(name))}
    if call.operation in ("Delete", "ChangeVisibility"):
        found.update(arguments["messages"])
    if call.operation == "Receive" and call.result:
        found.update(item["message_id"] for item in call.result)
    return frozenset(found)


def _of(message_id: str | None) -> frozenset[str]:
    return frozenset(filter(None, [message_id]))


def _short(value: Any) -> str:
    return value[:8] if isinstance(value, str) and len(value) > len("00000000-0000") else str(value)
