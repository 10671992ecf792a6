"""The world of one simulation: the queue and its dead-letter queue, the tables, the clock, and the history."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import inf
from typing import Any, NoReturn

from infra.localaws.sqs.batch import check_batch_size, check_entry_ids
from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.errors import OverLimit, SqsError
from infra.localaws.sqs.limits import MAX_BATCH_ENTRIES
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.message import Message as HeldMessage
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.moves import MoveTask
from infra.localaws.sqs.queue import Queue as QueueModel
from infra.localaws.sqs.queue import ReceiveRequest, check_wait
from infra.localaws.sqs.rates import STRICT, DeliveryRates
from infra.localaws.sqs.standard import StandardQueue
from scenarios.history import ENDPOINT
from scenarios.history.events import STALE_READ
from scenarios.lab import QueueInfo
from scenarios.simulation.choices import Choices, ChosenRandom
from scenarios.simulation.lasting_faults import LastingFaults
from scenarios.simulation.objects import ObjectModel
from scenarios.simulation.scheduler import Scheduler, Sleeper, Strand
from scenarios.simulation.tables import TableModel
from services.consumer.assumptions import ALL, Assumption
from services.history import Recorder
from services.injection import DYNAMODB_ERRORS, SQS_ERRORS
from services.operations import (
    AppendToLog,
    ChangeVisibility,
    CountMessages,
    Delete,
    DescribeQueue,
    EntryFailure,
    GetItem,
    LookUpSideEffect,
    Message,
    Operation,
    OperationFailed,
    Part,
    Purge,
    QueueCounts,
    QueueFacts,
    Receive,
    Send,
    SendResult,
    SentEntry,
    Track,
    plain,
)
from services.payload import MalformedPayload, effect_key, parse_payload
from services.records import Record

#: Seconds since the epoch at the beginning of a simulation: what a wall clock that is right shows then. Three seconds
#: later a year ends, with its last day and minute: a key with a date in it changes while messages are at work.
EPOCH = 1_704_067_197.0

MICROSECONDS = 1_000_000

#: Seconds in which the counts of a queue settle.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
COUNTS_SETTLE = 60

#: What an event of the queue adds to the messages that it holds.
_SETTLES = {"sent": 1, "deleted": -1, "dead-lettered": -1, "expired": -1, "purged": -1, "brought-back": 1}

#: The events that tell of an answer that was not up to date: of a table, of the queue's counts.
STALE_COUNTS = "stale-counts"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Names:
    """What the queues of a simulation are called."""

    queue: str
    dead_letter_queue: str


def names_for(scenario: str, *, fifo: bool) -> Names:
    """Return the names of a scenario's queues."""
    suffix = ".fifo" if fifo else ""
    return Names(f"sim-{scenario}{suffix}", f"sim-{scenario}-dlq{suffix}")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a world is like at the beginning: its queue, the queue's ways, and its tables."""

    info: QueueInfo
    names: Names
    rates: DeliveryRates
    tables: Callable[[], TableModel] = TableModel
    purge_seconds: float = 0.0


_MAY_BE_STALE = frozenset({GetItem, LookUpSideEffect})
#: The parts whose methods take an operation alone, and not the caller's own time with it.
_KNOW_NO_TIME: frozenset[Part] = frozenset({"queue", "process"})


class _Methods(dict[type[Operation], Callable[..., Any]]):
    """The methods that perform operations, each looked up when the first of its kind comes."""

    def __init__(self, parts: Mapping[Part, Any]) -> None:
        super().__init__()
        self._parts = parts

    def __missing__(self, kind: type[Operation]) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._parts[kind.part], kind.method)
        self[kind] = method
        return method

    def without(self, track: Track) -> _Methods:
        """Return the methods once a system was deleted for good: what speaks to it is refused."""
        return _MethodsLeft(self._parts, track)


class _MethodsLeft(_Methods):
    def __init__(self, parts: Mapping[Part, Any], deleted: Track) -> None:
        super().__init__(parts)
        self._deleted = deleted

    def __missing__(self, kind: type[Operation]) -> Callable[..., Any]:
        return (
            partial(_refuse_deleted, self._deleted) if kind.mark.track == self._deleted else super().__missing__(kind)
        )


def _refuse_deleted(track: Track, *_: Any) -> NoReturn:
    errors = SQS_ERRORS if track == "queue" else DYNAMODB_ERRORS
    raise OperationFailed(errors.missing, "it was deleted", transient=False)


