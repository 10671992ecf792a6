"""The witnesses: pure functions from a history to the evidence that the failure under study really happened.

A scenario that passes because nothing went wrong has shown nothing. Each witness asks one question of the history,
and answers with evidence or with None.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scenarios.history import Call, Delivery, Effect, FaultStrike, History, Record, SentMessage

Operation = str
Point = str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen.

    Attributes:
        summary: for people, without a wall of ids: how many, and one example.
        count: how many times it was seen.
        records: the records that show the example.
    """

    summary: str
    count: int
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Witness:
    """One question.

    Attributes:
        question: what must have happened, in words.
        find: returns the evidence, or None.
        required: without its evidence a run is inconclusive.
        reads: the operations that it cannot do without, where not every consumer is known to do them.
    """

    name: str
    question: str
    find: Callable[[History], Evidence | None]
    required: bool = True
    reads: tuple[str, ...] = ()


# --- crashes -----------------------------------------------------------------------------------------------------


def crashed(operation: Operation, point: Point) -> Witness:
    """A consumer was killed at this point, and exactly the message that it had in hand came to another one."""

    def find(history: History) -> Evidence | None:
        for strike in history.faults:
            if (strike.kind, strike.operation, strike.point) != ("crash", operation, point):
                continue
            end = history.exits.get(strike.process)
            if end is None or end.code != -signal.SIGKILL:
                continue
            for message_id in _in_hand(history, strike):
                again = _came_again(history, message_id, strike)
                if again is not None:
                    summary = (
                        f"{strike.process} died by SIGKILL {point} {operation} on {history.name(message_id)}; "
                        f"{again.process} received it again (receive {again.receive_count})"
                    )
                    return Evidence(summary, 1, (strike.record, end.record, *again.call.records))
        return None

    return Witness(
        f"crashed-{point}-{_hyphenated(operation)}",
        f"a consumer dies by SIGKILL {point} {operation}, and that message comes again",
        find,
        reads=(operation,),
    )


def _in_hand(history: History, strike: FaultStrike) -> Sequence[str]:
    """Return the messages that the operation which a crash struck was about."""
    call = strike.call
    if call.operation == "Receive":
        return [item["message_id"] for item in call.result or ()]
    if "messages" in call.arguments:
        return list(call.arguments["messages"])
    if "message_id" in call.arguments:
        return [call.arguments["message_id"]]
    key = call.arguments.get("key")
    received = [delivery for delivery in history.deliveries if delivery.process == strike.process]
    return [
        delivery.message_id
        for delivery in reversed(received)
        if delivery.message_id in history.messages and history.messages[delivery.message_id].key == key
    ][:1]


def _came_again(history: History, message_id: str, strike: FaultStrike) -> Delivery | None:
    for delivery in history.deliveries_of.get(message_id, ()):
        if delivery.time > strike.time and delivery.process != strike.process and delivery.receive_count > 1:
            return delivery
    return None


# --- deliveries --------------------------------------------------------------------------------------------------


def find_delivered_again_at_work(history: History) -> Evidence | None:
    """Find messages that were delivered to another consumer while the first was still at work on them."""
    found = []
    for deliveries in history.deliveries_of.values():
        for first in deliveries:
            over = _end_of_work(history, first)
            if over is None:
                continue
            found += [(first, later, over) for later in deliveries if _during(first, later, over)][:1]
    if not found:
        return None
    first, later, over = found[0]
    summary = (
        f"{times(len(found))}, e.g. {history.name(first.message_id)}: {later.process} received it "
        f"{later.time - first.time:.1f} s after {first.process}, which was at work for {over.ended - first.time:.1f} s"
    )
    return Evidence(summary, len(found), (*first.call.records, *later.call.records, *over.records))


def _end_of_work(history: History, delivery: Delivery) -> Call | None:
    """Return the side effect that a delivery led to in its own process."""
    message = history.messages.get(delivery.message_id)
    for effect in history.effects_of.get(message.key, ()) if message else ():
        if effect.process == delivery.process and effect.call.started >= delivery.time and effect.status == "ok":
            return effect.call
    return None


