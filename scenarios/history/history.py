"""The history of a run, and quick typed views of it: what was sent, delivered, done, deleted, and what went wrong.

A history is nothing but its records, ordered by time (see ``services.history`` for their types). Every view is made
at its first use and kept; making one reads each record once. Nothing here does any I/O, so the judge runs as well on
a history that was never written down.

    records ─▶ calls ─▶ sends  deliveries  deletions  claims  completes  effects
        │        └ an operation: its invoke record, and its outcome ok, fail or unknown
        └────▶ events: faults  exits  dead letters  the ledger  what the endpoint says of itself
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from scenarios.errors import HistoryError
from scenarios.history.events import REDRIVING, STALE_READ
from scenarios.history.records import (
    ENDPOINT,
    LAB,
    Call,
    ClaimAnswer,
    Completion,
    Deletion,
    Delivery,
    Effect,
    Event,
    Exit,
    Facts,
    FaultStrike,
    Moment,
    Record,
    SentMessage,
)
from services.history import CLOCK, OFFSET
from services.injection import ARRIVED_LATE
from services.payload import MalformedPayload, effect_key, parse_payload, sequence_of


class History:
    """The records of one run.

    Args:
        records: in any order; they are kept ordered by time, process and index.

    Raises:
        HistoryError: a record answers an operation that was never begun.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: Sequence[Record] = sorted(records, key=_order)
        self._calls: dict[str, list[Call]] = defaultdict(list)
        self._events = _Events()
        self._endpoint = _Events()
        self._fault_records: list[tuple[Record, Call]] = []
        self._begun: dict[tuple[str, int], Call] = {}
        self._contents: dict[tuple[str, str], tuple[str, int | None, bool]] = {}
        self._read(self.records)

    def _read(self, records: Iterable[Record]) -> bool:
        """Take in records, in their order; return whether one of them is about a send."""
        begun = self._begun
        sends = False
        for record in records:
            kind, process = record["type"], record["process"]
            if kind == "invoke":
                call = Call(record)
                begun[process, record["index"]] = call
                self._calls[call.operation].append(call)
                sends = sends or call.operation == "Send"
            elif kind == "event":
                (self._endpoint if process == ENDPOINT else self._events).add(record)
            else:
                found = begun.get((process, record["invocation"]))
                if found is None:
                    raise HistoryError(
                        f"The history is not whole: record {record['index']} of {process} speaks of record "
                        f"{record['invocation']}, which is not there."
                    )
                sends = sends or found.operation == "Send"
                if kind == "fault":
                    found.faults.append(record)
                    self._fault_records.append((record, found))
                else:
                    found.outcome = record
        return sends

    # --- what is known of the run ------------------------------------------------------------------------------------

    @cached_property
    def facts(self) -> Facts:
        """What the lab said of the run."""
        said = self._events.of("run")
        return Facts(**{name: said[0][name] for name in Facts._fields if name in said[0]}) if said else Facts()

    def calls(self, operation: str) -> Sequence[Call]:
        """Return the operations of a kind, in the order in which they were begun."""
        return self._calls.get(operation, ())

    def events(self, event: str) -> Sequence[Event]:
        """Return the events of a name that processes and lab recorded."""
        return self._events.of(event)

    def endpoint(self, event: str) -> Sequence[Event]:
        """Return the events of a name that the embedded endpoint recorded."""
        return self._endpoint.of(event)

    @property
    def all_calls(self) -> Iterable[Call]:
        """The operations of all kinds, in the order in which they were begun."""
        return self._begun.values()

    def call_of(self, record: Record) -> Call:
        """Return the operation that a record is about, which is no event."""
        return self._begun[record["process"], record.get("invocation", record["index"])]

    def moments(self) -> Iterable[tuple[Moment, Call | Event]]:
        """Yield what happened, in order: each call when it begins, when a fault strikes it and when it ends; events."""
        begun = self._begun
        for record in self.records:
            kind: Moment = record["type"]
            if kind == "event":
                yield kind, Event(record)
            else:
                yield kind, begun[record["process"], record.get("invocation", record["index"])]

    @property
    def began(self) -> float:
        """The time of the first record, 0 without any."""
        return float(self.records[0]["time"]) if self.records else 0.0

    @property
    def ended(self) -> float:
        """The time of the last record, 0 without any."""
        return float(self.records[-1]["time"]) if self.records else 0.0

    @property
    def has_endpoint(self) -> bool:
        """Whether the endpoint recorded its own side."""
        return bool(self._endpoint)

    # --- messages ----------------------------------------------------------------------------------------------------

    @cached_property
    def sends(self) -> Sequence[SentMessage]:
        """The messages whose sends were acknowledged, in order; one that a FIFO queue swallowed as a duplicate once."""
        found: dict[str, SentMessage] = {}
        for call in self.calls("Send"):
            outgoing = call.arguments["messages"]
            for entry in (call.result or {}).get("sent", ()):
                message = outgoing[entry["entry"]]
                position = self._position(entry.get("sequence_number"), len(found))
                sent = self._message(entry["message_id"], message["body"], message.get("group"), position, call)
                found.setdefault(sent.message_id, sent)
        return tuple(found.values())

    def _position(self, sequence_number: str | None, place: int) -> int:
        """Return a message's place in the order of sends: the queue's own number where it is one."""
        return int(sequence_number) if sequence_number and self._numbers_follow_sends else place

    @cached_property
    def _numbers_follow_sends(self) -> bool:
        """Whether the queue's sequence numbers grow as each producer sends to a message group.

        SQS's do. moto's server draws them at random, and the order in which the sends were answered is all there is.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchResultEntry.html
        """
        last: dict[tuple[str, str | None], int] = {}
        known: set[str] = set()
        unclear: set[str] = set()
        for call in self.calls("Send"):
            outgoing = call.arguments["messages"]
            if call.status == "unknown":
                unclear.update(message["body"] for message in outgoing)
            for entry in (call.result or {}).get("sent", ()):
                number, message = entry.get("sequence_number"), outgoing[entry["entry"]]
                if not number or entry["message_id"] in known or message["body"] in unclear:
                    continue  # a duplicate that the queue swallowed has the number of the first
                known.add(entry["message_id"])
                line = call.process, message.get("group")
                if int(number) <= last.get(line, -1):
                    return False
                last[line] = int(number)
        return True

    @cached_property
    def bodies(self) -> Mapping[str, str]:
        """The body of each message whose send was acknowledged or that was received, by its MessageId."""
        sent = {
            entry["message_id"]: call.arguments["messages"][entry["entry"]]["body"]
            for call in self.calls("Send")
            for entry in (call.result or {}).get("sent", ())
        }
        return sent | {delivery.message_id: delivery.body for delivery in self.deliveries}

    @cached_property
    def attempted_bodies(self) -> frozenset[str]:
        """The bodies of all messages that a process tried to send, whatever came of it."""
        return frozenset(message["body"] for call in self.calls("Send") for message in call.arguments["messages"])

    @cached_property
    def attempted_keys(self) -> frozenset[str]:
        """The keys of all messages that a producer tried to send, whatever came of it."""
        unclear = (
            self._message("", message["body"], None, 0, call, acknowledged=False).key
            for call in self.calls("Send")
            if call.status == "unknown"
            for message in call.arguments["messages"]
        )
        return frozenset(message.key for message in self.messages.values()) | frozenset(filter(None, unclear))

    @cached_property
    def messages(self) -> Mapping[str, SentMessage]:
        """Every message that is known to exist, by its MessageId: acknowledged sends, recovered ones, redriven ones.

        A redriven message is the one that was sent, under a MessageId of its own.
        """
        found = {sent.message_id: sent for sent in self.sends}
        unclear = {
            message["body"]: call
            for call in self.calls("Send")
            if call.status == "unknown"
            for message in call.arguments["messages"]
        }
        if unclear:
            for item in self.deliveries:
                if item.message_id not in found and item.body in unclear and item.message_id not in self.redriven:
                    position = self._position(item.sequence_number, len(found))
                    found[item.message_id] = self._message(
                        item.message_id, item.body, item.group, position, unclear[item.body], acknowledged=False
                    )
        for new, record in self.redriven.items():
            if record["message_id"] in found:
                found[new] = found[record["message_id"]]._replace(message_id=new)
        return found

    @cached_property
    def redriven(self) -> Mapping[str, Event]:
        """The MessageIds that a message move task gave, each with the record that says which message it had been.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
        """
        began = self.events(REDRIVING)
        if began:
            return self._redriven_by_body(began[0])
        return {record["new_message_id"]: record for record in self.endpoint("moved")}

    def _redriven_by_body(self, began: Event) -> Mapping[str, Event]:
        """Tell by its body which message a new MessageId belongs to, where the endpoint does not."""
        sent = {self.bodies[message.message_id]: message.message_id for message in self.sends}
        new = {
            item["message_id"]: item["body"]
            for call in self.calls("Receive")
            if call.started >= began.time and call.queue != self.facts.dead_letter_queue
            for item in call.result or ()
        }
        return {
            message_id: Event({**began, "message_id": sent[body], "new_message_id": message_id})
            for message_id, body in new.items()
            if body in sent and message_id not in self._sent_ids
        }

    @cached_property
    def _sent_ids(self) -> frozenset[str]:
        return frozenset(message.message_id for message in self.sends)

    def latest(self, message_id: str) -> str:
        """Return the MessageId that a message has in the end, after any number of redrives."""
        while (new := self._redriven_as.get(message_id)) is not None:
            message_id = new
        return message_id

    @cached_property
    def _redriven_as(self) -> Mapping[str, str]:
        return {record["message_id"]: new for new, record in self.redriven.items()}

    def arrived(self, message: SentMessage) -> float:
        """Return when a message came to the queue: when its send was answered, or when it was moved back."""
        record = self.redriven.get(message.message_id)
        return message.call.ended if record is None else record.time

    def _message(
        self, message_id: str, body: str, group: str | None, position: int, call: Call, *, acknowledged: bool = True
    ) -> SentMessage:
        contents = self._contents.get((message_id, body))
        if contents is None:
            contents = self._contents[message_id, body] = _contents(body, message_id, self.facts.business_field)
        key, sequence, poison = contents
        return SentMessage(message_id, key, sequence, group, poison, position, acknowledged, call)

    @cached_property
    def deliveries(self) -> Sequence[Delivery]:
        """What consumers received from the queue under study, in the order in which the receives ended."""
        other = self.facts.dead_letter_queue
        return self._received(lambda call: not _of_the_lab(call) and not (other and call.queue == other))

    @cached_property
    def dead_letter_deliveries(self) -> Sequence[Delivery]:
        """What was received from the dead-letter queue, by the lab or by anyone."""
        name = self.facts.dead_letter_queue
        return self._received(lambda call: bool(name) and call.queue == name)

    def _received(self, wanted: Any) -> Sequence[Delivery]:
        found = [
            Delivery(
                item["message_id"],
                item["receive_count"],
                call.process,
                item["body"],
                item.get("group"),
                item.get("sequence_number"),
                call,
            )
            for call in self.calls("Receive")
            if call.result and wanted(call)
            for item in call.result
        ]
        found.sort(key=lambda delivery: delivery.time)
        return found

    @cached_property
    def deliveries_of(self) -> Mapping[str, Sequence[Delivery]]:
        """The deliveries of each message, by its MessageId."""
        return _grouped(self.deliveries, lambda delivery: delivery.message_id)

    @cached_property
    def deletions(self) -> Sequence[Deletion]:
        """What consumers asked the queue under study to delete, message by message."""
        other = self.facts.dead_letter_queue
        found: list[Deletion] = []
        for call in self.calls("Delete"):
            if _of_the_lab(call) or (other and call.queue == other):
                continue
            refused = {item["entry"] for item in call.result or ()}
            status = call.status
            found += [
                Deletion(message_id, call.process, "fail" if entry in refused else status, call)
                for entry, message_id in enumerate(call.arguments["messages"])
            ]
        return found

    @cached_property
    def deletions_of(self) -> Mapping[str, Sequence[Deletion]]:
        """The deletions of each message, by its MessageId."""
        return _grouped(self.deletions, lambda deletion: deletion.message_id)

    # --- where a message is in the end -------------------------------------------------------------------------------

    @cached_property
    def dead_letters(self) -> Mapping[str, Sequence[Record]]:
        """The messages that were ever moved to the dead-letter queue, with the records that say so."""
        found: dict[str, list[Record]] = defaultdict(list)
        found |= {message_id: list(records) for message_id, records in self.moved_by_consumers.items()}
        for record in self.endpoint("dead-lettered"):
            found[record["message_id"]].append(record)
        for delivery in self.dead_letter_deliveries:
            if delivery.call.outcome is not None:
                found[delivery.message_id].append(delivery.call.outcome)
        return found

    @cached_property
    def moved_by_consumers(self) -> Mapping[str, Sequence[Record]]:
        """The messages that a consumer sent to the dead-letter queue itself, with the records that found them there.

        Such a copy has a MessageId of its own, so its body tells what it is a copy of.
        """
        found: dict[str, list[Record]] = defaultdict(list)
        strange = [item for item in self.dead_letter_deliveries if item.message_id not in self.messages]
        if strange:
            sent = {self.bodies[message.message_id]: message.message_id for message in self.sends}
            for delivery in strange:
                if delivery.body in sent and delivery.call.outcome is not None:
                    found[sent[delivery.body]].append(delivery.call.outcome)
        return found

    @cached_property
    def dead_lettered_at(self) -> Mapping[str, float]:
        """When each dead letter was moved, or first received from the dead-letter queue where only that is known."""
        return {message_id: float(records[0]["time"]) for message_id, records in self.dead_letters.items()}

    @cached_property
    def purged(self) -> Mapping[str, Event]:
        """The messages that a purge took, with the endpoint's record of it; only the endpoint can know."""
        return {
            message_id: record
            for record in self.endpoint("purged")
            if record.get("queue") != self.facts.dead_letter_queue
            for message_id in record["message_ids"]
        }

    @cached_property
    def gone(self) -> frozenset[str]:
        """The messages that are surely out of the queue: deleted, purged, or forgotten when their retention was over.

        Where the endpoint recorded its side, it is the authority. Elsewhere a delete counts if the process that asked
        for it held the newest receipt handle: an older one succeeds on a standard queue, and need not delete.
        """
        if self.has_endpoint:
            return frozenset(self.purged) | frozenset(
                record["message_id"]
                for event in ("deleted", "expired")
                for record in self.endpoint(event)
                if record.get("queue") != self.facts.dead_letter_queue
            )
        return frozenset(
            deletion.message_id
            for deletion in self.deletions
            if deletion.status == "ok" and self._had_newest_handle(deletion)
        )

    def _had_newest_handle(self, deletion: Deletion) -> bool:
        before = [
            delivery
            for delivery in self.deliveries_of.get(deletion.message_id, ())
            if delivery.time <= deletion.call.started
        ]
        return not before or before[-1].process == deletion.process

    @cached_property
    def left_in_queue(self) -> frozenset[str] | None:
        """The messages that the lab found in the queue at the end; None where it did not look."""
        looked = self.events("left-in-queue")
        return frozenset(item for record in looked for item in record["message_ids"]) if looked else None

    def in_flight(self, message_id: str) -> bool:
        """Return whether a message still waits in the queue, visible or not, as far as anyone can tell."""
        if self.left_in_queue is not None and message_id in self.left_in_queue:
            return True
        if message_id in self.gone or message_id in self.dead_letters or message_id in self._redriven_as:
            return False
        return self.left_in_queue is None or self._held_at_the_end

    @cached_property
    def _held_at_the_end(self) -> bool:
        """Whether messages were in flight when the lab looked last, so that what it did not find may be there."""
        return any(record.get("in_flight") for record in self.events("left-in-queue"))

    @cached_property
    def unsettled(self) -> Sequence[SentMessage]:
        """The messages that still wait in the queue."""
        return [message for message in self.messages.values() if self.in_flight(message.message_id)]

    # --- the store and the world -------------------------------------------------------------------------------------

    @cached_property
    def claims(self) -> Sequence[ClaimAnswer]:
        """The claims, in the order in which they were made."""
        return [
            ClaimAnswer(
                call.arguments["key"],
                call.process,
                (call.result or {}).get("type", ""),
                (call.result or {}).get("fencing_token"),
                call,
            )
            for call in self.calls("Claim")
        ]

    @cached_property
    def completions(self) -> Sequence[Completion]:
        """The completions, in the order in which they were asked for."""
        return [
            Completion(call.arguments["key"], call.process, call.arguments["fencing_token"], call.result, call)
            for call in self.calls("Complete")
        ]

    @cached_property
    def effects(self) -> Sequence[Effect]:
        """The side effects that consumers set out to cause, in the order in which they were begun."""
        return _counted([_effect(call) for call in self._side_effect_calls()])

    def _side_effect_calls(self) -> Sequence[Call]:
        others = [*self.calls("CallApi"), *(call for call in self.calls("Transact") if "message_id" in call.arguments)]
        if not others:
            return self.calls("PerformSideEffect")
        return sorted([*self.calls("PerformSideEffect"), *others], key=lambda call: _order(call.invoke))

    @cached_property
    def effects_of(self) -> Mapping[str, Sequence[Effect]]:
        """The side effects of each key."""
        return _grouped(self.effects, lambda effect: effect.key)

    @cached_property
    def effects_for(self) -> Mapping[str, Sequence[Effect]]:
        """The side effects that each message caused, by its MessageId, whatever they are known by."""
        return _grouped(self.effects, lambda effect: effect.message_id)

    @cached_property
    def late_arrivals(self) -> Mapping[tuple[str, int], float]:
        """When each request took effect whose caller had been told of a timeout before, by what names its operation."""
        return {
            (record["process"], record["invocation"]): record["time"]
            for record in self.events(ARRIVED_LATE)
            if "error" not in record
        }

    @cached_property
    def receives_of(self) -> Mapping[str, Sequence[Call]]:
        """The receives of each process."""
        return _grouped(self.calls("Receive"), lambda call: call.process)

    def delivery_in_hand(self, effect: Effect) -> Delivery | None:
        """Return the delivery by which a process had the message in hand when it set out to cause a side effect."""
        received = [
            delivery
            for delivery in self.deliveries_of.get(effect.message_id, ())
            if delivery.process == effect.process and delivery.time <= effect.call.started
        ]
        return received[-1] if received else None

    @cached_property
    def received_as(self) -> Mapping[tuple[str, int], Call]:
        """The receive that brought each delivery, by message and receive count."""
        return {
            (item["message_id"], item["receive_count"]): call
            for call in self.calls("Receive")
            for item in call.result or ()
        }

    @cached_property
    def claims_of(self) -> Mapping[str, Sequence[ClaimAnswer]]:
        """The claims of each key."""
        return _grouped(self.claims, lambda claim: claim.key)

    @cached_property
    def claims_of_other_keys(self) -> Sequence[ClaimAnswer]:
        """The claims of keys that are no side effect's: a consumer may keep its books under keys of its own."""
        return [claim for claim in self.claims if claim.key not in self.attempted_keys]

    @cached_property
    def sends_of(self) -> Mapping[str, Sequence[SentMessage]]:
        """The acknowledged sends of each key; a consumer that sends a copy adds one."""
        return _grouped(self.sends, lambda message: message.key)

    @cached_property
    def found_in_ledger(self) -> Mapping[str, Sequence[Call]]:
        """The looks into the ledger that found each key's side effect."""
        found: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls("LookUpSideEffect"):
            if call.result is True:
                found[str(call.arguments["key"])].append(call)
        for call in self.calls("ReadLedger"):
            for key in call.result or ():
                found[key].append(call)
        return found

    @cached_property
    def refused_transactions_of(self) -> Mapping[str, Sequence[Call]]:
        """The transactions that were to cause each key's side effect, and whose condition did not hold."""
        refused = (call for call in self.calls("Transact") if call.result and not call.result["done"])
        return _grouped([call for call in refused if "key" in call.arguments], lambda call: call.arguments["key"])

    def reads_of_books(self, key: str) -> Iterable[Call]:
        """Return the reads of items of a consumer's own that may tell that a key's side effect is done.

        A consumer names its items as it likes. An item is about a key that it was to be written with, in one
        transaction with the side effect; or if its name or its value holds the key.
        """
        written = {
            write["key"]
            for call in self.calls("Transact")
            if call.arguments.get("key") == key
            for write in call.arguments["writes"]
        }
        for call in self.calls("GetItem"):
            if call.result is not None:
                item = call.arguments["key"]
                if item in written or _holds(item, key) or _holds(str(call.result), key):
                    yield call

    @cached_property
    def stale_reads(self) -> Sequence[Call]:
        """The reads that a table answered from before its last write.

        A program's own read tells no key: it is found by the process that the endpoint names. That process may live on
        in another invocation, so a read whose answer it never heard is none of them.
        """
        told = self.endpoint(STALE_READ)
        names = ("GetItem", "LookUpSideEffect", "ReadLedger", "ReadState", "OtherRequest") if told else ()
        reads = [call for name in names for call in self.calls(name)]
        return [
            call
            for record in told
            for call in reads
            if call.started <= record.time <= call.over
            and (
                call.process == record["reader"] and call.status == "ok"
                if "reader" in record
                else call.arguments.get("key") == record["key"]
            )
        ]

    def handed_over(self, key: str, body: str) -> Iterable[Call]:
        """Return the writes by which a consumer took over a message: its body in an item, or in the outbox.

        From then on it is in a store that outlives the consumer; what becomes of it there, its side effect tells.
        """
        for call in self.calls("CommitChange"):
            if call.status == "ok" and call.arguments["message"] and _holds(call.arguments["key"], key):
                yield call
        for call in self.calls("PutItem"):
            if call.status == "ok" and call.result and body in call.arguments["value"]:
                yield call

    def is_in_a_store(self, key: str, body: str) -> bool:
        """Return whether a consumer took over a message, and no consumer has asked for its entry to go since."""
        sent = {key for call in self.calls("MarkSent") if call.status != "fail" for key in call.arguments["keys"]}
        changes = [call for name in ("PutItem", "DeleteItem", "Transact") for call in self.calls(name)]
        for taken in self.handed_over(key, body):
            entry = taken.arguments["key"]
            if taken.operation == "CommitChange":
                gone = entry in sent
            else:
                gone = any(call.started > taken.started and entry in _items_of(call) for call in changes)
            if not gone:
                return True
        return False

    @cached_property
    def ledger(self) -> Mapping[str, int] | None:
        """The external system's own count of executions by key, read at the end; None where it was not read."""
        read = self.events("ledger")
        return read[-1]["executions"] if read else None

    @cached_property
    def clock_change(self) -> float:
        """By how many seconds of the wall the wall clock was moved during the run, as far as any process saw it."""
        offsets = [record[OFFSET] for record in self.events(CLOCK) if OFFSET in record]
        return max(offsets) - min(offsets) if offsets else 0.0

    @cached_property
    def states(self) -> Mapping[str, int] | None:
        """The version that each entity's state has, read at the end; None where none was read."""
        read = self.events("states")
        return read[-1]["versions"] if read else None

    @cached_property
    def executions(self) -> Mapping[str, int]:
        """How often each key's side effect was done: the ledger is the authority, else what clients saw."""
        if self.ledger is not None:
            return self.ledger
        found: dict[str, int] = defaultdict(int)
        for effect in self.effects:
            found[effect.key] += effect.status == "ok" and not (effect.recognised and found[effect.key])
        return {key: count for key, count in found.items() if count}

    # --- what went wrong on purpose, and who ended how ---------------------------------------------------------------

    @cached_property
    def faults(self) -> Sequence[FaultStrike]:
        """The faults that struck, in order."""
        return [
            FaultStrike(
                record["fault"]["kind"],
                record["operation"],
                record["fault"].get("point", "before"),
                record["process"],
                float(record["time"]),
                call,
                record,
            )
            for record, call in self._fault_records
        ]

    @cached_property
    def exits(self) -> Mapping[str, Exit]:
        """How each process ended, by its name."""
        return {
            record["exited"]: Exit(record["exited"], record["code"], record.time, record)
            for record in self.events("exited")
        }

    def ended_badly(self, process: str) -> bool:
        """Whether a process is known to have ended with an exit code that is not 0."""
        end = self.exits.get(process)
        return end is not None and end.code != 0

    # --- words for people --------------------------------------------------------------------------------------------

    def name(self, message_id: str) -> str:
        """Return a message's name for people: its number where it has one, else the start of its id."""
        message = self.messages.get(message_id)
        again = " (redriven)" if message_id in self.redriven else ""
        if message is None or message.sequence is None:
            return f"message {message_id[:8]}{again}"
        return f"message #{message.sequence}{again}"

    def name_of_key(self, key: str) -> str:
        """Return the name of the first message that has a key; a step of a saga stands behind it: ``#1/refund``."""
        found = self._by_key.get(key)
        if found is None:
            whole, slash, step = str(key).rpartition("/")  # a consumer may name no key
            return f"{self.name(self._by_key[whole])}{slash}{step}" if whole in self._by_key else f"key {str(key)[:8]}"
        return self.name(found)

    @cached_property
    def _by_key(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for message in self.messages.values():
            found.setdefault(message.key, message.message_id)
        return found


class _Events:
    """Events by their names, each wrapped when it is first asked for: most never are."""

    __slots__ = ("_records", "_wrapped")

    def __init__(self) -> None:
        self._records: dict[str, list[Record]] = defaultdict(list)
        self._wrapped: dict[str, list[Event]] = {}

    def __bool__(self) -> bool:
        return bool(self._records)

    def add(self, record: Record) -> None:
        """Take in the next event."""
        self._records[record["event"]].append(record)

    def of(self, name: str) -> Sequence[Event]:
        """Return the events of a name, in their order."""
        records = self._records.get(name)
        if records is None:
            return ()
        wrapped = self._wrapped.setdefault(name, [])
        if len(wrapped) < len(records):
            wrapped += map(Event, records[len(wrapped) :])
        return wrapped


def _contents(body: str, message_id: str, business_field: str) -> tuple[str, int | None, bool]:
    """Return a message's key, its producer's sequence number, and whether it is poison."""
    try:
        payload = parse_payload(body)
        return effect_key(payload, message_id, business_field), sequence_of(payload), payload.get("poison") is True
    except MalformedPayload:
        return message_id, None, True


def _effect(call: Call) -> Effect:
    # A plain ledger answers with a number, an API that honours idempotency keys with more, and so does a transaction.
    answer = call.result if isinstance(call.result, Mapping) else {"executions": call.result}
    arguments = call.arguments
    status = call.status if answer.get("done", True) else "fail"
    return Effect(
        arguments["key"],
        arguments["message_id"],
        arguments.get("sequence"),
        arguments.get("group"),
        call.process,
        status,
        answer["executions"],
        call,
        answer.get("recognised", False),
    )


def _counted(effects: list[Effect]) -> list[Effect]:
    """Number the effects of each key where the answer does not: a client need not ask the ledger for its count."""
    if all(effect.executions is not None or effect.status != "ok" for effect in effects):
        return effects
    done: dict[str, int] = defaultdict(int)
    numbers: dict[int, int] = {}
    for place, effect in sorted(enumerate(effects), key=lambda item: item[1].call.ended):
        if effect.status == "ok" and not effect.recognised:
            done[effect.key] += 1
            numbers[place] = done[effect.key]
    return [
        effect._replace(executions=numbers[place]) if effect.executions is None and place in numbers else effect
        for place, effect in enumerate(effects)
    ]


def _order(record: Record) -> tuple[float, str, int]:
    return record["time"], record["process"], record["index"]


def _of_the_lab(call: Call) -> bool:
    return call.process.partition("-")[0] == LAB


def _items_of(call: Call) -> Sequence[str]:
    """Return the items that a request may have written or deleted."""
    if call.status == "fail":
        return ()
    return [write["key"] for write in call.arguments.get("writes", [call.arguments])]


def _holds(text: str, key: str) -> bool:
    """Tell whether a text holds a key, and not as a part of a longer word or number."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(key)}(?![0-9A-Za-z])", text) is not None


def _grouped(items: Iterable[Any], key: Any) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found
