"""The witnesses: pure functions from a history to the evidence that the failure under study really happened.

A scenario that passes because nothing went wrong has shown nothing. Each witness asks one question of the history,
and answers with evidence or with None.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scenarios.history import Call, ClaimAnswer, Delivery, Effect, Event, FaultStrike, History, Record
from services.consumer.patterns import Pattern
from services.faults import is_struck

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
        pattern: the pattern that shows in it, asked of consumers that declare it; None for what every consumer meets.
    """

    name: str
    question: str
    find: Callable[[History], Evidence | None]
    required: bool = True
    reads: tuple[str, ...] = ()
    pattern: Pattern | None = None


# --- crashes -----------------------------------------------------------------------------------------------------


def crashed(operation: Operation, point: Point) -> Witness:
    """A consumer was killed at this point, and exactly the message that it had in hand came to another one."""
    places = [(operation, point)]
    if (operation, point) in _OF_FUNCTION:
        places.append(_OF_FUNCTION[operation, point])

    def is_here(strike: FaultStrike) -> bool:
        return any(
            is_struck(named, strike.operation, lambda: strike.call.arguments) and strike.point == at
            for named, at in places
        )

    def find(history: History) -> Evidence | None:
        for strike in history.faults:
            if strike.kind != "crash" or not is_here(strike):
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
        pattern=_PATTERNS.get(operation),
    )


#: The patterns by which a consumer performs an operation that not every consumer does.
_PATTERNS = {"Claim": Pattern.CLAIMS}


#: Where a Lambda function dies at these points: it is handed what was received, and its answer has it deleted.
_OF_FUNCTION = {("Receive", "after"): ("InvokeFunction", "before"), ("Delete", "before"): ("InvokeFunction", "after")}


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
    if key is not None and key not in history.attempted_keys:
        # A consumer may keep its books under keys of its own: what it had received last is what they were about.
        return [delivery.message_id for delivery in received if delivery.call is received[-1].call]
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


def find_dead_lettered_exactly(history: History) -> Evidence | None:
    """Find that each poison message was received exactly max-receive-count times, and then dead-lettered.

    One that its consumer sends again and deletes leaves that to its copy. One that its consumer puts there itself may
    have been received less often.
    """
    moved = history.moved_by_consumers
    poison = [
        message
        for message in history.messages.values()
        if message.poison
        and (
            message.message_id in moved
            or not any(one.status == "ok" for one in history.deletions_of.get(message.message_id, ()))
        )
    ]
    limit = history.facts.max_receive_count
    left_to_queue = [message for message in poison if message.message_id not in moved]
    counts = [len(history.deliveries_of.get(message.message_id, ())) for message in left_to_queue]
    if not poison or any(count != limit for count in counts):
        return None
    if any(message.message_id not in history.dead_letters for message in poison):
        return None
    told = [record["receive_count"] for record in history.endpoint("dead-lettered")]
    if any(count != limit for count in told):
        return None
    example = poison[0].message_id
    received = [delivery.call for delivery in history.deliveries_of[example]]
    how = f"each after {limit} receives" if left_to_queue else "each by its consumer"
    summary = f"{len(poison)} of {len(poison)} poison messages, {how}"
    return Evidence(
        summary,
        len(poison),
        (*(record for call in received for record in call.records), *history.dead_letters[example]),
    )


# --- message groups ----------------------------------------------------------------------------------------------


def find_failed_in_a_group(history: History) -> Evidence | None:
    """Find a side effect that failed and was done later, while a later message of its group was there to be done."""
    for failed in history.effects:
        if failed.status != "fail" or failed.message_id not in history.messages:
            continue
        here = history.messages[failed.message_id]
        done = [
            item
            for item in history.effects_of[failed.key]
            if item.status == "ok" and item.call.started > failed.call.ended
        ]
        behind = [
            message
            for message in history.messages.values()
            if here.group is not None
            and message.group == here.group
            and message.position > here.position
            and message.call.ended < failed.call.ended
        ]
        if done and behind:
            summary = (
                f"{history.name(failed.message_id)} of group {here.group} failed, with {len(behind)} of its group "
                f"behind it, and was done {done[0].call.ended - failed.call.ended:.1f} s later"
            )
            return Evidence(summary, 1, (*failed.call.records, *done[0].call.records))
    return None


