"""Witnesses of single patterns: that the ledger was asked in earnest, that two met at a claim, that retries waited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from scenarios.catalog.partial_batch.checks import between_receives, left_over
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, Effect, History

MessagesByKey = Callable[[History, str], Mapping[str, Sequence[str]]]


def find_found_in_ledger(history: History) -> Evidence | None:
    """Find a look-up that found the side effect of another process, one that never came to its bookkeeping."""
    completed = {(item.key, item.process) for item in history.completions if item.accepted}
    found = [
        (effect, call)
        for call in history.calls("LookUpSideEffect")
        if call.result is True
        for effect in history.effects_of.get(call.arguments["key"], ())[:1]
        if effect.process != call.process and (effect.key, effect.process) not in completed
    ]
    if not found:
        return None
    effect, call = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name(effect.message_id)}: {effect.process} caused its side effect and "
        f"died, {call.process} found it in the ledger"
    )
    return Evidence(summary, len(found), (*effect.call.records, *call.records))


def find_claim_contention(history: History) -> Evidence | None:
    """Find a key that one consumer wanted while another was between its claim and the end of its side effect."""
    found: list[tuple[Effect, Call]] = []
    for refused in history.claims:
        if refused.answer != "HeldByAnother":
            continue
        at_work = [
            effect
            for effect in history.effects_of.get(refused.key, ())
            if effect.process != refused.process and effect.call.started < refused.call.ended < effect.call.ended
        ]
        found += [(effect, refused.call) for effect in at_work[:1]]
    if not found:
        return None
    effect, call = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name_of_key(effect.key)}: {call.process} wanted it while {effect.process} "
        "was at work on it, and was refused"
    )
    return Evidence(summary, len(found), (*effect.call.records, *call.records))


def several_messages(messages_by_key: MessagesByKey, field: str) -> Witness:
    """Two messages with two MessageIds named one order, and both were received."""

    def find(history: History) -> Evidence | None:
        for key, message_ids in messages_by_key(history, field).items():
            received = [item for item in message_ids if item in history.deliveries_of]
            if len(received) > 1:
                calls = [history.deliveries_of[item][0].call for item in received[:2]]
                summary = f"{len(received)} messages name {key}, and each was received"
                return Evidence(summary, len(received), tuple(record for call in calls for record in call.records))
        return None

    return Witness("several-messages-one-order", f"several messages name one {field}, and are received", find)


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


def find_lost_lease(history: History) -> Evidence | None:
    """Find a heartbeat that was told of another's newer claim, after which its consumer left the message alone.

    It neither completed it, nor extended it, nor deleted it.
    """
    for call in history.calls("RenewClaim"):
        key, process = call.arguments["key"], call.process
        if call.status != "ok" or call.result is not False:
            continue
        takers = [claim.call for claim in history.claims if claim.key == key and claim.answer == "Claimed"]
        takers = [claim for claim in takers if claim.process != process and claim.started < call.ended]
        mine = {item.message_id for item in history.effects_of.get(key, ())}
        kept = [
            later
            for operation in ("ChangeVisibility", "Delete")
            for later in history.calls(operation)
            if later.process == process and later.started > call.ended and mine & set(later.arguments["messages"])
        ]
        completed = any(item.key == key and item.process == process and item.accepted for item in history.completions)
        if takers and not kept and not completed:
            summary = (
                f"{history.name_of_key(key)}: {takers[-1].process} had taken over the claim; {process} learnt of it by "
                "its heartbeat, and neither completed, extended nor deleted the message"
            )
            return Evidence(summary, 1, (*takers[-1].records, *call.records))
    return None


def find_work_exceeded_timeout(history: History) -> Evidence | None:
    """Find a side effect that took longer than the visibility timeout, of a message that came to nobody meanwhile."""
    found = []
    for effect in history.effects:
        lasted = effect.call.ended - effect.call.started
        if effect.status != "ok" or lasted <= history.facts.visibility_timeout:
            continue
        meanwhile = [
            item
            for item in history.deliveries_of.get(effect.message_id, ())
            if effect.call.started < item.time < effect.call.ended
        ]
        beats = [
            call
            for call in history.calls("ChangeVisibility")
            if call.process == effect.process
            and effect.message_id in call.arguments["messages"]
            and effect.call.started < call.started < effect.call.ended
        ]
        if beats and not meanwhile:
            found.append((effect, beats, lasted))
    if not found:
        return None
    effect, beats, lasted = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name(effect.message_id)}: {lasted:.1f} s of work under a timeout of "
        f"{history.facts.visibility_timeout:g} s, extended {len(beats)} times, delivered to nobody else"
    )
    return Evidence(summary, len(found), (*effect.call.records, *beats[0].records))


def longer_than(seconds: float) -> Witness:
    """Work lasts longer than a guessed visibility timeout, and within the queue's own."""

    def find(history: History) -> Evidence | None:
        long = [
            effect
            for effect in history.effects
            if effect.status == "ok" and seconds < effect.call.ended - effect.call.started
        ]
        if not long:
            return None
        lasted = max(effect.call.ended - effect.call.started for effect in long)
        summary = (
            f"{times(len(long))}, up to {lasted:.1f} s: more than {seconds:g} s, and less than the "
            f"{history.facts.visibility_timeout:g} s that the queue allows"
        )
        return Evidence(summary, len(long), long[0].call.records)

    return Witness("longer-than-a-guess", f"work lasts longer than {seconds:g} s", find)