class World:
    """Everything outside of the producers and consumers, and who performs their operations on it.

    Attributes:
        records: the history so far, in the order in which things happened.
        unsettled: how many messages the queue under study holds, visible or not.
        held: the messages that were ever received, as the state machine sees them.
        longest_lease: for how many seconds a claim may outlast its delivery by the consumers' settings.
        claims_late_by: for how many seconds a claim was late, at most; it outlasts its delivery by as much.
        time_lost: by how many seconds random faults may have held up the scenario so far.
        deleted_at: when the queue or the tables were deleted for good.
        deleted: which of them a scenario had deleted.
        delay_budget: by how many they may still hold it up.
        held_up_until: until when what has struck so far may go on holding it up.
        business_field: the payload field by which a side effect is known, empty for the message's own id.
        assumes: what random faults keep to.
        late_until: when the last late request arrives.
        leases_items: consumers may keep leases in items of their own.
        hidden_lease: for how many seconds a claim that nobody sees may outlast its delivery: a program's own.
        lasting: what goes on to strike every consumer.
        attributes_changed: an operator has changed the queue's attributes.
        staleness: how often an answer that may be stale is stale, in percent.
    """

    def __init__(self, setting: Setting, choices: Choices, seed: int) -> None:
        info, names, rates = setting.info, setting.names, setting.rates
        self.info = info
        self.names = names
        self.choices = choices
        self.scheduler = Scheduler()
        self.records: list[Record] = []
        self.tables = setting.tables()
        self.objects = ObjectModel()
        self.held: dict[str, HeldMessage] = {}
        self.unsettled = 0
        self.longest_lease = 0.0
        self.claims_late_by = 0.0
        self.time_lost = 0.0
        self.deleted_at = inf
        self.deleted: Track | None = None
        self.delay_budget = inf
        self.held_up_until = 0.0
        self.business_field = ""
        self.assumes: frozenset[Assumption] = ALL
        self.late_until = 0.0
        self.leases_items = False
        self.hidden_lease = 0.0
        self.lasting = LastingFaults()
        self.attributes_changed = False
        self.staleness = 0
        self._endpoint_index = 0
        self._last_tick = -1
        self._contents: dict[str, tuple[str, bool]] = {}
        self._by_key: dict[str, list[HeldMessage]] = {}
        self._not_indexed: list[HeldMessage] = []
        self._waiting: list[Sleeper] = []
        self.model = SqsModel(
            clock=self.scheduler.time,
            rng=ChosenRandom(choices, seed),
            observer=self._observe,
            rates=STRICT if info.fifo else rates,
            on_available=self._wake_waiting,
        )
        fifo = {"FifoQueue": "true"} if info.fifo else {}
        self.model.create_queue(names.dead_letter_queue, fifo)
        redrive = {"deadLetterTargetArn": self.model.arn(names.dead_letter_queue)}
        self.queue: QueueModel = self.model.create_queue(
            names.queue,
            {
                **fifo,
                "VisibilityTimeout": str(int(info.visibility_timeout)),
                "RedrivePolicy": json.dumps({**redrive, "maxReceiveCount": info.max_receive_count}),
            },
        )
        self.queue.purge_seconds = setting.purge_seconds
        # The queues were there before the run began.
        self.records.clear()
        self._endpoint_index = 0
        self._last_tick = -1
        # The dead-letter queue is read by the lab alone, and hands out whatever is there.
        self.model.queue(names.dead_letter_queue).rates = STRICT
        tables: dict[Part, Any] = {"store": self.tables, "outbox": self.tables.outbox, "payloads": self.objects}
        self._methods = _Methods({**tables, "queue": self, "process": self})

    def close(self) -> None:
        """Let go of everything; see ``SimulatedLab.close``."""
        self.model.__dict__.clear()
        self.__dict__.clear()

    def tick(self) -> float:
        """Return the time of a new record: no two have the same, so that a history is in the order of what happened."""
        moment = round(self.scheduler.now * MICROSECONDS)
        if moment <= self._last_tick:
            moment = self._last_tick + 1
        self._last_tick = moment
        return moment / MICROSECONDS

    def lose(self, seconds: float) -> None:
        """Take note that a random fault may hold the scenario up for so long."""
        self.time_lost += seconds
        self.delay_budget -= seconds
        self.held_up_until = max(self.held_up_until, self.scheduler.now) + seconds

    def key_of(self, message: HeldMessage) -> str:
        """Return the key of a message's side effect; its id where nothing can be worked on."""
        return self._read(message)[0]

    def _read(self, message: HeldMessage) -> tuple[str, bool]:
        """Return a message's key, and whether it is workable."""
        found = self._contents.get(message.message_id)
        if found is None:
            try:
                payload = parse_payload(message.body)
                key = effect_key(payload, message.message_id, self.business_field)
                found = key, payload.get("poison") is not True
            except MalformedPayload:
                found = message.message_id, False
            self._contents[message.message_id] = found
        return found

    def copies_of(self, message: HeldMessage) -> Sequence[HeldMessage]:
        """Return the messages that were ever received and ask for the same side effect, this one among them."""
        for other in self._not_indexed:
            self._by_key.setdefault(self.key_of(other), []).append(other)
        self._not_indexed.clear()
        return self._by_key[self.key_of(message)]

    def bring_back(self, message_id: str) -> None:
        """Have a standard queue deliver a deleted message once more."""
        queue = self.queue
        assert isinstance(queue, StandardQueue)  # noqa: S101 - a FIFO queue keeps to its deletes
        message = queue.bring_back(self.held[message_id], self.scheduler.now)
        self.held[message_id] = message
        self._not_indexed.append(message)

    def is_workable(self, message: HeldMessage) -> bool:
        """Return whether a message is no poison."""
        return self._read(message)[1]

    # --- operations --------------------------------------------------------------------------------------------------

    def perform(self, operation: Operation, wall_clock: Clock) -> Any:
        """Perform an operation at once; all but Receive, which may wait.

        Args:
            operation: what to do.
            wall_clock: the caller's own idea of the time, which leases are compared with.

        Raises:
            OperationFailed: the queue refuses.
        """
        kind = type(operation)
        method = self._methods[kind]
        if kind.part in _KNOW_NO_TIME:
            try:
                return method(operation)
            except SqsError as error:
                raise _refused(error) from None
        if kind in _MAY_BE_STALE and not operation.consistent and self.choices.chance(self.staleness):  # type: ignore[attr-defined]
            return self._read_stale(operation)  # type: ignore[arg-type]
        return method(operation, wall_clock)

    def receive(self, operation: Receive) -> tuple[Message, ...]:
        """Take what is there now.

        Raises:
            OperationFailed: the queue refuses.
        """
        if self.deleted == "queue":
            _refuse_deleted(self.deleted)
        try:
            request = _request(operation.max_messages, operation.wait_seconds)
            return tuple([_message(item) for item in self.take(request)])
        except SqsError as error:
            raise _refused(error) from None

    def delete_for_good(self, track: Track) -> None:
        """Have an operator delete the queue, or the tables: whoever asks for them is refused from now on."""
        self.deleted, self.deleted_at = track, self.scheduler.now
        self._methods = self._methods.without(track)

    def take(self, request: ReceiveRequest) -> list[Delivery]:
        """Take what is there now, and remember what it is that was taken."""
        deliveries = self.model.receive(self.names.queue, request)
        for item in deliveries:
            if item.message.message_id not in self.held:
                self.held[item.message.message_id] = item.message
                self._not_indexed.append(item.message)
        return deliveries

    def wait_for_messages(self, sleeper: Sleeper) -> float:
        """Remember who waits for a message; return when one may be there at the latest, infinite for nobody knows."""
        self._waiting.append(sleeper)
        at = self.model.next_visible_at(self.names.queue)
        return inf if at is None else at

    def stop_waiting(self, sleeper: Sleeper) -> None:
        """Forget who waited."""
        if sleeper in self._waiting:
            self._waiting.remove(sleeper)

    def _wake_waiting(self, queue: QueueModel) -> None:
        if self._waiting and queue is self.queue:
            for sleeper in self._waiting:
                self.scheduler.wake(sleeper, self.scheduler.now)
            self._waiting.clear()

    def describe_queue(self, _operation: DescribeQueue) -> QueueFacts:
        """Return the visibility timeout and the type."""
        return QueueFacts(self.queue.attributes.visibility_timeout, self.info.fifo)

    def send(self, operation: Send) -> SendResult:
        """Send message by message; one that the queue refuses fails alone, or fails a FIFO batch as a whole."""
        _check_entries(operation.messages, "SendMessageBatchRequestEntry")
        sent: list[SentEntry] = []
        failed: list[EntryFailure] = []
        drafts = [
            MessageDraft(
                message.body, message.delay_seconds, group=message.group, deduplication_id=message.deduplication_id
            )
            for message in operation.messages
        ]
        check_batch_size(drafts)
        self.queue.check_batch(drafts)
        for entry, draft in enumerate(drafts):
            try:
                taken = self.model.send(self.names.queue, draft)
            except SqsError as error:
                failed.append(_entry_failure(entry, error))
            else:
                number = taken.sequence_number
                sent.append(SentEntry(entry, taken.message_id, _sequence(number)))
        return SendResult(tuple(sent), tuple(failed))

    def _read_stale(self, operation: GetItem | LookUpSideEffect) -> Any:
        """Answer a read that is not consistent from before the last write."""
        stale = self.tables.read_stale(operation)
        if stale != self._methods[type(operation)](operation, self.scheduler.time):
            self.note_stale_read(operation.key)
        return stale

    def note_stale_read(self, key: str, reader: str = "") -> None:
        """Have the history tell that a table answered a read from before its last write.

        Args:
            key: of the item.
            reader: the process that read it, where that is a program; empty for any other.
        """
        self._observe(STALE_READ, "", {"key": key, **({"reader": reader} if reader else {})})

    def count_messages(self, _operation: CountMessages) -> QueueCounts:
        """Return how many messages there are, or were within the last minute."""
        present = self.queue.counts(self.scheduler.now)
        if not self.choices.chance(self.staleness):
            return QueueCounts(*present)
        moment = self.scheduler.now - 1 - self.choices.below(COUNTS_SETTLE)
        there = 0
        for record in self.records:
            if record["time"] > moment:
                break
            if record["process"] == ENDPOINT and record["queue"] == self.names.queue:
                there += 0 if "deduplicated" in record else _SETTLES.get(record["event"], 0) * record.get("count", 1)
        if there != sum(present):
            self._observe(STALE_COUNTS, self.names.queue, {"said": there, "are": sum(present)})
        return QueueCounts(there, 0, 0)

    def append_to_log(self, _operation: AppendToLog) -> None:
        """Write nowhere: the file would be outside the simulation, and the history has the side effect."""

    def purge(self, _operation: Purge) -> None:
        """Begin a purge."""
        self.model.purge(self.names.queue)

    def delete(self, operation: Delete) -> tuple[EntryFailure, ...]:
        """Delete message by message."""
        _check_entries(operation.messages, "DeleteMessageBatchRequestEntry")
        return self._each(operation.messages, self._delete_one)

    def _delete_one(self, message: Message) -> None:
        self.model.delete(self.names.queue, message.receipt_handle)

    def change_visibility(self, operation: ChangeVisibility) -> tuple[EntryFailure, ...]:
        """Change the visibility timeouts message by message."""
        _check_entries(operation.messages, "ChangeMessageVisibilityBatchRequestEntry")
        _check_integers(**{"Entries[0].VisibilityTimeout": operation.timeout})

        def change(message: Message) -> None:
            self.model.change_visibility(self.names.queue, message.receipt_handle, operation.timeout)

        return self._each(operation.messages, change)

    def _each(self, messages: tuple[Message, ...], act: Callable[[Message], None]) -> tuple[EntryFailure, ...]:
        failed = []
        for entry, message in enumerate(messages):
            try:
                act(message)
            except SqsError as error:
                failed.append(_entry_failure(entry, error))
        return tuple(failed)

    def receive_dead_letters(self, operation: Receive) -> tuple[Message, ...]:
        """Take what is in the dead-letter queue."""
        request = ReceiveRequest(operation.max_messages)
        return tuple([_message(item) for item in self.model.receive(self.names.dead_letter_queue, request)])

    def delete_dead_letters(self, operation: Delete) -> tuple[EntryFailure, ...]:
        """Delete from the dead-letter queue."""
        for message in operation.messages:
            self.model.delete(self.names.dead_letter_queue, message.receipt_handle)
        return ()

    def start_redrive(self) -> MoveTask:
        """Begin to move what is in the dead-letter queue back to where it came from, as time passes."""
        task = self.model.start_move_task(self.model.arn(self.names.dead_letter_queue))
        self.scheduler.start(self._moves(), self.scheduler.now)
        return task

    def _moves(self) -> Strand:
        while (at := self.model.next_move_at()) is not None:
            yield at
            self.model.advance()

    # --- the endpoint's own side -------------------------------------------------------------------------------------

    def _observe(self, event: str, queue: str, fields: dict[str, Any]) -> None:
        if queue == self.names.queue:
            self.unsettled += 0 if "deduplicated" in fields else _SETTLES.get(event, 0) * fields.get("count", 1)
        elif event == "moved" and fields["to"] == self.names.queue:
            self.unsettled += 1
        index = self._endpoint_index
        self._endpoint_index = index + 1
        self.records.append(
            {
                "time": self.tick(),
                "process": ENDPOINT,
                "index": index,
                "type": "event",
                "event": event,
                "queue": queue,
                **fields,
            }
        )


