"""Payloads out of line: what must hold where messages refer to objects, and the witnesses of it.

A payload that the lab took away is *gone*: its message is rightly rejected. What no message refers to is an *orphan*.
"""

from __future__ import annotations

from scenarios.checks.invariants import Invariant, Violation, wrongly_dead_lettered
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.history import Call, History
from scenarios.history.events import REMOVER, SWEEPER
from services.consumer.patterns import Pattern
from services.references import object_key

#: The most that a message can hold, in bytes.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
LARGEST_MESSAGE = 1_048_576


def _removals(history: History, process: str) -> dict[str, Call]:
    return {call.arguments["key"]: call for call in history.calls("RemoveObject") if call.process == process}


def _gone(history: History) -> dict[str, Call]:
    """Return by MessageId how the payloads went that the lab took away."""
    removed = _removals(history, REMOVER)
    return {
        message.message_id: removed[object_key(message.key)]
        for message in history.messages.values()
        if object_key(message.key) in removed
    }


def good_dead_lettered(history: History) -> list[Violation]:
    """Find messages in the dead-letter queue that are no poison, and whose payload only a consumer removed."""
    gone = _gone(history)
    return [found for found in wrongly_dead_lettered(history) if not gone.keys() & set(found.message_ids)]


def acked_without_payload(history: History) -> list[Violation]:
    """Find messages whose payload is gone, and that were done or deleted all the same."""
    found = []
    for message_id, removal in _gone(history).items():
        message = history.messages[message_id]
        acts = [effect.call for effect in history.effects_of.get(message.key, ())]
        acts += [item.call for item in history.deletions_of.get(message_id, ())]
        if acts:
            summary = f"{history.name(message_id)} was done or deleted, and its payload was gone."
            records = tuple(record for call in (removal, *acts) for record in call.records)
            found.append(Violation(summary, (message.key,), (message_id,), records))
    return found


def done_without_payload(history: History) -> list[Violation]:
    """Find side effects of consumers that had not fetched the payload before."""
    fetched = {
        (call.process, call.arguments["key"]): call
        for call in reversed(history.calls("FetchObject"))
        if call.status == "ok" and call.result is not None
    }
    found = []
    for effect in history.effects:
        fetch = fetched.get((effect.process, object_key(effect.key)))
        if fetch is None or fetch.ended > effect.call.started:
            summary = f"{effect.process} did {history.name(effect.message_id)} without its payload."
            found.append(Violation(summary, (effect.key,), (effect.message_id,), effect.call.records))
    return found


def payload_forgotten(history: History) -> list[Violation]:
    """Find payloads of deleted messages that no consumer ever set out to remove, although none died over it.

    A removal that fails leaves an orphan to the clean-up, and so does who dies between delete and removal.
    """
    swept = _removals(history, SWEEPER)
    tried = {call.arguments["key"] for call in history.calls("RemoveObject") if call.process not in (REMOVER, SWEEPER)}
    found = []
    for message in history.messages.values():
        key = object_key(message.key)
        deletions = history.deletions_of.get(message.message_id, ())
        deleted = [item for item in deletions if item.status == "ok"]
        excused = key in tried or any(history.ended_badly(item.process) for item in deletions)
        if key not in swept or not deleted or excused:
            continue
        summary = f"{deleted[0].process} deleted {history.name(message.message_id)} and never removed its payload."
        records = (*deleted[0].call.records, *swept[key].records)
        found.append(Violation(summary, (message.key,), (message.message_id,), records))
    return found


def orphans_left(history: History) -> list[Violation]:
    """Find objects that are in the bucket when the run is over."""
    return [
        Violation(f"The object {key} is still in the bucket.", records=(record,))
        for record in history.events("payloads")
        for key in record["keys"]
    ]


def find_orphan_swept(history: History) -> Evidence | None:
    """Find objects whose producer died before it sent what refers to them, and which the clean-up found."""
    known = {object_key(message.key) for message in history.messages.values()}
    swept = _removals(history, SWEEPER)
    orphans = [
        call
        for call in history.calls("PutObject")
        if call.arguments["key"] in swept.keys() - known
        and call.process in history.exits
        and history.exits[call.process].code < 0
    ]
    if not orphans:
        return None
    summary = (
        f"{orphans[0].process} died between upload and send and left {len(orphans)} objects; the clean-up removed them"
    )
    removal = swept[orphans[0].arguments["key"]]
    return Evidence(summary, len(orphans), (*orphans[0].records, *removal.records))