def find_healed_after_retries(history: History) -> Evidence | None:
    """Find a message that failed at least twice, and was done in the end."""
    found = []
    for message in history.messages.values():
        tries = history.effects_of.get(message.key, ())
        failed = [effect for effect in tries if effect.status == "fail"]
        if len(failed) > 1 and tries[-1].status == "ok":
            found.append((message, failed, tries[-1]))
    if not found:
        return None
    message, failed, done = found[0]
    gaps = ", ".join(f"{later.call.started - earlier.call.ended:.1f}" for earlier, later in pairwise([*failed, done]))
    summary = (
        f"{len(found)} messages, e.g. {history.name(message.message_id)} failed {len(failed)} times, with {gaps} s "
        "to the next try, and was done"
    )
    return Evidence(summary, len(found), (*failed[0].call.records, *done.call.records))


class _PutOff(NamedTuple):
    """A failure, and the ChangeVisibility by which its message was put off."""

    failed: Effect
    call: Call

    @property
    def seconds(self) -> int:
        return int(self.call.arguments["timeout"])


def _put_offs(history: History, message_id: str) -> list[_PutOff]:
    """Return how a message was put off after each of its failures, in order; what was given back was not."""
    deliveries = history.deliveries_of.get(message_id, ())
    calls = [
        call
        for call in history.calls("ChangeVisibility")
        if call.status == "ok" and message_id in call.arguments["messages"] and call.arguments["timeout"]
    ]
    found = []
    for failed in history.effects_of.get(history.messages[message_id].key, ()):
        if failed.status == "fail" and failed.message_id == message_id:
            ended = failed.call.ended
            again = min((delivery.time for delivery in deliveries if delivery.time > ended), default=inf)
            mine = [call for call in calls if call.process == failed.process and ended <= call.started < again]
            found += [_PutOff(failed, call) for call in mine[:1]]
    return found


def find_put_off_for_longer(history: History) -> Evidence | None:
    """Find a message that was put off for longer after a later failure than after its first.

    What is asked of the queue is compared, and not when the message came again: nobody may have been there to take it.
    One such message is evidence enough. With jitter a time may well be shorter than the one before it, so nobody can be
    convicted of one; times that never grow show here in no message.
    """
    found = []
    for message_id in history.messages:
        put_offs = _put_offs(history, message_id)
        longer = [later for later in put_offs[1:] if later.seconds > put_offs[0].seconds]
        found += [(put_offs[0], later) for later in longer[:1]]
    if not found:
        return None
    first, later = found[0]
    summary = (
        f"{len(found)} messages, e.g. {history.name(first.failed.message_id)}: by {first.seconds} s after its first "
        f"failure, by {later.seconds} s after a later one"
    )
    return Evidence(summary, len(found), (*first.call.records, *later.call.records))


def find_put_off_apart(history: History) -> Evidence | None:
    """Find two messages that failed as often, and were put off by different times."""
    at: dict[int, list[_PutOff]] = defaultdict(list)
    for message_id in history.messages:
        for number, put_off in enumerate(_put_offs(history, message_id)):
            at[number].append(put_off)
    for put_offs in at.values():
        least, most = (pick(put_offs, key=lambda item: item.seconds) for pick in (min, max))
        if least.seconds < most.seconds:
            one, other = (history.name(item.failed.message_id) for item in (least, most))
            summary = f"after as many failures, {one} is put off by {least.seconds} s and {other} by {most.seconds} s"
            return Evidence(summary, 1, (*least.call.records, *most.call.records))
    return None


FOUND_IN_LEDGER = Witness(
    "found-in-ledger",
    "a side effect without its bookkeeping is found in the ledger",
    find_found_in_ledger,
    reads=("LookUpSideEffect", "Complete"),
)
CLAIM_CONTENTION = Witness(
    "claim-contention",
    "a consumer wants what another is at work on, and is refused",
    find_claim_contention,
    reads=("Claim",),
)
GOOD_AMONG_POISON = Witness(
    "good-among-poison", "good messages are deleted out of a batch that holds poison", find_good_among_poison
)
DELETED_AT_A_LATER_TRY = Witness(
    "deleted-at-a-later-try", "a batch of deletes fails, and what is left is deleted later", find_deleted_at_a_later_try
)
WORK_EXCEEDED_TIMEOUT = Witness(
    "work-exceeded-timeout",
    "work lasts longer than the visibility timeout, and the message comes to nobody meanwhile",
    find_work_exceeded_timeout,
)
HEALED_AFTER_RETRIES = Witness(
    "healed-after-retries", "a message fails several times and is done in the end", find_healed_after_retries
)
PUT_OFF_FOR_LONGER = Witness(
    "put-off-for-longer",
    "a message is put off for longer after a later failure than after its first",
    find_put_off_for_longer,
)
PUT_OFF_APART = Witness(
    "put-off-apart",
    "messages that failed as often are put off by different times",
    find_put_off_apart,
    required=False,
)
FAILED_IN_PART = Witness(
    "failed-in-part", "a batch of deletes fails in part under an overall success", find_failed_in_part
)
LOST_LEASE = Witness(
    "lost-lease",
    "a heartbeat finds the lease taken, and its consumer lets go of the message",
    find_lost_lease,
    reads=("RenewClaim",),
)