def _during(first: Delivery, later: Delivery, over: Call) -> bool:
    return later.process != first.process and first.time < later.time < over.ended


def find_dead_lettered_exactly(history: History) -> Evidence | None:
    """Find that each poison message was received exactly max-receive-count times, and then dead-lettered."""
    poison = [message for message in history.messages.values() if message.poison]
    limit = history.facts.max_receive_count
    counts = [len(history.deliveries_of.get(message.message_id, ())) for message in poison]
    if not poison or any(count != limit for count in counts):
        return None
    if any(message.message_id not in history.dead_letters for message in poison):
        return None
    told = [record["receive_count"] for record in history.endpoint("dead-lettered")]
    if any(count != limit for count in told):
        return None
    example = poison[0].message_id
    received = [delivery.call for delivery in history.deliveries_of[example]]
    summary = f"{len(poison)} of {len(poison)} poison messages, each after {limit} receives"
    return Evidence(
        summary,
        len(poison),
        (*(record for call in received for record in call.records), *history.dead_letters[example]),
    )


def find_all_sent(history: History) -> Evidence | None:
    """Find that messages were sent, and that each send was acknowledged."""
    count = len(history.sends)
    unclear = [call for call in history.calls("Send") if call.status != "ok" or call.result["failed"]]
    return Evidence(f"{count} messages, all acknowledged", count) if count and not unclear else None


def find_all_deleted(history: History) -> Evidence | None:
    """Find that each message that was sent was deleted."""
    count = len(history.sends)
    if not count or any(message.message_id not in history.gone for message in history.sends):
        return None
    return Evidence(f"{count} of {count} messages", count)


# --- message groups ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stop:
    """A side effect that failed, and the one by which the same message was done later."""

    failed: Effect
    done: Effect


def _stops(history: History) -> Iterable[_Stop]:
    for effects in history.effects_of.values():
        for failed in effects:
            if failed.status == "fail" and failed.group is not None:
                done = [item for item in effects if item.status == "ok" and item.call.started > failed.call.ended]
                if done:
                    yield _Stop(failed, done[0])


def find_group_stopped_and_resumed(history: History) -> Evidence | None:
    """Find a failure in the middle of a group after which the group stood still, and then went on in order.

    There must have been something to hold back: later messages of the group, in the same receive.
    """
    for stop in _stops(history):
        held_back = _behind(history, stop.failed)
        effects = [history.effects_of.get(message.key, ()) for message in held_back]
        begun = [[item for item in tries if item.call.started > stop.failed.call.started] for tries in effects]
        went_on = all(tries and tries[0].call.started > stop.done.call.started for tries in begun)
        if held_back and went_on:
            summary = (
                f"group {stop.failed.group} stopped at {history.name(stop.failed.message_id)}, held back "
                f"{len(held_back)} in hand, and went on {stop.done.call.ended - stop.failed.call.ended:.1f} s later"
            )
            return Evidence(summary, 1, (*stop.failed.call.records, *stop.done.call.records))
    return None


def _behind(history: History, failed: Effect) -> Sequence[SentMessage]:
    """Return the messages of the same group that came with a failed one, and behind it."""
    here = history.messages.get(failed.message_id)
    receives = [
        delivery.call
        for delivery in history.deliveries_of.get(failed.message_id, ())
        if delivery.process == failed.process and delivery.time <= failed.call.started
    ]
    if here is None or not receives:
        return []
    together = [history.messages.get(item["message_id"]) for item in receives[-1].result]
    return [
        message
        for message in together
        if message is not None and message.group == here.group and message.position > here.position
    ]


def find_other_groups_ran_on(history: History) -> Evidence | None:
    """Find side effects of other groups between a failure and the time when its message was done, by whoever failed.

    That another consumer goes on with them says nothing of the one that failed.
    """
    for stop in _stops(history):
        others = [
            effect
            for effect in history.effects
            if effect.status == "ok"
            and effect.process == stop.failed.process
            and effect.group not in (None, stop.failed.group)
            and stop.failed.call.ended < effect.call.ended < stop.done.call.started
        ]
        if others:
            groups = sorted({str(effect.group) for effect in others})
            summary = (
                f"{stop.failed.process} did {len(others)} messages of {', '.join(groups)} while {stop.failed.group} "
                "stood still"
            )
            return Evidence(summary, len(others), (*stop.failed.call.records, *others[0].call.records))
    return None