class WorldRecorder(Recorder):
    """Writes the records of one process of a world, or of its lab.

    It writes what any recorder does, and makes nothing on the way: no thread needs a lock, and no file a typed record.

    Args:
        world: where the history is kept, and whose time it is.
        process: the process's name in the history.
        queue: the name of the queue that the process works on; empty for none.
    """

    def __init__(self, world: World, process: str, queue: str = "") -> None:
        super().__init__(world.records.append, process, world.tick, queue)

    def invoke(self, operation: Operation, *, at: float | None = None) -> int:
        """See :class:`services.history.Recorder`."""
        arguments = operation.arguments()
        index = self._index
        self._index = index + 1
        now = self._clock()
        record = {
            "time": now if at is None else round(at, 6),
            "process": self.process,
            "index": index,
            "type": "invoke",
            "operation": type(operation).__name__,
            "arguments": arguments,
        }
        if self._queue:
            record["queue"] = self._queue
        self._sink(record)
        return index

    def ok(self, invocation: int, operation: Operation, result: Any) -> None:
        """See :class:`services.history.Recorder`."""
        kept = operation.kept_result(result)
        index = self._index
        self._index = index + 1
        self._sink(
            {
                "time": self._clock(),
                "process": self.process,
                "index": index,
                "type": "ok",
                "invocation": invocation,
                "operation": type(operation).__name__,
                "result": kept,
            }
        )

    def event(self, event: str, **details: Any) -> None:
        """See :class:`services.history.Recorder`."""
        kept = plain(details)
        index = self._index
        self._index = index + 1
        head = {"time": self._clock(), "process": self.process, "index": index, "type": "event", "event": event}
        self._sink(head | kept)

    def _stamp(self) -> tuple[float, int]:
        # The world's time needs no rounding.
        index = self._index
        self._index = index + 1
        return self._clock(), index


