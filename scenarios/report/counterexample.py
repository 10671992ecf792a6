"""A history as a scenario that a person can read: who did what to which message, when, and what went wrong.

    12 ms  consumer-1   receives #0, #1
    14 ms  consumer-1   claims #0: token 1
    18 ms  consumer-1   *** crash after Claim ***

Times are those of the simulation's clock, from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scenarios.checks.invariants import Violation
from scenarios.history import ENDPOINT, LAB, Call, Facts, History, Record
from scenarios.history.events import ASKED_TO_END, SCALED
from scenarios.verdict import Verdict
from services.history import CLOCK
from services.injection import ARRIVED_LATE
from services.operations import OPERATIONS, Delete, Receive

#: Events that say nothing which an operation or an exit does not say as well.
_SILENT = frozenset({"handled", "sent", "stopped", "run", "ledger", "payloads", CLOCK})
#: What the endpoint says and no client hears, about a message.
_QUEUE_ACTS: Mapping[str, str] = {
    "expired": "the queue forgets {name}: its retention is over",
    "dead-lettered": "the queue moves {name} to the dead-letter queue after {receive_count} receives",
    "delete-ignored": "the queue ignores a delete of {name}: the receipt handle is stale, or it is gone",
}
#: A scenario longer than this, in lines, is told around what violates.
WHOLE = 400
#: Then so many lines are told before and after each line about a message of the violation.
AROUND = 1

Line = tuple[float, str, str, frozenset[str]]


def tell(verdict: Verdict, history: History) -> list[str]:
    """Return the scenario's lines: the facts of the run, what happened, and how it ended."""
    facts = history.facts
    lines = [
        _headline(verdict, facts),
        "",
    ]
    told = list(_lines(history))
    violations = [item for items in verdict.violations.values() for item in items]
    kept = _kept(told, violations)
    width = max((len(who) for _, who, _, _ in told), default=0)
    skipped = 0
    for keep, (time, who, what, _) in zip(kept, told, strict=True):
        if not keep:
            skipped += 1
            continue
        if skipped:
            lines.append(f"{'':11}... {skipped} lines about other messages")
            skipped = 0
        lines.append(f"{1000 * time:8.0f} ms  {who:{width}}  {what}")
    if skipped:
        lines.append(f"{'':11}... {skipped} lines about other messages")
    lines.append("")
    lines += [f"{violation.invariant}: {violation.summary}" for violation in violations]
    return lines


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
    about = [not subjects or bool(subjects & concerned) for _, _, _, subjects in told]
    return [any(about[max(0, at - AROUND) : at + AROUND + 1]) for at in range(len(about))]


def _lines(history: History) -> Iterable[Line]:
    calls = {
        (call.process, call.invoke["index"]): call for kind in _operations(history) for call in history.calls(kind)
    }
    for record in history.records:
        process, time = record["process"], float(record["time"])
        match record["type"]:
            case "event" if process == ENDPOINT and record["event"] == "purged":
                what = f"the purge takes effect: {record['count']} messages are gone"
                yield time, "the queue", what, frozenset(record["message_ids"])
            case "event" if process == ENDPOINT:
                text = _QUEUE_ACTS.get(record["event"])
                if text is not None:
                    name = history.name(record["message_id"])
                    yield time, "the queue", text.format(**{**record, "name": name}), _of(record["message_id"])
            case "event":
                yield from _event(record, time, process)
            case "fault":
                yield time, process, f"*** {_fault(record)} ***", frozenset()
            case "ok" | "fail":
                call = calls[process, record["invocation"]]
                what = _call(history, call)
                if what:
                    yield time, process, what, _subjects(call)


def _operations(history: History) -> Iterable[str]:
    return {record["operation"]: None for record in history.records if "operation" in record}


def _event(record: Record, time: float, process: str) -> Iterable[Line]:
    event = record["event"]
    if event == "exited":
        code = record["code"]
        why = f": {record['why']}" if "why" in record else ""
        yield time, record["exited"], "is dead" if code < 0 else f"ends with exit code {code}{why}", frozenset()
    elif event == ASKED_TO_END:
        yield time, record["asked"], "*** SIGTERM ***", frozenset()
    elif event == ARRIVED_LATE:
        named = (record[name] for name in ("key", "message_id") if name in record)
        about = frozenset({*record.get("messages", ()), *named})
        done = f"fails: {record['error']}" if "error" in record else "is done"
        yield time, process, f"*** its {record['operation']} that timed out arrives, and {done} ***", about
    elif event == SCALED:
        yield time, process, f"is to have {record['consumers']} consumers: {record['why']}", frozenset()
    elif event not in _SILENT:
        known = ("type", "event", "time", "process", "index")
        said = ", ".join(f"{name} {_short(value)}" for name, value in record.items() if name not in known)
        yield time, process, f"says: {event}" + (f" ({said})" if said else ""), frozenset()


def _fault(record: Record) -> str:
    fault: Mapping[str, Any] = record["fault"]
    seconds = fault.get("seconds", 0.0)
    words = {
        "operation": record["operation"],
        "point": fault.get("point", "after"),
        "code": fault.get("code", "ServiceUnavailable"),
        "entries": ", ".join(map(str, fault.get("entries", ()))),
        "kind": fault["kind"],
        "seconds": f"{seconds:g} s",
        "signed": f"{seconds:+g} s",
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
}


def _call(history: History, call: Call) -> str:
    kind = OPERATIONS.get(call.operation)
    if kind is None or (call.process.startswith(LAB) and kind in (Receive, Delete)):
        return ""  # what the lab collects in the end is no part of the story
    doing, outcome = kind.told(call, history)
    if not doing:
        return ""
    record = call.outcome or {}
    if record.get("type") == "fail":
        return f"{doing}: {record['error']}"
    return f"{doing}: {outcome}" if outcome else doing


def _subjects(call: Call) -> frozenset[str]:
    arguments = call.arguments
    found = {value for name in ("key", "message_id") if (value := arguments.get(name))}
    if call.operation in ("Delete", "ChangeVisibility"):
        found.update(arguments["messages"])
    if call.operation == "Receive" and call.result:
        found.update(item["message_id"] for item in call.result)
    return frozenset(found)


def _of(message_id: str) -> frozenset[str]:
    return frozenset({message_id})


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _short(value: Any) -> str:
    return value[:8] if isinstance(value, str) and len(value) > len("00000000-0000") else str(value)
