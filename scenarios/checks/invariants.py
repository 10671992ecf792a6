"""The invariants: pure functions from a history to what violates it.

The words are the field's, as Jepsen's queue checkers use them (https://github.com/jepsen-io/jepsen, ``checker.clj``):
an acknowledged send that never comes to anything is *lost*; what was never sent is *unrequested*; a send
with an unknown outcome, and which did come out, is *recovered*, which is good news and violates nothing.

Each message's fate is judged once, so that one defect reads as one kind of violation:

    good message      done, then gone from the queue           as it should be
                      deleted first, and done all the same     deleted before done
                      not done, and gone                       lost
                      in the dead-letter queue                 wrongly dead-lettered
                      still in the queue                       still in flight at the end
    poison message    in the dead-letter queue                 as it should be
                      done, or deleted by a consumer           poison acknowledged

What counts as done is what the external system's ledger says; the clients' word is taken only where it was not read.
Where an outcome is unknown (a crash, a lost connection) a process gets the benefit of the doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from scenarios.history import LAB, Call, Deletion, Effect, Event, History, Record, SentMessage
from services.consumer.patterns import Pattern


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which an invariant does not hold; the invariant that found it knows its name.

    Attributes:
        summary: one sentence for people.
        keys: the effect keys concerned.
        message_ids: the messages concerned.
        records: the records that show it.
    """

    summary: str
    keys: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Invariant:
    """Something that must hold of every history.

    Attributes:
        promise: what it promises, in words that complete "It holds that ...".
        check: returns the violations, none where it holds.
        reads: the operations that it cannot do without, where not every consumer is known to do them.
        pattern: the pattern whose promise it is, judged for consumers that declare it (``Consumer.follows``); None for
            a promise that every consumer keeps.
        is_cost: what violates it is waste and no harm, so it is a warning.
        excusable: what violates it may be a good message in the dead-letter queue, which convicts no consumer where
            faults alone brought it there (see ``scenarios.checks.clean_receives``).
        eventual: it asks that something happens in the end, which no consumer can bring about when the queue or the
            tables are deleted for good.
        of_leases: a pause that outlasts a lease may violate it, which convicts no consumer where the machine made the
            pause (see ``scenarios.checks.starvation``).
    """

    name: str
    promise: str
    check: Callable[[History], list[Violation]]
    reads: tuple[str, ...] = ()
    pattern: Pattern | None = None
    is_cost: bool = False
    excusable: bool = False
    eventual: bool = False
    of_leases: bool = False


def lost(history: History) -> list[Violation]:
    """Find good messages whose send was acknowledged, which were never done, and which are nowhere any more.

    One whose body a consumer wrote into a store of its own is there: its work may go on when the run is over.
    """
    return [
        Violation(
            f"{history.name(message.message_id)} was sent, never done, and is in no queue.",
            (message.key,),
            (message.message_id,),
            tuple(chain(message.call.records, _records_of(history, message))),
        )
        for message in history.sends
        if not message.poison
        and not history.executions.get(message.key)
        and not history.in_flight(latest := history.latest(message.message_id))
        and latest not in history.dead_letters
        and not _lives_on(history, message)
        and not history.is_in_a_store(message.key, history.bodies.get(message.message_id, message.key))
    ]


def _lives_on(history: History, message: SentMessage) -> bool:
    """Return whether a copy that was sent later for the same side effect waits, or is in the dead-letter queue."""
    return any(
        other.call.started > message.call.started
        and (history.in_flight(other.message_id) or other.message_id in history.dead_letters)
        for other in history.sends_of.get(message.key, ())
    )


def duplicated_side_effect(history: History) -> list[Violation]:
    """Find keys whose side effect was done more than once."""
    return [
        Violation(
            f"the side effect of {history.name_of_key(key)} was done {count} times.",
            (key,),
            tuple(dict.fromkeys(effect.message_id for effect in history.effects_of.get(key, ()))),
            _records(effect.call for effect in history.effects_of.get(key, ())),
        )
        for key, count in history.executions.items()
        if count > 1
    ]


