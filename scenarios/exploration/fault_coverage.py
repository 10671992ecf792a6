"""Which faults a history met, by kind: what a campaign counts, and complains about where a kind never came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from scenarios.history import History
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
    "delivered twice",
    "reordered",
    "under-filled",
)
#: Kinds that a FIFO queue does not know.
STANDARD_ONLY: Final = frozenset({"delivered twice", "reordered", "under-filled"})

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
}
_CHAOS = {"duplicate": "delivered twice", "reordered": "reordered"}


def faults_met(history: History) -> Counter[str]:
    """Return how often each kind of fault struck."""
    met: Counter[str] = Counter()
    timeout = history.facts.visibility_timeout
    for strike in history.faults:
        met[_kind(strike.fault, strike.operation)] += 1
        if strike.kind == "pause" and strike.seconds > timeout:
            met["pause that outlasts the visibility timeout"] += 1
    for record in history.endpoint("delivered"):
        for act in record.get("chaos", ()):
            met[_CHAOS[act]] += 1
    met["under-filled"] = len(history.endpoint("underfilled"))
    return met


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
