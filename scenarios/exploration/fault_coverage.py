"""Which faults a history met, by kind: what a campaign counts, and complains about where a kind never came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from scenarios.history import History
from scenarios.history.events import STALE_READ
from scenarios.simulation.world import STALE_COUNTS
from services.consumer.assumptions import Assumption
from services.operations import ChangeVisibility, Delete, Purge, Receive, Send

#: Every kind of fault that a simulation can bring about, in the order in which people are told of them.
FAULT_KINDS: Final = (
    "crash before an operation",
    "crash in an operation, done and unanswered",
    "crash after an operation",
    "reply lost",
    "late request",
    "throttled by the queue",
    "error of the queue",
    "error of the store",
    "slow operation",
    "pause",
    "pause that outlasts the visibility timeout",
    "clock skew",
    "SIGTERM",
    "consumer outage",
    "early end of retention",
    "partial failure of a send",
    "partial failure of a delete or a release",
    "partial batch, its reply lost",
    "partition",
    "throttling that lasts",
    "brown-out",
    "expired credentials",
    "missing queue or table",
    "deleted queue or table",
    "freeze",
    "clock jump",
    "clock drift",
    "attribute raised",
    "attribute lowered",
    "undone message expired",
    "record expired",
    "copy after its delete",
    "deduplication window over",
    "delivered twice",
    "reordered",
    "under-filled",
    "empty short poll",
    "stale read",
    "stale counts",
)
#: Kinds that a FIFO queue does not know.
STANDARD_ONLY: Final = frozenset({"copy after its delete", "delivered twice", "reordered", "under-filled"})
#: Kinds that a standard queue does not know.
FIFO_ONLY: Final = frozenset({"deduplication window over"})
#: Kinds that strike only where nobody declares an assumption.
BEYOND_ONLY: Final[Mapping[str, Assumption]] = {
    "attribute lowered": Assumption.FIXED_ATTRIBUTES,
    "undone message expired": Assumption.LONG_RETENTION,
    "record expired": Assumption.KEPT_RECORDS,
}
#: The kind that no consumer meets which needs no receive to spare: what it costs could not be excused.
DELETED: Final = "deleted queue or table"
#: Kinds that need an operation which not every consumer asks for.
IF_ASKED_FOR: Final = frozenset({"empty short poll", "stale read", "stale counts"})

_QUEUE_OPERATIONS = frozenset(kind.__name__ for kind in (Receive, Delete, ChangeVisibility, Send, Purge))
_CRASHES = {
    "before": "crash before an operation",
    "during": "crash in an operation, done and unanswered",
    "after": "crash after an operation",
}
_PLAIN = {
    "reply-lost": "reply lost",
    "late-request": "late request",
    "delay": "slow operation",
    "clock-skew": "clock skew",
    "sigterm": "SIGTERM",
    "outage": "consumer outage",
    "retention-end": "early end of retention",
    "partial-reply-lost": "partial batch, its reply lost",
    "partition": "partition",
    "throttling": "throttling that lasts",
    "brown-out": "brown-out",
    "expired-credentials": "expired credentials",
    "missing-resource": "missing queue or table",
    "deleted-resource": "deleted queue or table",
    "freeze": "freeze",
    "clock-jump": "clock jump",
    "clock-drift": "clock drift",
    "attribute-raised": "attribute raised",
    "attribute-lowered": "attribute lowered",
    "undone-expiry": "undone message expired",
    "record-expiry": "record expired",
    "copy-after-delete": "copy after its delete",
    "deduplication-over": "deduplication window over",
}
_CHAOS = {"duplicate": "delivered twice", "reordered": "reordered"}


def faults_met(history: History) -> Counter[str]:
    """Return how often each kind of fault struck."""
    met: Counter[str] = Counter()
    timeout = history.facts.visibility_timeout
    for strike in history.faults:
        if "during" in strike.fault:
            continue  # a part of one that was counted when it began
        met[_kind(strike.fault, strike.operation)] += 1
        if strike.kind == "pause" and strike.seconds > timeout:
            met["pause that outlasts the visibility timeout"] += 1
    for record in history.endpoint("delivered"):
        for act in record.get("chaos", ()):
            met[_CHAOS[act]] += 1
    for record in history.endpoint("underfilled"):
        missed_all = record.get("short_poll") and not record["returned"]
        met["empty short poll" if missed_all else "under-filled"] += 1
    met["stale read"] = len(history.endpoint(STALE_READ))
    met["stale counts"] = len(history.endpoint(STALE_COUNTS))
    return met


def may_meet(kind: str, *, fifo: bool, assumes: frozenset[Assumption]) -> bool:
    """Return whether any consumer on such a queue can meet a kind of fault, within what faults keep to."""
    return (
        kind not in (STANDARD_ONLY if fifo else FIFO_ONLY)
        and kind not in IF_ASKED_FOR
        and BEYOND_ONLY.get(kind) not in assumes
        and (kind != DELETED or Assumption.SPARE_RECEIVES in assumes)
    )


def _kind(fault: Mapping[str, Any], operation: str) -> str:
    kind: str = fault["kind"]
    match kind:
        case "crash":
            return _CRASHES[fault.get("point", "after")]
        case "partial-failure":
            return "partial failure of a send" if operation == "Send" else "partial failure of a delete or a release"
        case "error" if operation not in _QUEUE_OPERATIONS:
            return "error of the store"
        case "error":
            return "throttled by the queue" if fault.get("code") == "ThrottlingException" else "error of the queue"
    return _PLAIN.get(kind, kind)