def unexpected(history: History) -> list[Violation]:
    """Find side effects that no send explains, not even one whose outcome is unknown."""
    seen = dict.fromkeys(chain(history.executions, (effect.key for effect in history.effects)))
    return [
        Violation(
            f"a side effect was caused under the key {key}, which no producer ever tried to send.",
            (key,),
            tuple(dict.fromkeys(effect.message_id for effect in history.effects_of.get(key, ()))),
            _records(effect.call for effect in history.effects_of.get(key, ())),
        )
        for key in seen
        if key not in history.attempted_keys
    ]


def order_violated(history: History) -> list[Violation]:
    """Find messages that a later one of their group overtook: its side effect was over before theirs was begun.

    The order is the queue's own (its sequence numbers are given at the send), which is the order of sends. Only what
    surely happened can overtake, and what may have happened counts as in time, unless the history knows that its
    request came late. A second execution breaks no order; it is a duplicate.
    """
    groups: dict[str, list[SentMessage]] = defaultdict(list)
    for message in history.messages.values():
        if message.group is not None:
            groups[message.group].append(message)
    # A copy has its first one's place: a queue that has forgotten a deduplication id takes the message once more.
    for group, members in groups.items():
        first: dict[str, SentMessage] = {}
        for message in sorted(members, key=lambda member: member.position):
            first.setdefault(message.key, message)
        groups[group] = list(first.values())
    return [violation for group, members in groups.items() for violation in _overtaken(history, group, members)]


def _overtaken(history: History, group: str, members: Sequence[SentMessage]) -> Iterable[Violation]:
    """Walk from the last message to the first, and keep the one among the later ones that was over first."""
    first_over: Effect | None = None
    for message in sorted(members, key=lambda member: member.position, reverse=True):
        mine = [effect for effect in history.effects_of.get(message.key, ()) if effect.status != "fail"]
        begun = min((_begun(history, effect) for effect in mine), default=0.0)
        if first_over is not None and first_over.call.ended < begun:
            yield Violation(
                f"in group {group}, {history.name(first_over.message_id)} was done before "
                f"{history.name(message.message_id)}, which was sent before it.",
                (message.key, first_over.key),
                (message.message_id, first_over.message_id),
                (*first_over.call.records, *mine[0].call.records),
            )
        for effect in mine:
            if effect.status == "ok" and (first_over is None or effect.call.ended < first_over.call.ended):
                first_over = effect


def _begun(history: History, effect: Effect) -> float:
    """Return when a side effect was begun: at its request, or when that took effect long after its caller gave up.

    A message in the dead-letter queue left its group to others, so no late request of it breaks an order.
    """
    if effect.status == "ok" or effect.message_id in history.dead_letters or not history.executions.get(effect.key):
        return effect.call.started
    return history.late_arrivals.get(effect.call.pointer, effect.call.started)


def deleted_before_done(history: History) -> list[Violation]:
    """Find good messages that a consumer deleted when nothing said that their side effect had been caused.

    The side effect's own outcome says it, whichever process caused it. To the process that deletes, so does a claim
    that is answered with completed, a look into the ledger, its own books, its own send of a copy, which lives on, or
    its own write of the body into a store. Deleted on no such word, a message is lost if its consumer dies, or another
    one that holds it does; that none died this time makes it no better. One that was never done is lost.
    """
    return deleted_on_no_word(history, lambda _: True)


def deleted_on_no_word(history: History, counts: Callable[[Deletion], bool]) -> list[Violation]:
    """Find what :func:`deleted_before_done` finds, among the deletions that count."""
    return [
        Violation(
            f"{deletion.process} deleted {history.name(message.message_id)} when nothing said that it was done.",
            (message.key,),
            (message.message_id,),
            (*deletion.call.records, *_records(effect.call for effect in history.effects_of.get(message.key, ()))),
        )
        for message in history.messages.values()
        if not message.poison and history.executions.get(message.key)
        for deletion in history.deletions_of.get(message.message_id, ())
        if deletion.status != "fail" and counts(deletion) and not _was_known_to_be_done(history, message.key, deletion)
    ]


