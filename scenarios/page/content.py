"""What a report shows, as JSON values: lanes of operations, rows of messages, curves, and what the judge found.

Times are seconds from the beginning of the run. What is shown is bounded, so that a report of a hundred thousand
messages opens as one of ten does: what the judge or a fault points at is kept first, and what is left out is counted.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from heapq import nsmallest
from itertools import chain
from typing import Any

from scenarios.history import LAB, Call, Delivery, Effect, History, Record, SentMessage
from scenarios.page.curves import curves_of, settled_at
from scenarios.verdict import Verdict

#: The most operations that are drawn.
MOST_MARKS = 4000
#: The most messages that get a row.
MOST_ROWS = 120
#: The most violations of one invariant that are listed.
MOST_VIOLATIONS = 20
#: The most records of one finding that can be pointed at.
MOST_RECORDS = 60

Pointer = tuple[str, int]


def content_of(verdict: Verdict, history: History) -> dict[str, Any]:
    """Return everything that a report says."""
    pointed = _pointed_at(verdict)
    origin = _origin(history)
    lanes = _lanes(history)
    marks, marks_left_out = _marks(history, lanes, pointed, origin)
    rows, rows_left_out = _rows(history, verdict, lanes, origin)
    end = max((float(record["time"]) for record in history.records), default=origin) - origin
    return {
        **_headline(verdict, history),
        "invariants": [_invariant(verdict, item.name, item.promise) for item in verdict.scenario.invariants],
        "witnesses": [_witness(verdict, index) for index in range(len(verdict.scenario.witnesses))],
        "end": _rounded(end),
        "lanes": lanes,
        "marks": marks,
        "marksLeftOut": marks_left_out,
        "rows": rows,
        "rowsLeftOut": rows_left_out,
        "curves": curves_of(history, origin, origin + end),
    }


def _headline(verdict: Verdict, history: History) -> dict[str, Any]:
    conditions, scenario = verdict.conditions, verdict.scenario
    facts = history.facts
    again = sum(delivery.receive_count > 1 for delivery in history.deliveries)
    return {
        "scenario": scenario.name,
        "summary": scenario.summary,
        "story": inspect.getdoc(inspect.getmodule(scenario.run)) or "",
        "naive": conditions.naive,
        "without": scenario.naive_twin.without,
        "twinViolation": scenario.naive_twin.violation,
        "verdict": str(verdict.outcome),
        "reason": verdict.reason,
        "command": conditions.command,
        "facts": {
            "tier": conditions.tier,
            "seed": conditions.seed,
            **asdict(conditions.parameters),
            "visibility timeout": f"{facts.visibility_timeout:g} s",
            "max receive count": facts.max_receive_count,
            "queue": "FIFO" if facts.fifo else "standard",
        },
        "figures": {
            "sent": len(history.sends),
            "side effects": sum(history.executions.values()),
            "delivered": len(history.deliveries),
            "delivered again": again,
            "deleted": len(history.gone),
            "dead letters": len(history.dead_letters),
            "faults": len(history.faults),
        },
    }


# --- what the judge found ----------------------------------------------------------------------------------------


def _pointed_at(verdict: Verdict) -> frozenset[Pointer]:
    violations = chain.from_iterable(found[:MOST_VIOLATIONS] for found in verdict.violations.values())
    records = [item.records for item in violations]
    records += [item.records for item in verdict.evidence.values() if item is not None]
    return frozenset(_pointer(record) for found in records for record in found[:MOST_RECORDS])


def _pointer(record: Record) -> Pointer:
    """Return what names the operation that a record is about."""
    return record["process"], record.get("invocation", record["index"])


def _invariant(verdict: Verdict, name: str, promise: str) -> dict[str, Any]:
    found = verdict.violations[name]
    shown = [{"summary": item.summary, "records": _pointers(item.records)} for item in found[:MOST_VIOLATIONS]]
    return {"name": name, "promise": promise, "count": len(found), "violations": shown}


def _witness(verdict: Verdict, index: int) -> dict[str, Any]:
    witness = verdict.scenario.witnesses[index]
    evidence = verdict.evidence[witness.name]
    return {
        "name": witness.name,
        "question": witness.question,
        "required": witness.required,
        "evidence": None if evidence is None else {"summary": evidence.summary, "records": _pointers(evidence.records)},
    }


def _pointers(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys("/".join(map(str, _pointer(record))) for record in records[:MOST_RECORDS]))


# --- lanes of operations -----------------------------------------------------------------------------------------


def _origin(history: History) -> float:
    return float(history.records[0]["time"]) if history.records else 0.0


def _lanes(history: History) -> list[str]:
    """Return who did operations, in the order of their first ones."""
    return list(dict.fromkeys(record["process"] for record in history.records if record["type"] == "invoke"))


def _calls(history: History) -> Iterable[Call]:
    kinds = dict.fromkeys(record["operation"] for record in history.records if record["type"] == "invoke")
    return chain.from_iterable(history.calls(kind) for kind in kinds)


def _marks(
    history: History, lanes: Sequence[str], pointed: frozenset[Pointer], origin: float
) -> tuple[list[list[Any]], int]:
    """Return a mark for each operation, fault and end: lane, begin, end or null, kind, status, words, pointer."""
    at = {lane: number for number, lane in enumerate(lanes)}
    calls = list(_calls(history))
    if len(calls) > MOST_MARKS:
        kept = nsmallest(MOST_MARKS, enumerate(calls), key=lambda item: (_weight(item[1], pointed), item[0]))
        calls = [call for _, call in kept]
    marks: list[list[Any]] = []
    for call in calls:
        ended = None if call.outcome is None else _rounded(call.ended - origin)
        begun = _rounded(call.started - origin)
        pointer = f"{call.process}/{call.invoke['index']}"
        marks.append([at[call.process], begun, ended, call.operation, call.status, _words(history, call), pointer])
    for strike in history.faults:
        fault = strike.record["fault"]
        where = f"{strike.point} {strike.operation}" if strike.kind == "crash" else strike.operation
        lasts = f", {fault['seconds']:g} s" if fault.get("seconds") else ""
        pointer = f"{strike.process}/{strike.call.invoke['index']}"
        begun = _rounded(strike.time - origin)
        marks.append([at[strike.process], begun, begun, "Fault", strike.kind, f"{strike.kind} {where}{lasts}", pointer])
    for end in history.exits.values():
        if end.process in at:
            begun = _rounded(end.time - origin)
            how = f"exit code {end.code}" if end.code >= 0 else f"killed by signal {-end.code}"
            status = "fail" if end.code else "ok"
            marks.append([at[end.process], begun, begun, "Exit", status, how, f"{LAB}/{end.record['index']}"])
    return marks, max(0, len(list(_calls(history))) - len(calls))


def _weight(call: Call, pointed: frozenset[Pointer]) -> int:
    """Return how soon an operation may be left out: what says the most comes first."""
    if (call.process, call.invoke["index"]) in pointed or call.faults or call.status != "ok":
        return 0
    if call.operation in ("PerformSideEffect", "Send"):
        return 1
    return 3 if call.operation == "Receive" and not call.result else 2


def _words(history: History, call: Call) -> str:
    arguments, result = call.arguments, call.result
    match call.operation:
        case "Receive":
            said = ", ".join(_with_count(history, item) for item in (result or ())[:10])
            said = said or "nothing"
        case "Send":
            said = f"{len(arguments['messages'])} messages"
        case "Delete" | "ChangeVisibility":
            said = ", ".join(history.name(item) for item in arguments["messages"])
            said += f", timeout {arguments['timeout']} s" if "timeout" in arguments else ""
            said += f", {len(result)} refused" if result else ""
        case "Claim":
            said = f"{history.name_of_key(arguments['key'])}: {(result or {}).get('type', 'no answer')}"
        case _:
            said = history.name_of_key(arguments["key"]) if "key" in arguments else ""
            said += f": {result}" if isinstance(result, bool | int) else ""
    if call.outcome is None:
        return f"{said} (no outcome)"
    error = call.outcome.get("error")
    return f"{said}: {error}" if error else said


def _with_count(history: History, item: Mapping[str, Any]) -> str:
    name = history.name(item["message_id"])
    return f"{name} (receive {item['receive_count']})" if item["receive_count"] > 1 else name


# --- rows of messages --------------------------------------------------------------------------------------------


def _rows(history: History, verdict: Verdict, lanes: Sequence[str], origin: float) -> tuple[list[dict[str, Any]], int]:
    """Return a row for each message, those first that something happened to."""
    accused = {item for found in verdict.violations.values() for each in found for item in each.message_ids}
    messages = list(history.messages.values())

    def rank(message: SentMessage) -> tuple[bool, int]:
        return message.message_id not in accused, -len(history.deliveries_of.get(message.message_id, ()))

    chosen = nsmallest(MOST_ROWS, enumerate(messages), key=lambda item: (*rank(item[1]), item[0]))
    at = {lane: number for number, lane in enumerate(lanes)}
    settled = settled_at(history)
    rows = [
        _row(history, message, at, origin, settled.get(message.message_id))
        for _, message in sorted(chosen, key=lambda item: item[0])
    ]
    for row in rows:
        row["accused"] = row.pop("id") in accused
    return rows, len(messages) - len(rows)


def _row(
    history: History, message: SentMessage, at: Mapping[str, int], origin: float, settled: float | None
) -> dict[str, Any]:
    deliveries = history.deliveries_of.get(message.message_id, ())
    return {
        "id": message.message_id,
        "name": history.name(message.message_id).removeprefix("message "),
        "group": message.group,
        "poison": message.poison,
        "sent": _rounded(message.call.ended - origin) if message.acknowledged else None,
        "spans": [_span(history, item, at, origin, settled) for item in deliveries],
        "effects": [
            [at[effect.process], _rounded(_time_of(effect.call) - origin), effect.status]
            for effect in _effects(history, message)
        ],
        "settled": None if settled is None else _rounded(settled - origin),
        "dead": message.message_id in history.dead_letters,
    }


def _effects(history: History, message: SentMessage) -> Iterable[Effect]:
    """Yield the side effects that a message caused, whatever key its consumer knew it by."""
    for key in dict.fromkeys((message.key, message.message_id)):
        for effect in history.effects_of.get(key, ()):
            if effect.message_id == message.message_id:
                yield effect


def _time_of(call: Call) -> float:
    """Return when an operation was over, or begun where nobody knows more."""
    return call.started if call.outcome is None else call.ended


def _span(
    history: History, delivery: Delivery, at: Mapping[str, int], origin: float, settled: float | None
) -> list[Any]:
    """Return for how long a delivery kept a message from others: lane, begin, end, receive count."""
    end = delivery.time + history.facts.visibility_timeout
    for call in history.calls("ChangeVisibility"):
        mine = call.process == delivery.process and delivery.message_id in call.arguments["messages"]
        if mine and delivery.time <= call.started <= end:
            end = call.started + call.arguments["timeout"]
    if settled is not None and delivery.time <= settled:
        end = min(end, settled)
    return [at[delivery.process], _rounded(delivery.time - origin), _rounded(end - origin), delivery.receive_count]


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
