"""The timeline of a report as columns: the process of each operation, a mark for it, and a sign for what went wrong.

A lane is a process. It has three tracks, one for what an operation speaks to, so that the way of a message reads as
stairs:

    queue     receive ▇                                        ▇ delete
    store             ▇ claim                     ▇ complete
    world                ▇ look up  ▇ side effect
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

from scenarios.history import LAB, Call, History, Pointer, pointer_of
from services.operations import OPERATIONS, Mark

#: The most operations that are drawn.
MOST_MARKS = 10_000
#: The lane of what the queue itself moves; it is no process.
DEAD_LETTERS = "dead-letter queue"

#: The centre of each track, in lanes, from the lane's own centre.
QUEUE, STORE, WORLD = -0.28, 0.0, 0.28
TRACKS: Mapping[str, float] = {"queue": QUEUE, "store": STORE, "world": WORLD}

Columns = dict[str, list[Any]]


class Kind(NamedTuple):
    """A kind of mark: its words for people, the colour it has in page.css, and its track."""

    label: str
    colour: str
    track: float


def _kind_of(mark: Mark) -> Kind:
    return Kind(mark.label, mark.colour, TRACKS[mark.track])


#: Each operation's, track by track.
KINDS: Mapping[str, Kind] = {
    name: kind
    for track in TRACKS.values()
    for name, kind in {
        **{name: _kind_of(operation.mark) for name, operation in OPERATIONS.items() if operation.recorded},
        "Idle": Kind("receive, nothing came", "idle", QUEUE),
    }.items()
    if kind.track == track
}
#: An operation that this module has not heard of is drawn all the same.
UNKNOWN = Kind("", "other", WORLD)

#: Those that say the most come last, and are drawn above the others.
SIGNS: Mapping[str, Kind] = {
    "ended": Kind("process ended", "soft", 0.0),
    "killed": Kind("process killed, or ended badly", "fault", 0.0),
    "again": Kind("delivered again", "again", QUEUE),
    "dead": Kind("dead-lettered", "bad", 0.0),
    "twice": Kind("side effect done again", "bad", WORLD),
    "fault": Kind("other fault", "fault", 0.0),
    "crash": Kind("crash", "fault", 0.0),
}


def lanes_of(history: History) -> list[str]:
    """Return who did operations in the order of their first ones, then the dead-letter queue if anything came there."""
    lanes = list(dict.fromkeys(call.process for call in history.all_calls))
    # Who collects the dead letters in the end is no part of the scenario: the lab's own lanes come last.
    lanes.sort(key=_of_the_lab)
    return [*lanes, *([DEAD_LETTERS] if history.dead_letters else [])]


def marks_of(history: History, lanes: Sequence[str], pointed: frozenset[Pointer], origin: float) -> tuple[Columns, int]:
    """Return a mark for each operation, as columns of equal length, and how many were left out."""
    calls = list(history.all_calls)
    left_out = max(0, len(calls) - MOST_MARKS)
    if left_out:
        kept = nsmallest(MOST_MARKS, enumerate(calls), key=lambda item: (_weight(item[1], pointed), item[0]))
        calls = [call for _, call in kept]
    at = {lane: number for number, lane in enumerate(lanes)}
    marks: Columns = {name: [] for name in ("lane", "y", "begin", "end", "kind", "status", "said", "index")}
    for call in calls:
        kind, lane = _kind(call), at[call.process]
        marks["lane"].append(lane)
        marks["y"].append(_rounded(lane + KINDS.get(kind, UNKNOWN).track))
        marks["begin"].append(_rounded(call.started - origin))
        marks["end"].append(None if call.outcome is None else _rounded(call.ended - origin))
        marks["kind"].append(kind)
        marks["status"].append(call.status)
        marks["said"].append(words_of(history, call))
        marks["index"].append(call.pointer[1])
    return marks, left_out


def signs_of(history: History, lanes: Sequence[str], origin: float) -> Columns:
    """Return the signs as columns: faults, ends of processes, deliveries and side effects that were not the first."""
    at = {lane: number for number, lane in enumerate(lanes)}
    signs: Columns = {name: [] for name in ("lane", "y", "time", "kind", "said", "key")}

    def add(process: str, time: float, kind: str, said: str, key: Pointer) -> None:
        if process not in at:
            return
        signs["lane"].append(at[process])
        signs["y"].append(_rounded(at[process] + SIGNS[kind].track))
        signs["time"].append(_rounded(time - origin))
        signs["kind"].append(kind)
        signs["said"].append(said)
        signs["key"].append(name_of(key))

    for strike in history.faults:
        kind = "crash" if strike.kind == "crash" else "fault"
        where = f"{strike.point} {strike.operation}" if kind == "crash" else strike.operation
        lasts = f", {strike.seconds:g} s" if strike.seconds else ""
        add(strike.process, strike.time, kind, f"{strike.kind} {where}{lasts}", strike.call.pointer)
    for end in history.exits.values():
        how = f"exit code {end.code}" if end.code >= 0 else f"killed by signal {-end.code}"
        add(end.process, end.time, "killed" if end.code else "ended", how, pointer_of(end.record))
    for delivery in history.deliveries:
        if delivery.receive_count > 1:
            said = f"{history.name(delivery.message_id)}, receive {delivery.receive_count}"
            add(delivery.process, delivery.time, "again", said, delivery.call.pointer)
    for effect in history.effects:
        if effect.executions is not None and effect.executions > 1:
            said = f"{history.name_of_key(effect.key)}: done {effect.executions} times"
            add(effect.process, effect.call.ended, "twice", said, effect.call.pointer)
    for message_id, time in history.dead_lettered_at.items():
        moved = pointer_of(history.dead_letters[message_id][0])
        add(DEAD_LETTERS, time, "dead", history.name(message_id), moved)
    return signs


def legend_of(marks: Columns, signs: Columns) -> dict[str, list[dict[str, Any]]]:
    """Return the kinds of marks and signs that there are, each with its words, colour and number."""
    return {
        "marks": [_entry(name, KINDS, marks) for name in _known_first(marks["kind"], KINDS)],
        "signs": [_entry(name, SIGNS, signs) for name in _known_first(signs["kind"], SIGNS)],
    }


def _known_first(kinds: Iterable[str], known: Mapping[str, Kind]) -> list[str]:
    present = dict.fromkeys(kinds)
    return [*(name for name in known if name in present), *(name for name in present if name not in known)]


def _entry(name: str, known: Mapping[str, Kind], columns: Columns) -> dict[str, Any]:
    kind = known.get(name, UNKNOWN)
    return {"kind": name, "label": kind.label or name, "colour": kind.colour, "count": columns["kind"].count(name)}


def name_of(pointer: Pointer) -> str:
    """Return a pointer as links and plots have it."""
    return "/".join(map(str, pointer))


def words_of(history: History, call: Call) -> str:
    """Return what an operation was about and what came of it, without its name."""
    arguments, result = call.arguments, call.result
    match call.operation:
        case "Receive":
            said = ", ".join(_with_count(history, item) for item in (result or ())[:10]) or "nothing"
        case "Send":
            said = f"{len(arguments['messages'])} messages"
        case "Delete" | "ChangeVisibility":
            said = ", ".join(history.name(item) for item in arguments["messages"])
            said += f", timeout {arguments['timeout']} s" if "timeout" in arguments else ""
            said += f", {len(result)} refused" if result else ""
        case "Claim":
            said = f"{history.name_of_key(arguments['key'])}: {(result or {}).get('type', 'no answer')}"
        case "WriteState":
            said = f"{arguments['entity']} version {arguments['version']}"
            said += f": refused, version {result['version']} is there" if result and not result["took"] else ""
        case "ReadLedger":
            said = f"{arguments['action']}: {', '.join(map(history.name_of_key, result or ())) or 'nothing found'}"
        case "WriteFile":
            said = arguments["file"]
        case "OtherRequest":
            said = " ".join(filter(None, (arguments["service"], arguments["action"], arguments["resource"])))
        case _:
            said = history.name_of_key(arguments["key"]) if "key" in arguments else ""
            said += f": {result}" if isinstance(result, bool | int) else ""
    said = said.replace(", message #", ", #")
    if call.outcome is None:
        return f"{said} (no outcome)"
    return f"{said}: {call.error}" if call.error else said


def _with_count(history: History, item: Mapping[str, Any]) -> str:
    name = history.name(item["message_id"])
    return f"{name} (receive {item['receive_count']})" if item["receive_count"] > 1 else name


def _kind(call: Call) -> str:
    idle = call.operation == "Receive" and call.status == "ok" and not call.result
    return "Idle" if idle else call.operation


def _weight(call: Call, pointed: frozenset[Pointer]) -> int:
    """Return how soon an operation may be left out: what says the most comes first."""
    if call.pointer in pointed or call.faults or call.status != "ok":
        return 0
    if call.operation in ("PerformSideEffect", "WriteState", "CallApi", "CommitChange", "Send", "Purge"):
        return 1
    return 3 if call.operation == "Receive" and not call.result else 2


def _of_the_lab(lane: str) -> bool:
    return lane.partition("-")[0] == LAB


def _rounded(number: float) -> float:
    return round(number, 4)