def _was_known_to_be_done(history: History, key: str, deletion: Deletion) -> bool:
    begun = deletion.call.started
    return (
        any(effect.status == "ok" and effect.call.ended <= begun for effect in history.effects_of.get(key, ()))
        or any(
            answer.answer == "AlreadyCompleted" and answer.process == deletion.process and answer.call.ended <= begun
            for answer in (*history.claims_of.get(key, ()), *history.claims_of_other_keys)
        )
        or _was_sent_again(history, key, deletion)
        or any(
            call.process == deletion.process and call.ended <= begun for call in history.found_in_ledger.get(key, ())
        )
        or any(
            call.process == deletion.process and call.ended <= begun
            for call in chain(
                history.refused_transactions_of.get(key, ()),
                history.reads_of_books(key),
                history.handed_over(key, history.bodies.get(deletion.message_id, key)),
            )
        )
        or (history.facts.program and _may_stand_in_the_books(history, key, deletion))
    )


def _was_sent_again(history: History, key: str, deletion: Deletion) -> bool:
    """Tell whether the process that deletes a message had sent a copy of it before."""
    return any(
        copy.call.process == deletion.process and copy.call.ended <= deletion.call.started
        for copy in history.sends_of.get(key, ())
        if copy.message_id != deletion.message_id
    )


def _may_stand_in_the_books(history: History, key: str, deletion: Deletion) -> bool:
    """Tell whether a program may have read in its own table what another found in the ledger, and wrote there.

    What such requests say is not seen. So a look that found the side effect, a request of the same process after it,
    and one of the process that deletes, which ended after that began, are word enough.
    """
    own = history.calls("OtherRequest")
    return any(
        write.process == look.process
        and write.started >= look.ended
        and any(
            read.process == deletion.process and read.ended >= write.started and read.ended <= deletion.call.started
            for read in own
        )
        for look in history.found_in_ledger.get(key, ())
        for write in own
    )


def wrongly_dead_lettered(history: History) -> list[Violation]:
    """Find good messages in the dead-letter queue."""
    return [
        Violation(
            f"{history.name(message_id)} is no poison and went to the dead-letter queue.",
            (history.messages[message_id].key,),
            (message_id,),
            tuple(records),
        )
        for message_id, records in history.dead_letters.items()
        if message_id in history.messages and not history.messages[message_id].poison
    ]


def poison_acknowledged(history: History) -> list[Violation]:
    """Find poison messages that a consumer did, or deleted as if it had.

    A deleted poison message is gone for good, and no operator can look at it. It counts here and not as lost. One that
    its consumer had sent again before lives on in the copy, which is judged in its turn; and one that its consumer has
    put into the dead-letter queue itself is where it belongs.
    """
    return list(_acknowledged_poison(history))


def _acknowledged_poison(history: History) -> Iterable[Violation]:
    for message in history.messages.values():
        if not message.poison:
            continue
        deletions = [
            item
            for item in history.deletions_of.get(message.message_id, ())
            if item.status == "ok"
            and message.message_id not in history.moved_by_consumers
            and not _was_sent_again(history, message.key, item)
        ]
        effects = history.effects_of.get(message.key, ())
        done = history.executions.get(message.key, 0)
        if done or deletions:
            what = "its side effect was caused" if done else f"it was deleted by {deletions[0].process}"
            yield Violation(
                f"{history.name(message.message_id)} is poison, and {what}.",
                (message.key,),
                (message.message_id,),
                _records([*(effect.call for effect in effects), *(item.call for item in deletions)]),
            )


def in_flight_at_the_end(history: History) -> list[Violation]:
    """Find messages that are neither deleted nor dead-lettered when the run is over."""
    return [
        Violation(
            f"{history.name(message.message_id)} is still in the queue.",
            (message.key,),
            (message.message_id,),
            tuple(_records_of(history, message)),
        )
        for message in history.unsettled
        if not _came_after_the_last_receive(history, message) and not _is_put_off(history, message)
    ]