# --- what the queue itself did -----------------------------------------------------------------------------------


def find_duplicated(history: History) -> Evidence | None:
    """Find messages that the queue delivered a second time within one visibility timeout.

    The endpoint says so where it records its side. Elsewhere only what cannot be a redelivery counts: two receives
    that lie, from the beginning of the first to the end of the second, within one visibility timeout.
    """
    told = _acts(history, "duplicate")
    if told:
        return _queue_evidence(history, told, "delivered twice")
    given_back = {item for call in history.calls("ChangeVisibility") for item in call.arguments["messages"]}
    for message_id, deliveries in history.deliveries_of.items():
        for first, second in pairwise(deliveries):
            near = second.time - first.call.started < history.facts.visibility_timeout
            if near and message_id not in given_back:
                summary = f"e.g. {history.name(message_id)}, to {first.process} and to {second.process}"
                return Evidence(summary, 1, (*first.call.records, *second.call.records))
    return None


def find_reordered(history: History) -> Evidence | None:
    """Find deliveries that were not in the order of sends: by the endpoint's word, else by the first deliveries."""
    told = _acts(history, "reordered")
    if told:
        return _queue_evidence(history, told, "delivered out of order")
    furthest: tuple[int, Delivery] | None = None
    for delivery in history.deliveries:
        message = history.messages.get(delivery.message_id)
        if message is None or delivery.receive_count > 1:
            continue
        if furthest is not None and message.position < furthest[0]:
            summary = f"e.g. {history.name(delivery.message_id)} after {history.name(furthest[1].message_id)}"
            return Evidence(summary, 1, (*furthest[1].call.records, *delivery.call.records))
        furthest = (message.position, delivery)
    return None


def find_under_filled(history: History) -> Evidence | None:
    """Find receives that brought fewer messages than they could have; only the endpoint can know."""
    told = history.endpoint("underfilled")
    if not told:
        return None
    first = told[0]
    summary = f"{times(len(told))}, e.g. {first['returned']} of {first['available']} available messages"
    return Evidence(summary, len(told), (first,))


def _acts(history: History, act: str) -> Sequence[Record]:
    return [record for record in history.endpoint("delivered") if act in record.get("chaos", ())]


def _queue_evidence(history: History, told: Sequence[Record], what: str) -> Evidence:
    return Evidence(f"{times(len(told))}, e.g. {history.name(told[0]['message_id'])} {what}", len(told), (told[0],))


def times(count: int) -> str:
    """Return how often something was seen, in words."""
    return "once" if count == 1 else f"{count} times"


def _hyphenated(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


DELIVERED_AGAIN_AT_WORK = Witness(
    "delivered-again-at-work",
    "a message is delivered again while the first consumer is still at work on it",
    find_delivered_again_at_work,
)
DEAD_LETTERED_EXACTLY = Witness(
    "dead-lettered-exactly",
    "each poison message is dead-lettered after exactly max-receive-count receives",
    find_dead_lettered_exactly,
)
ALL_SENT = Witness("all-sent", "every message is sent", find_all_sent)
ALL_DELETED = Witness("all-deleted", "every message is deleted", find_all_deleted)
GROUP_STOPPED_AND_RESUMED = Witness(
    "group-stopped-and-resumed",
    "a message group stops at a failure, and goes on with it",
    find_group_stopped_and_resumed,
)
OTHER_GROUPS_RAN_ON = Witness(
    "other-groups-ran-on",
    "the consumer that stops a group goes on with others meanwhile",
    find_other_groups_ran_on,
)
DUPLICATED = Witness("delivered-twice", "the queue delivers a message twice", find_duplicated)
REORDERED = Witness("reordered", "the queue delivers out of order", find_reordered)
UNDER_FILLED = Witness("under-filled", "a receive brings fewer messages than there are", find_under_filled)
