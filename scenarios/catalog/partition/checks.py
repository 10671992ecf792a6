"""Witnesses of a partition: another consumer takes over what the cut-off one holds, and that one lets go of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, History
from scenarios.history.records import ClaimAnswer, Effect, FaultStrike
from services.consumer.patterns import Pattern


class Takeover(NamedTuple):
    """One key that changed hands while its holder was cut off.

    Attributes:
        key: the side effect's key.
        cut: the partition's beginning.
        claim: the other consumer's claim.
        effect: the other consumer's side effect.
    """

    key: str
    cut: FaultStrike
    claim: ClaimAnswer
    effect: Effect


def takeovers(history: History) -> Iterable[Takeover]:
    """Yield the keys that a consumer held when it was cut off, and that another claimed and did meanwhile."""
    for cut in history.faults:
        if cut.kind != "partition":
            continue
        for claim in history.claims:
            if claim.answer == "Claimed" and claim.process == cut.process and _holds(history, claim, cut):
                yield from _taken_over(history, claim.key, cut)


def _holds(history: History, claim: ClaimAnswer, cut: FaultStrike) -> bool:
    """Return whether a process has claimed a key, and neither done it nor heard of a failure, when it is cut off."""
    effects = (item for item in history.effects_of.get(claim.key, ()) if item.process == cut.process)
    return claim.call.ended <= cut.time and not any(effect.call.started < cut.time for effect in effects)


def _taken_over(history: History, key: str, cut: FaultStrike) -> Iterable[Takeover]:
    until = cut.time + cut.seconds
    for claim in history.claims:
        others = claim.key == key and claim.answer == "Claimed" and claim.process != cut.process
        if not (others and cut.time < claim.call.started < until):
            continue
        for effect in history.effects_of.get(key, ()):
            if effect.status == "ok" and effect.process == claim.process and effect.call.started > claim.call.started:
                yield Takeover(key, cut, claim, effect)
                return


def find_taken_over(history: History) -> Evidence | None:
    """Find work of a consumer that is cut off, which another consumer claims and does."""
    found = _by_key(takeovers(history))
    if not found:
        return None
    first = found[0]
    summary = (
        f"{times(len(found))}, e.g. {first.cut.process} was cut off for {first.cut.seconds:g} s with "
        f"{history.name_of_key(first.key)} in hand; {first.claim.process} claimed it and did the work"
    )
    return Evidence(summary, len(found), (first.cut.record, *first.claim.call.records, *first.effect.call.records))


def find_let_go(history: History) -> Evidence | None:
    """Find a consumer that was cut off, asked for its claim once more, and then left the side effect alone."""
    found = [
        (taken, vain[-1])
        for taken in _by_key(takeovers(history))
        if not any(item.process == taken.cut.process for item in history.effects_of[taken.key])
        and (vain := _asks_in_vain(history, taken))
    ]
    if not found:
        return None
    taken, asked = found[0]
    why = "could not ask for its claim" if asked.result is None else "learnt that its claim was lost"
    summary = f"{times(len(found))}, e.g. {asked.process} {why} of {history.name_of_key(taken.key)}, and let it be"
    return Evidence(summary, len(found), (*taken.claim.call.records, *asked.records))


def _asks_in_vain(history: History, taken: Takeover) -> list[Call]:
    return [
        call
        for call in history.calls("RenewClaim")
        if (call.process, call.arguments["key"]) == (taken.cut.process, taken.key)
        and call.ended > taken.claim.call.started
        and call.outcome is not None
        and call.result is not True
    ]


def _by_key(found: Iterable[Takeover]) -> list[Takeover]:
    """Return one for each key: a consumer that is cut off from two systems is cut off once."""
    return list({taken.key: taken for taken in found}.values())


TAKEN_OVER = Witness(
    "taken-over-while-cut-off",
    "a consumer is cut off with a message in hand, and another claims and does it",
    find_taken_over,
    pattern=Pattern.CLAIMS,
)
LET_GO = Witness(
    "let-go",
    "the consumer that was cut off makes sure of its claim before its side effect, and lets it be",
    find_let_go,
    reads=("RenewClaim",),
    pattern=Pattern.CLAIMS,
)
