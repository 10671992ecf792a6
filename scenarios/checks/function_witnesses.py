"""Evidence that each kind of fault of a Lambda function had its effect, and that its messages came through.

the environment is killed   before, during and after the handler        the invocation ends by ``exit``
the function times out, its answer is lost, it is throttled             the batch comes again, or waits
a delete fails in part                                                  the entry is deleted by another call
a cold start, an environment that is used again, one that is frozen with work left over
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scenarios.checks.functions import OF_MAPPING
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, Delivery, Event, FaultStrike, History
from scenarios.history.mapping_events import THROTTLED

#: How an invocation ends whose environment was killed, that ran too long, and whose answer did not arrive.
EXIT, TIMEOUT, LOST = "exit", "timeout", "lost"


def _ended_by(history: History, error: str) -> Iterable[Call]:
    return (call for call in history.calls("InvokeFunction") if call.error == error)


def _came_again(history: History, invocation: Call) -> Delivery | None:
    """Return the first delivery of a message of an invocation after its end."""
    return next(
        (
            delivery
            for message_id in invocation.arguments["messages"]
            for delivery in history.deliveries_of.get(message_id, ())
            if delivery.time > invocation.ended
        ),
        None,
    )


def _own_calls(history: History, invocation: Call) -> list[Call]:
    """Return what the handler asked within an invocation, by the process and the time."""
    return [
        call
        for call in history.all_calls
        if call.process == invocation.process
        and call.operation not in OF_MAPPING
        and invocation.started < call.started < invocation.ended
    ]


def _killed(where: str, fits: Callable[[History, FaultStrike, Call], bool]) -> Callable[[History], Evidence | None]:
    """Return what finds an environment that a crash killed, and whose batch came again."""

    def find(history: History) -> Evidence | None:
        for invocation in _ended_by(history, EXIT):
            for strike in history.faults:
                within = invocation.started <= strike.time <= invocation.ended and strike.process == invocation.process
                if strike.kind != "crash" or not within or not fits(history, strike, invocation):
                    continue
                again = _came_again(history, invocation)
                if again is not None:
                    summary = (
                        f"an environment of {strike.process} was killed {where}, and "
                        f"{history.name(again.message_id)} came again (receive {again.receive_count})"
                    )
                    return Evidence(summary, 1, (strike.record, *invocation.records, *again.call.records))
        return None

    return find


def _before(history: History, strike: FaultStrike, invocation: Call) -> bool:
    return (strike.call is invocation and strike.point == "before") and not _own_calls(history, invocation)


def _during(_history: History, strike: FaultStrike, invocation: Call) -> bool:
    if strike.call is invocation:
        return strike.point == "during"
    return strike.operation not in OF_MAPPING


def _after(history: History, strike: FaultStrike, invocation: Call) -> bool:
    return (strike.call is invocation and strike.point == "after") and bool(_own_calls(history, invocation))


def _ended_and_came_again(error: str, said: str) -> Callable[[History], Evidence | None]:
    """Return what finds an invocation that ended by an error, and whose batch came again."""

    def find(history: History) -> Evidence | None:
        for invocation in _ended_by(history, error):
            again = _came_again(history, invocation)
            if again is not None:
                summary = f"{said}, and {history.name(again.message_id)} came again (receive {again.receive_count})"
                return Evidence(summary, 1, (*invocation.records, *again.call.records))
        return None

    return find


def find_deleted_in_part(history: History) -> Evidence | None:
    """Find an entry that a delete failed, and that a later delete removed."""
    for strike in history.faults:
        if strike.kind != "partial-failure" or strike.operation != "Delete":
            continue
        for deletion in history.deletions:
            if deletion.call is not strike.call or deletion.status == "ok":
                continue
            later = next(
                (
                    other
                    for other in history.deletions
                    if other.message_id == deletion.message_id
                    and other.status == "ok"
                    and other.call.started > strike.time
                ),
                None,
            )
            if later is not None:
                summary = f"the delete of {history.name(deletion.message_id)} failed, and a later one did it"
                return Evidence(summary, 1, (strike.record, *later.call.records))
    return None


def find_throttled(history: History) -> Evidence | None:
    """Find a throttled batch that was invoked later: from the mapping's hand, or by another receive."""
    throttled = list(_ended_by(history, THROTTLED))
    for call in throttled:
        messages = set(call.arguments["messages"])
        later = next(
            (
                other
                for other in history.calls("InvokeFunction")
                if other.started > call.ended and other.error != THROTTLED and messages & {*other.arguments["messages"]}
            ),
            None,
        )
        if later is not None:
            summary = (
                f"{times(len(throttled))}; a batch of {call.process} was invoked later, at its {_nth(later)} attempt"
            )
            return Evidence(summary, len(throttled), (*call.records, *later.records))
    return None