FAILED_IN_A_GROUP = Witness(
    "failed-in-a-group",
    "a message fails while others of its group wait behind it, and is done later",
    find_failed_in_a_group,
)

# --- what the queue itself did -----------------------------------------------------------------------------------


def find_duplicated(history: History) -> Evidence | None:
    """Find messages that the queue delivered a second time within one visibility timeout.

    The endpoint says so where it records its side. Elsewhere only what cannot be a redelivery counts: two receives
    that lie, from the beginning of the first to the end of the second, within one visibility timeout.
    """
    told = duplicated_by_queue(history)
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


def duplicated_by_queue(history: History) -> Sequence[Event]:
    """Return the deliveries that the queue duplicated by its own account; empty where it gives none."""
    return _acts(history, "duplicate")


def _acts(history: History, act: str) -> Sequence[Event]:
    return [record for record in history.endpoint("delivered") if act in record.get("chaos", ())]


def _queue_evidence(history: History, told: Sequence[Event], what: str) -> Evidence:
    return Evidence(f"{times(len(told))}, e.g. {history.name(told[0]['message_id'])} {what}", len(told), (told[0],))


def times(count: int) -> str:
    """Return how often something was seen, in words."""
    return "once" if count == 1 else f"{count} times"


def _hyphenated(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


DEAD_LETTERED_EXACTLY = Witness(
    "dead-lettered-exactly",
    "each poison message is dead-lettered after exactly max-receive-count receives",
    find_dead_lettered_exactly,
)
DUPLICATED = Witness("delivered-twice", "the queue delivers a message twice", find_duplicated)
REORDERED = Witness("reordered", "the queue delivers out of order", find_reordered)
UNDER_FILLED = Witness("under-filled", "a receive brings fewer messages than there are", find_under_filled)


def find_claim_contention(history: History) -> Evidence | None:
    """Find a key that one consumer wanted while another was between its claim and the end of its side effect."""
    found: list[tuple[Effect, Call]] = []
    for refused in history.claims:
        if refused.answer != "HeldByAnother":
            continue
        at_work = [
            effect
            for key in _wanted_by(history, refused)
            for effect in history.effects_of.get(key, ())
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


def _wanted_by(history: History, refused: ClaimAnswer) -> Sequence[str]:
    """Return the keys of the side effects that a claim may have been for; a consumer may have keys of its own."""
    if refused.key in history.effects_of or refused.key in history.attempted_keys:
        return [refused.key]
    received = [
        delivery
        for delivery in history.deliveries
        if delivery.process == refused.process and delivery.time < refused.call.started
    ]
    return [
        history.messages[delivery.message_id].key
        for delivery in received
        if delivery.call is received[-1].call and delivery.message_id in history.messages
    ]


CLAIM_CONTENTION = Witness(
    "claim-contention",
    "a consumer wants what another is at work on, and is refused",
    find_claim_contention,
    reads=("Claim",),
    pattern=Pattern.CLAIMS,
)


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
    """Return the side effect that a delivery led to in its own process, or the work that came before none."""
    message = history.messages.get(delivery.message_id)
    for effect in history.effects_of.get(message.key, ()) if message else ():
        worked = effect.status == "ok" or (effect.status == "fail" and effect.call.struck_by("delay"))
        if effect.process == delivery.process and effect.call.started >= delivery.time and worked:
            return effect.call
    return None


def _during(first: Delivery, later: Delivery, over: Call) -> bool:
    return later.process != first.process and first.time < later.time < over.ended


DELIVERED_AGAIN_AT_WORK = Witness(
    "delivered-again-at-work",
    "a message is delivered again while the first consumer is still at work on it",
    find_delivered_again_at_work,
)
