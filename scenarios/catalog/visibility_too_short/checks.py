"""Invariants and witnesses of visibility-too-short alone."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History


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