def _nth(call: Call) -> str:
    attempt = call.arguments["attempt"]
    return "first" if attempt == 1 else f"{attempt}th"


def find_cold_start(history: History) -> Evidence | None:
    """Find a cold start that a fault caused: the idle environments were gone."""
    for strike in history.faults:
        if strike.kind != "cold-start":
            continue
        for event in history.events("function-invoked"):
            if event.process == strike.process and event["cold"] and event.time >= strike.time:
                summary = f"{strike.process} lost its idle environments, and its next invocation began with an init"
                return Evidence(summary, 1, (strike.record, event))
    return None


def find_reused(history: History) -> Evidence | None:
    """Find invocations of an environment that had handled others before."""
    reused = [event for event in history.events("function-invoked") if event["reuse"]]
    if not reused:
        return None
    most = max(reused, key=lambda event: event["reuse"])
    summary = f"{times(len(reused))}, e.g. an environment of {most.process} handled its invocation {most['reuse'] + 1}"
    return Evidence(summary, len(reused), (most,))


def find_frozen_with_work(history: History) -> Evidence | None:
    """Find a side effect that a handler had left to the background: it goes on when its environment is thawed."""
    thawed = history.events("environment-thawed")
    for effect in history.effects:
        own = [call for call in history.calls("InvokeFunction") if effect.message_id in call.arguments["messages"]]
        before = [call for call in own if call.ended < effect.call.started]
        if not before or any(call.started < effect.call.started < call.ended for call in own):
            continue
        event = _last_thaw(thawed, effect.process, before[-1].ended, effect.call.started)
        if event is not None:
            summary = (
                f"{effect.process} left the side effect of {history.name(effect.message_id)} to the background: it was "
                "frozen with it, and did it in a later invocation"
            )
            return Evidence(summary, 1, (*before[-1].records, event, *effect.call.records))
    return None


def _last_thaw(thawed: Iterable[Event], process: str, after: float, before: float) -> Event | None:
    found = [event for event in thawed if event.process == process and after < event.time <= before]
    return found[-1] if found else None


def _witness(name: str, question: str, find: Callable[[History], Evidence | None], *reads: str) -> Witness:
    return Witness(name, question, find, required=False, reads=("InvokeFunction", *reads))


#: One for each kind of fault; none is needed for a verdict.
FUNCTION_FAULTS = (
    _witness(
        "killed-before-handler",
        "an environment is killed before its handler sees the event, and the batch comes again",
        _killed("before its handler saw the event", _before),
    ),
    _witness(
        "killed-in-handler",
        "an environment is killed while its handler is at work, and the batch comes again",
        _killed("while its handler was at work", _during),
    ),
    _witness(
        "killed-after-handler",
        "an environment is killed when its handler has returned, and the batch comes again",
        _killed("when its handler had returned", _after),
    ),
    _witness(
        "function-timed-out",
        "a function runs into its timeout, and the batch comes again",
        _ended_and_came_again(TIMEOUT, "the function ran into its timeout"),
    ),
    _witness(
        "answer-lost",
        "a function's answer does not arrive, and the batch comes again",
        _ended_and_came_again(LOST, "the function's answer did not arrive"),
    ),
    _witness("delete-failed-in-part", "a delete fails in part, and another one does the rest", find_deleted_in_part),
    _witness("throttled", "a batch is throttled, and invoked later", find_throttled),
    _witness(
        "cold-start", "the idle environments are gone, and the next invocation begins with an init", find_cold_start
    ),
    _witness("environment-reused", "an environment handles a second invocation with its memory", find_reused),
    _witness(
        "frozen-with-work",
        "an environment is frozen with work left over, and does it in a later invocation",
        find_frozen_with_work,
        "PerformSideEffect",
    ),
)