def _is_put_off(history: History, message: SentMessage) -> bool:
    """Return whether a consumer has put a message off for longer than a visibility timeout, beyond the end."""
    return any(
        call.status != "fail"
        and message.message_id in call.arguments["messages"]
        and call.arguments["timeout"] > history.facts.visibility_timeout
        and call.started + call.arguments["timeout"] > history.records[-1]["time"]
        for call in history.calls("ChangeVisibility")
    )


def _came_after_the_last_receive(history: History, message: SentMessage) -> bool:
    """Return whether a consumer sent a message, a copy of its own, when no consumer asked for messages any more."""
    received = history.receives_of
    by_a_consumer = message.call.process in received
    return by_a_consumer and all(
        calls[-1].started < message.call.ended for name, calls in received.items() if not name.startswith(LAB)
    )


def endpoint_mismatch(history: History) -> list[Violation]:
    """Find what clients and endpoint, or clients and ledger, tell differently.

    Each side's acts are counted. What a client saw done must be on the endpoint's side as well. What only the
    endpoint knows needs a call whose outcome no client knows: a crash or a lost connection explains it, nothing else.
    """
    found = list(_ledger_disagrees(history)) if history.ledger is not None else []
    if history.has_endpoint:
        found += _deliveries_disagree(history)
        found += _sends_disagree(history)
        found += _deletes_disagree(history)
    return found


def _ledger_disagrees(history: History) -> Iterable[Violation]:
    for key in dict.fromkeys(chain(history.executions, history.effects_of)):
        effects = history.effects_of.get(key, ())
        surely = sum(effect.status == "ok" and not effect.recognised for effect in effects)
        at_most = surely + sum(effect.status == "unknown" for effect in effects)
        in_ledger = history.executions.get(key, 0)
        if not surely <= in_ledger <= at_most:
            yield _disagreement(
                f"the ledger holds {in_ledger} executions for {history.name_of_key(key)}, "
                f"and its clients saw {surely} of them done (with {at_most - surely} of unknown outcome).",
                (key,),
                (),
                (effect.call for effect in effects),
            )


def _deliveries_disagree(history: History) -> Iterable[Violation]:
    handed_out = {(record["message_id"], record["receive_count"]) for record in history.endpoint("delivered")}
    for act, call in history.received_as.items():
        if act not in handed_out:
            message_id, count = act
            summary = f"{call.process} received {history.name(message_id)} (receive {count}), which was not handed out."
            yield _disagreement(summary, (), (message_id,), (call,))
    for record in unclaimed_deliveries(history):
        message_id, count = record["message_id"], record["receive_count"]
        summary = f"{history.name(message_id)} was handed out (receive {count}), and no consumer received it."
        yield _disagreement(summary, (), (message_id,), (), (record,))


def unclaimed_deliveries(history: History) -> list[Event]:
    """Return what the endpoint handed out and no consumer of the run received, nor may have without our knowledge."""
    latest = {(record["message_id"], record["receive_count"]): record for record in history.endpoint("delivered")}
    brought = history.received_as
    unclear = [call for call in history.calls("Receive") if call.status == "unknown"]
    return [record for act, record in latest.items() if act not in brought and not _explains(unclear, record)]


def _sends_disagree(history: History) -> Iterable[Violation]:
    # What a consumer puts into the dead-letter queue is found there.
    elsewhere = history.facts.dead_letter_queue
    stored = {item["message_id"]: item for item in history.endpoint("sent") if item.get("queue") != elsewhere}
    for message in history.sends:
        if message.message_id not in stored:
            summary = f"the send of {history.name(message.message_id)} was acknowledged, and the queue never had it."
            yield _disagreement(summary, (message.key,), (message.message_id,), (message.call,))
    unclear = [call for call in history.calls("Send") if call.status == "unknown"]
    acknowledged = {message.message_id for message in history.sends}
    for message_id, record in stored.items():
        if message_id not in acknowledged and not _explains(unclear, record):
            summary = f"the queue has {history.name(message_id)}, which no producer sent."
            yield _disagreement(summary, (), (message_id,), (), (record,))


