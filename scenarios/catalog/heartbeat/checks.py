"""Invariants and witnesses of heartbeat alone."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History
from services.consumer.patterns import Pattern


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
    """Find work that took longer than the visibility timeout, on a message that no other consumer received."""
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
        f"{history.facts.visibility_timeout:g} s, extended {len(beats)} times, delivered to no other consumer"
    )
    return Evidence(summary, len(found), (*effect.call.records, *beats[0].records))


def find_work_outlasted_timeout(history: History) -> Evidence | None:
    """Find work that took longer than the visibility timeout, whoever else received the message meanwhile."""
    long = [
        effect
        for effect in history.effects
        if effect.status == "ok" and effect.call.ended - effect.call.started > history.facts.visibility_timeout
    ]
    if not long:
        return None
    lasted = max(effect.call.ended - effect.call.started for effect in long)
    summary = f"{times(len(long))}, up to {lasted:.1f} s under a timeout of {history.facts.visibility_timeout:g} s"
    return Evidence(summary, len(long), long[0].call.records)


WORK_OUTLASTED_TIMEOUT = Witness(
    "work-outlasted-timeout", "work lasts longer than the visibility timeout", find_work_outlasted_timeout
)
WORK_EXCEEDED_TIMEOUT = Witness(
    "work-exceeded-timeout",
    "work lasts longer than the visibility timeout, and no other consumer receives the message meanwhile",
    find_work_exceeded_timeout,
    pattern=Pattern.HEARTBEAT,
)


LOST_LEASE = Witness(
    "lost-lease",
    "a heartbeat finds the lease taken, and its consumer lets go of the message",
    find_lost_lease,
    reads=("RenewClaim",),
    pattern=Pattern.HEARTBEAT,
)
