"""Throttles: invocations that the function has no concurrency for, and messages that never ran."""

from __future__ import annotations

from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import History

#: How an invocation ends for which there is no concurrency.
THROTTLED = "TooManyRequestsException"


def find_throttled_and_done(history: History) -> Evidence | None:
    """Find throttled invocations whose messages were all done in the end."""
    calls = [call for call in history.calls("InvokeFunction") if (call.outcome or {}).get("error") == THROTTLED]
    done = [call for call in calls if all(_is_done(history, item) for item in call.arguments["messages"])]
    if not done:
        return None
    first = done[0]
    names = ", ".join(history.name(item) for item in first.arguments["messages"])
    return Evidence(f"{times(len(done))}, e.g. with {names}, which was done later", len(done), first.records)


def _is_done(history: History, message_id: str) -> bool:
    message = history.messages.get(message_id)
    return message is not None and bool(history.executions.get(message.key))


THROTTLED_AND_DONE = Witness(
    "throttled-and-done",
    "an invocation is throttled, and its messages are done later",
    find_throttled_and_done,
    reads=("InvokeFunction",),
)
