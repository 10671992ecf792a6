"""What a report says, as JSON values: words for the template, columns for the plots.

Times are seconds from the beginning of the run. What is shown is bounded, so that a report of a hundred thousand
messages opens as one of ten does: what the judge or a fault points at is kept first, and what is left out is counted.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from textwrap import dedent
from typing import Any
from urllib.parse import quote

from scenarios.history import Call, Event, History, Pointer, Record, pointer_of
from scenarios.report.html.curves import consumers_of, curves_of
from scenarios.report.html.rows import fates_of, rows_of
from scenarios.report.html.timeline import (
    Columns,
    lanes_of,
    legend_of,
    marks_of,
    name_of,
    signs_of,
    words_of,
)
from scenarios.verdict import Verdict

#: The most violations of one invariant that are listed.
MOST_VIOLATIONS = 20
#: The most records of one finding that are listed, and pointed at.
MOST_RECORDS = 60


def content_of(verdict: Verdict, history: History) -> dict[str, Any]:
    """Return everything that a report says: ``words`` for the template, ``plots`` for the script."""
    lanes, origin = lanes_of(history), _origin(history)
    end = max(history.ended, origin)
    marks, marks_left_out = marks_of(history, lanes, _pointed_at(verdict), origin)
    signs = signs_of(history, lanes, origin)
    outcomes = fates_of(history)
    accused = frozenset(item for found in verdict.violations.values() for each in found for item in each.message_ids)
    rows, rows_left_out = rows_of(history, lanes, accused, origin, outcomes)
    teller = _Formatter(history, lanes, marks, signs, origin)
    return {
        "words": {
            **_headline(verdict, history),
            "invariants": list(_invariants(verdict, teller)),
            "witnesses": list(_witnesses(verdict, teller)),
            "not_judged": {name: ", ".join(operations) for name, operations in verdict.not_judged.items()},
            "undeclared": verdict.undeclared,
            "excused": [item.why for item in verdict.excused],
            "warnings": [
                {"name": name, "count": len(found), "example": found[0].summary}
                for name, found in verdict.warnings.items()
            ],
            "marks_left_out": marks_left_out,
            "rows_left_out": rows_left_out,
        },
        "plots": {
            "end": round(end - origin, 4),
            "lanes": lanes,
            "marks": marks,
            "signs": signs,
            "legend": legend_of(marks, signs),
            "rows": rows,
            "curves": curves_of(history, origin, end, outcomes),
            "consumers": consumers_of(history, origin, end),
        },
    }


def _headline(verdict: Verdict, history: History) -> dict[str, Any]:
    conditions, scenario = verdict.conditions, verdict.scenario
    facts = history.facts
    story = inspect.getdoc(inspect.getmodule(scenario.run)) or ""
    return {
        "scenario": scenario.name,
        "summary": scenario.summary,
        "story": [_paragraph(text) for text in story.split("\n\n") if text.strip()],
        "naive": conditions.naive,
        "without": scenario.naive_twin.without,
        "twin_violation": scenario.naive_twin.violation,
        "verdict": str(verdict.outcome),
        "reason": verdict.reason,
        "command": conditions.command,
        "facts": {
            "tier": conditions.tier,
            **({"endpoint": conditions.endpoint} if conditions.endpoint else {}),
            "seed": conditions.seed,
            **{name.replace("_", " "): value for name, value in asdict(conditions.parameters).items()},
            **({"consumer": conditions.consumer} if conditions.consumer else {}),
            "queue": "FIFO" if facts.fifo else "standard",
            "visibility timeout": f"{facts.visibility_timeout:g} s",
            "max receive count": facts.max_receive_count,
        },
        "figures": {
            "sent": len(history.sends),
            "side effects": sum(history.executions.values()),
            "delivered": len(history.deliveries),
            "delivered again": sum(delivery.receive_count > 1 for delivery in history.deliveries),
            "deleted": len(history.gone),
            "dead letters": len(history.dead_letters),
            "faults": len(history.faults),
        },
    }


def _paragraph(text: str) -> dict[str, Any]:
    """Return a part of a scenario; what is indented is a picture."""
    return {"picture": text.startswith("  "), "text": dedent(text).strip("\n")}


def _origin(history: History) -> float:
    return history.began


# --- what the judge found ----------------------------------------------------------------------------------------


def _pointed_at(verdict: Verdict) -> frozenset[Pointer]:
    violations = chain.from_iterable(found[:MOST_VIOLATIONS] for found in verdict.violations.values())
    records = [item.records for item in violations]
    records += [item.records for item in verdict.evidence.values() if item is not None]
    return frozenset(pointer_of(record) for found in records for record in found[:MOST_RECORDS])


def _invariants(verdict: Verdict, teller: _Formatter) -> Iterable[dict[str, Any]]:
    for invariant in verdict.invariants:
        found = verdict.violations[invariant.name]
        yield {
            "name": invariant.name,
            "promise": invariant.promise,
            "count": len(found),
            "violations": [
                {"summary": item.summary, **teller.shown(item.records, item.message_ids)}
                for item in found[:MOST_VIOLATIONS]
            ],
        }


def _witnesses(verdict: Verdict, teller: _Formatter) -> Iterable[dict[str, Any]]:
    for witness in verdict.witnesses:
        found = verdict.evidence[witness.name]
        yield {
            "name": witness.name,
            "question": witness.question,
            "required": witness.required,
            "evidence": None if found is None else {"summary": found.summary, **teller.shown(found.records)},
        }


class _Formatter:
    """Tells of records in words, each with a link to the mark or the row that it is about."""

    def __init__(self, history: History, lanes: Sequence[str], marks: Columns, signs: Columns, origin: float) -> None:
        self._history, self._origin = history, origin
        pointers = zip((lanes[lane] for lane in marks["lane"]), marks["index"], strict=True)
        self._drawn = {*map(name_of, pointers), *signs["key"]}
        self._calls: dict[Pointer, Call] = {call.pointer: call for call in history.all_calls}

    def shown(self, records: Sequence[Record], message_ids: Sequence[str] = ()) -> dict[str, Any]:
        """Return evidence: ``steps`` to list, ``marks`` and ``messages`` to show."""
        pointers = dict.fromkeys(pointer_of(record) for record in records[:MOST_RECORDS])
        about = {pointer_of(record): record for record in reversed(records[:MOST_RECORDS])}
        messages = dict.fromkeys(message_ids)
        for record in about.values():
            messages.update(dict.fromkeys(self._messages_of(record)))
        return {
            "steps": [self._step(pointer, about[pointer]) for pointer in pointers],
            "marks": [name for name in map(name_of, pointers) if name in self._drawn],
            "messages": list(messages),
        }

    def _step(self, pointer: Pointer, record: Record) -> dict[str, Any]:
        call, name = self._calls.get(pointer), name_of(pointer)
        link = f"#operation/{quote(name)}" if name in self._drawn else ""
        event = Event(record)
        time = (event.time if call is None else call.started) - self._origin
        step = {"time": round(time, 4), "who": pointer[0]}
        if call is None:
            messages = self._messages_of(record)
            said = ", ".join(map(self._history.name, messages[:10])) or _details(record)
            link = link or (f"#message/{quote(messages[0])}" if messages else "")
            return {**step, "what": event.name, "said": said, "link": link}
        return {**step, "what": call.operation, "said": words_of(self._history, call), "link": link}

    def _messages_of(self, record: Record) -> list[str]:
        """Return the ids of the messages that a record is about, where it says so."""
        call = self._calls.get(pointer_of(record))
        said: Mapping[str, Any] = record if call is None else call.arguments
        if "message_id" in said:
            return [said["message_id"]]
        several = said.get("message_ids", said.get("messages", ()))
        # An event may call a mere number of them so.
        return [item for item in several if isinstance(item, str)] if isinstance(several, Sequence) else []


def _details(record: Record) -> str:
    """Return what an event says that is about no message."""
    own = {name: value for name, value in record.items() if isinstance(value, str | int | float)}
    for name in ("time", "process", "index", "type", "event"):
        own.pop(name, None)
    return ", ".join(f"{'' if name == record.get('event') else name} {value}".strip() for name, value in own.items())[
        :200
    ]
