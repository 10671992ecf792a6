"""Batches: a call fails as a whole, or succeeds and has failed in part; only what is left is asked for again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import inf

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, History
from services.consumer.consumer import DELETE_ATTEMPTS
from services.consumer.patterns import Pattern


def refused_and_forgotten(history: History) -> list[Violation]:
    """Find entries of a batch that the queue did not do for reasons of its own, and that were not offered again.

    A consumer has until its next receive: what it deletes later may be another delivery. A process that died had no
    chance to; one that has tried a number of times may give up. A consumer that sends a copy has the original still,
    so what is asked of its sends is that nothing is lost.
    """
    return [
        Violation(
            f"{call.process} had an entry of a {operation} refused for a while, and did not offer it again.",
            records=call.records,
        )
        for operation in ("Send", "Delete")
        for call in _forgotten(history, operation)
    ]


def _forgotten(history: History, operation: str) -> Iterable[Call]:
    by_process: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls(operation):
        by_process[call.process].append(call)
    for process, calls in by_process.items():
        if history.ended_badly(process) or (operation == "Send" and process in history.receives_of):
            continue
        for call in calls:
            left = set(left_over(call))
            if not left:
                continue
            offers = [other for other in between_receives(history, call, calls) if left & set(_offered(other))]
            for identity in left:
                tries = [other for other in offers if identity in _offered(other)]
                if tries[-1] is call and len(tries) < DELETE_ATTEMPTS:
                    yield call
                    break


def left_over(call: Call) -> Sequence[object]:
    """Return what of a batch the queue did not do for a reason of its own: all of it where the call failed."""
    offered = _offered(call)
    if call.status == "ok":
        failed = call.result["failed"] if call.operation == "Send" else call.result
        return [offered[item["entry"]] for item in failed if not item["sender_fault"]]
    return offered if call.may_be_done else ()


def _offered(call: Call) -> Sequence[object]:
    return [item["body"] if isinstance(item, dict) else item for item in call.arguments["messages"]]


def between_receives(history: History, call: Call, calls: Iterable[Call]) -> Sequence[Call]:
    """Return those calls that lie with one between the same two receives of its process."""
    receives = [item.started for item in history.receives_of.get(call.process, ())]
    since = max((time for time in receives if time < call.started), default=0.0)
    until = min((time for time in receives if time > call.started), default=inf)
    return [other for other in calls if other.process == call.process and since <= other.started < until]


def deleted_again(history: History) -> list[Violation]:
    """Find messages that a consumer had deleted, and asked to be deleted again: each delivery has one delete."""
    deleted: Counter[tuple[str, str]] = Counter()
    found = []
    for deletion in history.deletions:
        who = deletion.process, deletion.message_id
        received = history.deliveries_of.get(deletion.message_id, ())
        mine = [item for item in received if item.process == deletion.process and item.time < deletion.call.started]
        if mine and deleted[who] >= len(mine):
            summary = f"{deletion.process} had deleted {history.name(deletion.message_id)}, and asked for it again."
            found.append(Violation(summary, (), (deletion.message_id,), deletion.call.records))
        deleted[who] += deletion.status == "ok"
    return found


REFUSED_AND_FORGOTTEN = Invariant(
    "refused-and-forgotten",
    "what the queue refused for a while is offered again",
    refused_and_forgotten,
    pattern=Pattern.RETRIED_ENTRIES,
)
DELETED_AGAIN = Invariant(
    "deleted-again", "what is deleted is not asked for again", deleted_again, pattern=Pattern.RETRIED_ENTRIES
)


def find_good_among_poison(history: History) -> Evidence | None:
    """Find receives that brought good messages and poison together, and of which just the good ones were deleted."""
    found = []
    for call in history.calls("Receive"):
        together = [item["message_id"] for item in call.result or () if item["message_id"] in history.messages]
        poison = [item for item in together if history.messages[item].poison]
        good = [item for item in together if not history.messages[item].poison]
        deleted = {
            item.message_id for item in history.deletions if item.process == call.process and item.status == "ok"
        }
        if poison and good and not deleted & set(poison) and set(good) <= deleted:
            found.append((call, good, poison))
    if not found:
        return None
    call, good, poison = max(found, key=lambda item: len(item[1]))
    summary = f"{times(len(found))}, e.g. {len(good)} good messages deleted and {len(poison)} poison ones left"
    return Evidence(summary, len(found), call.records)


def find_deleted_at_a_later_try(history: History) -> Evidence | None:
    """Find a batch of deletes that failed for a reason of the queue's own, and a next try that took what was left.

    What is deleted after the next receive may be another delivery, and is no next try.
    """
    calls = history.calls("Delete")
    for failed in calls:
        left = set(left_over(failed))
        for later in between_receives(history, failed, calls):
            took = later.status == "ok" and later.started > failed.ended
            if left and took and not later.result and left <= set(later.arguments["messages"]):
                of = len(failed.arguments["messages"])
                summary = f"{len(left)} of {of} deletes of a batch failed, and the next try took them"
                return Evidence(summary, len(left), (*failed.records, *later.records))
    return None


def find_failed_in_part(history: History) -> Evidence | None:
    """Find a batch of deletes of which some failed and some did not."""
    for call in history.calls("Delete"):
        left, of = len(left_over(call)), len(call.arguments["messages"])
        if call.status == "ok" and 0 < left < of:
            summary = f"{left} of {of} deletes of a batch failed under an overall success"
            return Evidence(summary, left, call.records)
    return None


GOOD_AMONG_POISON = Witness(
    "good-among-poison", "good messages are deleted out of a batch that holds poison", find_good_among_poison
)


DELETED_AT_A_LATER_TRY = Witness(
    "deleted-at-a-later-try",
    "a batch of deletes fails, and what is left is deleted later",
    find_deleted_at_a_later_try,
    pattern=Pattern.RETRIED_ENTRIES,
)


FAILED_IN_PART = Witness(
    "failed-in-part",
    "a batch of deletes fails in part under an overall success",
    find_failed_in_part,
    pattern=Pattern.RETRIED_ENTRIES,
)
