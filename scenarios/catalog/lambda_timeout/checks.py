"""A function that is killed at its timeout, in the middle of a message."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Call, Effect, History


def find_killed_after_effect(history: History) -> Evidence | None:
    """Find a side effect that was begun in an invocation which timed out, and whose message came again."""
    for call in history.calls("InvokeFunction"):
        if call.outcome is None or call.outcome.get("error") != "timeout":
            continue
        for message_id in call.arguments["messages"]:
            begun = _effect_within(history, message_id, call)
            again = [item for item in history.deliveries_of.get(message_id, ()) if item.time > call.ended]
            if begun is not None and again:
                summary = (
                    f"{call.process} was killed at its timeout after the side effect of {history.name(message_id)}, "
                    f"which came again (receive {again[0].receive_count})"
                )
                return Evidence(summary, 1, (*call.records, *begun.call.records, *again[0].call.records))
    return None


def _effect_within(history: History, message_id: str, call: Call) -> Effect | None:
    return next(
        (
            effect
            for effect in history.effects_for.get(message_id, ())
            if call.started < effect.call.started < call.ended and effect.status != "fail"
        ),
        None,
    )


KILLED_AFTER_EFFECT = Witness(
    "killed-after-effect",
    "the function is killed at its timeout after a side effect, and that message comes again",
    find_killed_after_effect,
    reads=("InvokeFunction", "PerformSideEffect"),
)