def _deletes_disagree(history: History) -> Iterable[Violation]:
    # How a delete of what is already gone is answered differs; one trace a message is what can be asked for.
    left_a_trace = {
        record["message_id"] for event in ("deleted", "delete-ignored", "expired") for record in history.endpoint(event)
    }
    asked: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls("Delete"):
        refused = {item["entry"] for item in call.result or ()}
        for entry, message_id in enumerate(call.arguments["messages"]):
            if entry not in refused and call.status != "fail":
                asked[message_id].append(call)
    for message_id, calls in asked.items():
        if message_id not in left_a_trace and any(call.status == "ok" for call in calls):
            summary = f"{calls[0].process} saw {history.name(message_id)} deleted, and the queue never deleted it."
            yield _disagreement(summary, (), (message_id,), calls)
    for record in history.endpoint("deleted"):
        if record["message_id"] not in asked:
            summary = f"the queue deleted {history.name(record['message_id'])}, and no consumer asked it to."
            yield _disagreement(summary, (), (record["message_id"],), (), (record,))


def _explains(unclear: Iterable[Call], record: Event) -> bool:
    return any(call.started <= record.time <= call.over for call in unclear)


def _disagreement(
    summary: str,
    keys: tuple[str, ...],
    message_ids: tuple[str, ...],
    calls: Iterable[Call],
    records: tuple[Record, ...] = (),
) -> Violation:
    return Violation(summary, keys, message_ids, (*_records(calls), *records))


def recovered(history: History) -> list[str]:
    """Return the messages that came out although no producer knew of their send: worth knowing, and no violation."""
    return [message.message_id for message in history.messages.values() if not message.acknowledged]


def _records_of(history: History, message: SentMessage) -> Iterable[Record]:
    """Yield what the clients recorded of one message after its send."""
    for delivery in history.deliveries_of.get(message.message_id, ()):
        yield from delivery.call.records
    for deletion in history.deletions_of.get(message.message_id, ()):
        yield from deletion.call.records


def _records(calls: Iterable[Call]) -> tuple[Record, ...]:
    return tuple(chain.from_iterable(call.records for call in calls))


LOST = Invariant("lost", "no message that was sent is lost", lost)
DUPLICATED_SIDE_EFFECT = Invariant(
    "duplicated-side-effect", "each side effect is caused at most once", duplicated_side_effect, of_leases=True
)
UNREQUESTED_SIDE_EFFECT = Invariant(
    "unrequested-side-effect", "no side effect is caused without a message that asks for it", unexpected
)
DELETED_BEFORE_DONE = Invariant(
    "deleted-before-done", "no message is deleted before its side effect is known to be done", deleted_before_done
)
ORDER_VIOLATED = Invariant("order-violated", "within a message group, effects keep the order of sends", order_violated)
WRONGLY_DEAD_LETTERED = Invariant(
    "wrongly-dead-lettered",
    "no good message goes to the dead-letter queue",
    wrongly_dead_lettered,
    excusable=True,
    eventual=True,
)
POISON_ACKNOWLEDGED = Invariant(
    "poison-acknowledged", "no poison message is done, or deleted by a consumer", poison_acknowledged
)
IN_FLIGHT_AT_THE_END = Invariant(
    "in-flight-at-end", "no message waits in the queue at the end", in_flight_at_the_end, eventual=True
)
ENDPOINT_MISMATCH = Invariant("endpoint-mismatch", "endpoint, ledger and clients agree", endpoint_mismatch)

#: What must hold of any run on a standard queue.
STANDARD: tuple[Invariant, ...] = (
    LOST,
    DUPLICATED_SIDE_EFFECT,
    UNREQUESTED_SIDE_EFFECT,
    DELETED_BEFORE_DONE,
    WRONGLY_DEAD_LETTERED,
    POISON_ACKNOWLEDGED,
    IN_FLIGHT_AT_THE_END,
    ENDPOINT_MISMATCH,
)
#: What must hold of any run on a FIFO queue.
FIFO: tuple[Invariant, ...] = (*STANDARD, ORDER_VIOLATED)