@lru_cache(maxsize=64, typed=True)
def _request(max_messages: int, wait_seconds: int) -> ReceiveRequest:
    """Return the request of a receive; consumers ask for the same again and again.

    Raises:
        OperationFailed, SqsError: the client, or the queue, refuses it.
    """
    _check_integers(MaxNumberOfMessages=max_messages, WaitTimeSeconds=wait_seconds)
    check_wait(wait_seconds)
    return ReceiveRequest(max_messages, long_poll=wait_seconds > 0)


def _message(delivery: Delivery) -> Message:
    message = delivery.message
    number = message.sequence_number
    return Message(
        message.message_id,
        delivery.receipt_handle,
        message.body,
        delivery.receive_count,
        message.group,
        _sequence(number),
    )


def _sequence(number: int | None) -> str | None:
    """Return a sequence number in SQS's form; a message of a standard queue has none."""
    return f"{number:020d}" if number else None


def _refused(error: SqsError) -> OperationFailed:
    return OperationFailed(error.query_code, str(error), transient=isinstance(error, OverLimit))


def _check_entries(messages: Sequence[Any], entry_name: str) -> None:
    """Raise the error of a batch that SQS refuses as a whole for the number of its entries."""
    if not 1 <= len(messages) <= MAX_BATCH_ENTRIES:
        check_entry_ids([str(entry) for entry in range(len(messages))], entry_name)


def _check_integers(**parameters: Any) -> None:
    """Raise the error of a number that the SDK does not send: it takes whole ones alone."""
    for name, value in parameters.items():
        if not isinstance(value, int):
            why = f"Invalid type for parameter {name}, value: {value}, type: {type(value)}, valid types: {int}"
            raise OperationFailed("ParamValidationError", f"Parameter validation failed:\n{why}", transient=False)


def _entry_failure(entry: int, error: SqsError) -> EntryFailure:
    return EntryFailure(entry, error.batch_code, str(error), sender_fault=True)