def find_gone_rejected(history: History) -> Evidence | None:
    """Find a message whose payload is gone, which consumers looked for in vain, and which was dead-lettered."""
    for message_id, removal in _gone(history).items():
        key = removal.arguments["key"]
        missed = [
            call
            for call in history.calls("FetchObject")
            if call.arguments["key"] == key and call.status == "ok" and call.result is None
        ]
        if missed and message_id in history.dead_letters:
            summary = (
                f"the payload of {history.name(message_id)} is gone; it was looked for {times(len(missed))}, and the "
                "message went to the dead-letter queue"
            )
            return Evidence(summary, len(missed), (*removal.records, *missed[0].records))
    return None


def find_died_after_removal(history: History) -> Evidence | None:
    """Find a consumer that died right after it had removed a payload, and that no consumer asked for it again."""
    for strike in history.faults:
        if (strike.kind, strike.operation, strike.point) != ("crash", "RemoveObject", "after"):
            continue
        key = strike.call.arguments["key"]
        asked = [
            call for call in history.calls("FetchObject") if call.arguments["key"] == key and call.started > strike.time
        ]
        if not asked:
            summary = f"{strike.process} died right after it had removed {key}, and no consumer asked for it again"
            return Evidence(summary, 1, (*strike.call.records, strike.record))
    return None


def find_comes_again_done(history: History) -> Evidence | None:
    """Find a message that comes again after its side effect was caused."""
    done = {effect.key: effect.call for effect in reversed(history.effects) if effect.status == "ok"}
    found = [
        (done[message.key], delivery)
        for message in history.messages.values()
        if message.key in done
        for delivery in history.deliveries_of.get(message.message_id, ())
        if delivery.time > done[message.key].ended and delivery.receive_count > 1
    ]
    if not found:
        return None
    call, delivery = found[0]
    removed = any(
        removal.arguments["key"] == object_key(call.arguments["key"]) and removal.ended < delivery.time
        for removal in history.calls("RemoveObject")
    )
    summary = (
        f"{times(len(found))}, e.g. {history.name(delivery.message_id)}: {call.process} did it, "
        f"{delivery.process} received it again (receive {delivery.receive_count})"
    )
    summary += ", and its payload was removed by then" if removed else ""
    return Evidence(summary, len(found), (*call.records, *delivery.call.records))


def find_larger_than_a_message(history: History) -> Evidence | None:
    """Find payloads that no message could hold, and that a consumer fetched whole."""
    large = {
        call.arguments["key"]: call
        for call in history.calls("PutObject")
        if call.arguments["characters"] > LARGEST_MESSAGE
    }
    whole = [
        call
        for call in history.calls("FetchObject")
        if call.result
        and call.arguments["key"] in large
        and call.result["characters"] == large[call.arguments["key"]].arguments["characters"]
    ]
    if not whole:
        return None
    upload = large[whole[0].arguments["key"]]
    summary = f"{times(len(whole))}, e.g. {upload.arguments['characters']:,} characters, fetched as they were uploaded"
    return Evidence(summary, len(whole), (*upload.records, *whole[0].records))


WRONGLY_DEAD_LETTERED = Invariant(
    "wrongly-dead-lettered",
    "no good message goes to the dead-letter queue, unless its payload is gone",
    good_dead_lettered,
    excusable=True,
    eventual=True,
)
ACKED_WITHOUT_PAYLOAD = Invariant(
    "acked-without-payload", "no message whose payload is gone is done, or deleted by a consumer", acked_without_payload
)
DONE_WITHOUT_PAYLOAD = Invariant("done-without-payload", "each side effect has its payload first", done_without_payload)
PAYLOAD_FORGOTTEN = Invariant(
    "payload-forgotten",
    "who deletes a message removes its payload, unless it dies in between",
    payload_forgotten,
    # A rule of the bucket's life cycle may do it as well.
    pattern=Pattern.PAYLOAD_REMOVAL,
)
ORPHAN_LEFT = Invariant("orphan-left", "no object is left in the bucket at the end", orphans_left, eventual=True)
ORPHAN_SWEPT = Witness(
    "orphan-swept", "a producer dies between upload and send, and the clean-up removes what it left", find_orphan_swept
)
GONE_REJECTED = Witness(
    "gone-rejected", "a message whose payload is gone goes to the dead-letter queue", find_gone_rejected
)
LARGER_THAN_A_MESSAGE = Witness(
    "larger-than-a-message", "a payload is larger than any message, and arrives whole", find_larger_than_a_message
)
DIED_AFTER_REMOVAL = Witness(
    "died-after-removal",
    "a consumer dies right after it has removed a payload",
    find_died_after_removal,
    pattern=Pattern.PAYLOAD_REMOVAL,
)
COMES_AGAIN_DONE = Witness(
    "comes-again-done",
    "a message that is done comes again, when its payload may be gone",
    find_comes_again_done,
)
