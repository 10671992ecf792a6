"""The event source mapping as a pure state machine: it polls a queue, invokes a function, and deletes what succeeded.

The clock and the randomness are handed in, and there is no I/O. A driver performs what ``actions`` asks for and
reports how it ended::

    while True:
        for action in mapping.actions():
            ...  # begin a receive, an invocation or a delete; report it with received, answered, throttled, deleted
        ...      # wait for the next report, or until mapping.next_at()

A batch's way through the mapping::

    Receive ──▶ gathered ──▶ ready ──▶ invoked ──▶ deleting ──▶ done
                 (window)              │  ▲           (in tens; entries that failed are tried again)
                                       ▼  │ backoff
                                    throttled ──▶ dropped, once the visibility timeout is over

Nothing here changes a message's visibility: what was not deleted comes back when its visibility timeout ends.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html and the pages below it.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec

from infra.localaws.lambda_.actions import Action, Delete, DeleteEntry, Invoke, Receive, Result, StopReceiving
from infra.localaws.lambda_.filters import Filters
from infra.localaws.lambda_.limits import MAX_PAYLOAD_BYTES
from infra.localaws.lambda_.partial import Reading, read_answer
from infra.localaws.lambda_.records import SourceQueue, record_of
from infra.localaws.lambda_.settings import MappingSettings, scaling_of
from infra.localaws.sqs.limits import MAX_BATCH_ENTRIES, MAX_RECEIVE_MESSAGES, MAX_RECEIVE_WAIT_SECONDS
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.queue import Observer

FIRST_BACKOFF: Final = 0.5
"""Seconds before a throttled batch, or a delete that failed, is tried again; AWS publishes no figure."""
MAX_BACKOFF: Final = 10.0
LEAST_CONCURRENCY: Final = 2
"""Batches at once that errors and throttles leave a mapping with."""
MAX_IDLE_FIFO_RECEIVES: Final = 5
"""Receives that wait at a FIFO queue at the same time."""


class EventSourceMapping:
    """One mapping of a queue to a function.

    Args:
        settings: checked against the queue and the function already.
        queue: the queue that it reads.
        clock: returns seconds; it must never run backwards.
        rng: draws the jitter of backoffs.
        observer: is told what becomes of batches, by the queue's name; None costs nothing.
        enabled: whether it polls from the beginning.
        message_limit: it stops polling once it has received so many messages; 0 for never. AWS knows no such limit; a
            lab ends a consumer by it.
    """

    def __init__(
        self,
        settings: MappingSettings,
        queue: SourceQueue,
        *,
        clock: Callable[[], float],
        rng: Random,
        observer: Observer | None = None,
        enabled: bool = True,
        message_limit: int = 0,
    ) -> None:
        self.queue = queue
        self.enabled = enabled
        self._messages_left = message_limit or math.inf
        self._clock = clock
        self._rng = rng
        self._observer = observer
        self._pollers: dict[int, _Poller] = {}
        self._ready: deque[_Batch] = deque()
        self._batches: dict[int, _Batch] = {}
        self._deletions: dict[int, _Deletion] = {}
        self._numbers = 0
        self._grows_at: float | None = None
        self._stop_receiving: list[int] = []
        self._is_performing = False
        self._configure(settings)
        self._level = self._scaling.first

    # What an operator does

    @property
    def settings(self) -> MappingSettings:
        """How it is set up."""
        return self._settings

    def update(self, settings: MappingSettings) -> None:
        """Take other settings for the batches that are yet to be gathered."""
        self._configure(settings)
        self._level = min(max(self._level, self._scaling.first), self._scaling.most)

    def enable(self) -> None:
        """Poll."""
        self.enabled = True

    def disable(self) -> None:
        """Poll no more; what was received is still handled, and deleted."""
        if not self.enabled:
            return
        self.enabled = False
        for poller in list(self._pollers.values()):
            if poller.is_receiving:
                self._stop_receiving.append(poller.number)
            self._close(poller)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand: no receive is open, and no message waits for its invocation or its delete."""
        return not (self._pollers or self._ready or self._batches or self._deletions)

    @property
    def concurrency(self) -> int:
        """How many batches it would have in hand at once by now."""
        return self._level

    @property
    def in_hand(self) -> tuple[str, ...]:
        """The ids of the messages that wait for their invocation or are being processed, gathered ones first."""
        entries = [entry for poller in self._pollers.values() for entry in poller.gathered]
        for batch in (*self._ready, *self._batches.values()):
            entries.extend(batch.entries)
        return tuple(entry.message_id for entry in entries)

    # What a driver does

    def actions(self) -> list[Action]:
        """Return what there is to do now; each action is handed out once."""
        now = self._clock()
        actions: list[Action] = [StopReceiving(number) for number in self._stop_receiving]
        self._stop_receiving.clear()
        self._close_windows(now)
        self._retry_throttled(now, actions)
        self._retry_deletions(now, actions)
        self._grow(now)
        self._dispatch(actions)
        if self.enabled:
            self._poll(now, actions)
        return actions

    def perform_all(self, perform: Callable[[Action], None]) -> bool:
        """Have a driver perform all that there is to do now; False where it is at it already.

        What an action reports may bring new ones, and a driver that steps again within its report changes nothing.
        """
        if self._is_performing:
            return False
        self._is_performing = True
        try:
            while actions := self.actions():
                for action in actions:
                    perform(action)
        finally:
            self._is_performing = False
        return True

    def next_at(self) -> float | None:
        """Return when ``actions`` has something to do without a report before, in the clock's seconds; None: never."""
        moments = [poller.closes_at for poller in self._pollers.values() if poller.gathered]
        moments += [batch.retry_at for batch in self._batches.values() if batch.retry_at is not None]
        moments += [deletion.retry_at for deletion in self._deletions.values() if deletion.retry_at is not None]
        if self._grows_at is not None:
            moments.append(self._grows_at)
        return min(moments, default=None)

    def received(self, poller: int, deliveries: Sequence[Delivery], visible_at: float) -> None:
        """Report a receive.

        Args:
            poller: whose receive it was.
            deliveries: what came.
            visible_at: when these messages' visibility timeout ends, in the clock's seconds.
        """
        now = self._clock()
        at = self._pollers[poller]
        at.is_receiving = False
        self._messages_left -= len(deliveries)
        if not deliveries and not at.gathered:
            del self._pollers[poller]
            # Nothing is there, so fewer receives have to wait.
            self._level = max(self._level - 1, self._scaling.first)
            return
        filtered = []
        for delivery in deliveries:
            record = record_of(delivery, self.queue)
            content = _encode(record)
            group = delivery.message.group if self.queue.fifo else None
            entry = _Entry(delivery.message_id, delivery.receipt_handle, content, visible_at, group)
            if self._filters.match(record):
                self._gather(at, entry, now)
            else:
                filtered.append(entry)
        if filtered:
            self._observe("messages-filtered", messages=[entry.message_id for entry in filtered])
            self._delete(None, filtered)
        settings = self._settings
        if not at.gathered or not settings.window or len(at.gathered) >= settings.batch_size or not self.enabled:
            self._close(at)
        if self._messages_left <= 0:
            self.disable()

    def answered(self, batch: int, result: Result) -> None:
        """Report the end of an invocation."""
        at = self._batches[batch]
        if result.failure is not None:
            self._fail(at, result.failure.value)
            return
        ids = [entry.message_id for entry in at.entries]
        reading = read_answer(result.payload, ids) if self._settings.report_item_failures else _SUCCESS
        if reading.refusal is not None:
            self._fail(at, "malformed answer", reading.refusal)
            return
        self._observe("batch-succeeded", batch=batch, messages=ids, failed=[i for i in ids if i in reading.failed])
        if self._level < self._scaling.first:
            self._level += 1
        at.failed_groups |= {entry.group for entry in at.entries if entry.message_id in reading.failed}
        self._delete(at, [entry for entry in at.entries if entry.message_id not in reading.failed])
        if not at.open_deletions:
            self._finish(at)

    def throttled(self, batch: int) -> None:
        """Report that the function could not be invoked: the batch stays in hand, and is tried again."""
        at = self._batches[batch]
        if at.attempt == 1:
            self._slow_down()
        ends = min(entry.visible_at for entry in at.entries)
        at.retry_at = min(self._clock() + self._backoff(at.attempt), ends)
        self._observe("batch-throttled", batch=batch, messages=[e.message_id for e in at.entries], attempt=at.attempt)

    def note_received(self, poller: int, deliveries: Sequence[Delivery]) -> None:
        """Tell the observer what a receive brought, for a reader who knows the queue by its consumers alone."""
        if self._observer is not None:
            asked = self._pollers[poller].room
            self._observe("mapping-received", asked=asked, messages=[_told(delivery) for delivery in deliveries])

    def note_deleted(self, action: Delete, failed: Mapping[str, bool]) -> None:
        """Tell the observer how a delete came out."""
        if self._observer is not None:
            refused = [
                {"entry": place, "transient": failed[entry.entry_id]}
                for place, entry in enumerate(action.entries)
                if entry.entry_id in failed
            ]
            messages = [entry.message_id for entry in action.entries]
            self._observe("mapping-deleted", messages=messages, failed=refused)

    def deleted(self, number: int, failed: Mapping[str, bool]) -> None:
        """Report a delete.

        Args:
            number: of the call.
            failed: the entries that failed, by their ids; True for a failure that another try can mend.
        """
        deletion = self._deletions[number]
        if failed:
            gone = [entry.message_id for entry in deletion.entries if str(entry.number) in failed]
            self._observe("deletes-failed", messages=gone, attempt=deletion.attempt)
        deletion.entries = [entry for entry in deletion.entries if failed.get(str(entry.number), False)]
        ends = max((entry.visible_at for entry in deletion.entries), default=-math.inf)
        now = self._clock()
        if ends > now:
            deletion.retry_at = min(now + self._backoff(deletion.attempt), ends)
            return
        self._drop_deletion(deletion)

    # Polling

    def _configure(self, settings: MappingSettings) -> None:
        self._settings = settings
        self._filters = Filters(settings.filters)
        self._scaling = scaling_of(settings, fifo=self.queue.fifo)

    def _poll(self, now: float, actions: list[Action]) -> None:
        for poller in self._pollers.values():
            if not poller.is_receiving:
                room = self._within_limit(self._settings.batch_size - len(poller.gathered))
                if room:
                    actions.append(_receive(poller, room, poller.closes_at - now))
        waiting = sum(poller.is_receiving for poller in self._pollers.values())
        free = self._level - len(self._pollers) - len(self._ready) - len(self._batches)
        if self.queue.fifo:
            free = min(free, MAX_IDLE_FIFO_RECEIVES - waiting)
        for _ in range(free):
            room = self._within_limit(self._settings.batch_size)
            if not room:
                return
            poller = _Poller(self._number())
            self._pollers[poller.number] = poller
            actions.append(_receive(poller, room, MAX_RECEIVE_WAIT_SECONDS))

    def _within_limit(self, wanted: int) -> int:
        """Return for how many messages another receive may ask, so that all open ones stay within the limit."""
        if self._messages_left == math.inf:
            return wanted
        asked = sum(poller.room for poller in self._pollers.values() if poller.is_receiving)
        return max(0, min(wanted, int(self._messages_left) - asked))

    def _gather(self, poller: "_Poller", entry: "_Entry", now: float) -> None:
        size = len(entry.content) + 1
        if poller.gathered and poller.size + size > MAX_PAYLOAD_BYTES:
            self._make_ready(poller)
        if not poller.gathered:
            poller.size = len(_HEAD) + len(_TAIL)
            poller.closes_at = now + self._settings.window
        poller.gathered.append(entry)
        poller.size += size

    def _close_windows(self, now: float) -> None:
        for poller in list(self._pollers.values()):
            if poller.gathered and poller.closes_at <= now:
                self._close(poller)

    def _close(self, poller: "_Poller") -> None:
        """End a batch; a poller whose receive is still open goes on with an empty one."""
        if poller.gathered:
            self._make_ready(poller)
        if not poller.is_receiving:
            del self._pollers[poller.number]

    def _make_ready(self, poller: "_Poller") -> None:
        batch = _Batch(self._number(), poller.gathered, poller.latest if self.queue.fifo else None)
        self._ready.append(batch)
        poller.latest = batch
        poller.gathered = []

    # Invocations

    def _dispatch(self, actions: list[Action]) -> None:
        for batch in list(self._ready):
            if len(self._batches) >= self._level:
                return
            before = batch.after
            if before is not None and not before.is_done:
                continue
            self._ready.remove(batch)
            if before is not None:
                # What a failed message of the same group comes before waits for its return.
                late = [entry.message_id for entry in batch.entries if entry.group in before.failed_groups]
                batch.entries = [entry for entry in batch.entries if entry.group not in before.failed_groups]
                batch.failed_groups |= before.failed_groups
                batch.after = None
                if late:
                    self._observe("messages-dropped", batch=batch.number, messages=late)
            if batch.entries:
                self._invoke(batch, actions)
            else:
                batch.is_done = True

    def _invoke(self, batch: "_Batch", actions: list[Action]) -> None:
        batch.retry_at = None
        batch.attempt += 1
        self._batches[batch.number] = batch
        ids = tuple(entry.message_id for entry in batch.entries)
        payload = _HEAD + b",".join([entry.content for entry in batch.entries]) + _TAIL
        self._observe("batch-sent", batch=batch.number, messages=list(ids), attempt=batch.attempt)
        actions.append(Invoke(batch.number, payload, ids, batch.attempt))

    def _retry_throttled(self, now: float, actions: list[Action]) -> None:
        for batch in [b for b in self._batches.values() if b.retry_at is not None and b.retry_at <= now]:
            dropped = [entry for entry in batch.entries if entry.visible_at <= now]
            if dropped:
                # The queue offers these messages again, so the copies in hand are void.
                batch.entries = [entry for entry in batch.entries if entry.visible_at > now]
                self._observe("messages-dropped", batch=batch.number, messages=[e.message_id for e in dropped])
                batch.failed_groups |= {entry.group for entry in dropped}
            if batch.entries:
                self._invoke(batch, actions)
            else:
                self._finish(batch)

    def _fail(self, batch: "_Batch", reason: str, detail: str | None = None) -> None:
        batch.failed_groups |= {entry.group for entry in batch.entries}
        self._finish(batch)
        self._slow_down()
        more = {} if detail is None else {"detail": detail}
        messages = [entry.message_id for entry in batch.entries]
        self._observe("batch-failed", batch=batch.number, messages=messages, reason=reason, **more)

    # Deletes

    def _delete(self, batch: "_Batch | None", entries: "list[_Entry]") -> None:
        for start in range(0, len(entries), MAX_BATCH_ENTRIES):
            some = entries[start : start + MAX_BATCH_ENTRIES]
            for number, entry in enumerate(some):
                entry.number = number
            deletion = _Deletion(self._number(), some, batch)
            if batch is not None:
                batch.open_deletions += 1
            # Due at once: the next look at the actions hands it out.
            deletion.retry_at = -math.inf
            self._deletions[deletion.number] = deletion

    def _retry_deletions(self, now: float, actions: list[Action]) -> None:
        for deletion in list(self._deletions.values()):
            if deletion.retry_at is None or deletion.retry_at > now:
                continue
            if deletion.attempt:
                deletion.entries = [entry for entry in deletion.entries if entry.visible_at > now]
            if not deletion.entries:
                self._drop_deletion(deletion)
                continue
            deletion.retry_at = None
            deletion.attempt += 1
            entries = [DeleteEntry(str(e.number), e.receipt_handle, e.message_id) for e in deletion.entries]
            actions.append(Delete(deletion.number, tuple(entries), deletion.attempt))

    def _drop_deletion(self, deletion: "_Deletion") -> None:
        del self._deletions[deletion.number]
        if deletion.batch is not None:
            deletion.batch.open_deletions -= 1
            if not deletion.batch.open_deletions:
                self._finish(deletion.batch)

    def _finish(self, batch: "_Batch") -> None:
        batch.is_done = True
        del self._batches[batch.number]

    # Scaling

    def _grow(self, now: float) -> None:
        """Add batches while all that there may be are in hand and none of them is held up."""
        in_hand = len(self._batches) + len(self._ready)
        full = in_hand >= self._level and self._level < self._scaling.most
        if not full or any(batch.retry_at is not None for batch in self._batches.values()):
            self._grows_at = None
        elif self._grows_at is None:
            self._grows_at = now + 1
        else:
            while self._grows_at <= now and self._level < self._scaling.most:
                self._level = min(self._level + max(self._scaling.growth // 60, 1), self._scaling.most)
                self._grows_at += 1

    def _slow_down(self) -> None:
        self._level = max(self._level - 1, min(LEAST_CONCURRENCY, self._level))
        self._grows_at = None

    # Within

    def _backoff(self, attempt: int) -> float:
        longest = min(FIRST_BACKOFF * 2 ** (attempt - 1), MAX_BACKOFF)
        return self._rng.uniform(longest / 2, longest)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _observe(self, event: str, **fields: Any) -> None:
        if self._observer is not None:
            self._observer(event, self.queue.name, fields)


@dataclass(slots=True, eq=False)
class _Entry:
    """A received message: what is sent of it, and when its visibility timeout ends."""

    message_id: str
    receipt_handle: str
    content: bytes
    visible_at: float
    group: str | None
    number: int = 0


@dataclass(slots=True, eq=False)
class _Poller:
    """Gathers a batch.

    Attributes:
        size: what the event has in bytes by now.
        latest: the batch that it made before.
        room: how many messages its open receive asks for.
    """

    number: int
    gathered: list[_Entry] = field(default_factory=list)
    size: int = 0
    closes_at: float = math.inf
    is_receiving: bool = False
    latest: "_Batch | None" = None
    room: int = 0


@dataclass(slots=True, eq=False)
class _Batch:
    """Messages that are sent together.

    Attributes:
        after: the batch that has to be done first, since it may hold earlier messages of the same groups.
        retry_at: when it is tried again, set while a throttle holds it up.
        failed_groups: the message groups of which a message stayed in the queue.
    """

    number: int
    entries: list[_Entry]
    after: "_Batch | None" = None
    attempt: int = 0
    retry_at: float | None = None
    open_deletions: int = 0
    failed_groups: set[str | None] = field(default_factory=set)
    is_done: bool = False


@dataclass(slots=True, eq=False)
class _Deletion:
    """One DeleteMessageBatch; ``retry_at`` is set while it waits to be sent."""

    number: int
    entries: list[_Entry]
    batch: _Batch | None
    attempt: int = 0
    retry_at: float | None = None


def _receive(poller: _Poller, room: int, wait: float) -> Receive:
    poller.is_receiving = True
    poller.room = min(room, MAX_RECEIVE_MESSAGES)
    return Receive(poller.number, min(room, MAX_RECEIVE_MESSAGES), min(wait, MAX_RECEIVE_WAIT_SECONDS))


def _told(delivery: Delivery) -> dict[str, Any]:
    message = delivery.message
    number = message.sequence_number
    return {
        "message_id": delivery.message_id,
        "receipt_handle": delivery.receipt_handle,
        "receive_count": delivery.receive_count,
        "body": message.body,
        "group": message.group,
        "sequence_number": f"{number:020d}" if number else None,
    }


_encode = msgspec.json.Encoder().encode
_HEAD: Final = b'{"Records":['
_TAIL: Final = b"]}"
_SUCCESS: Final = Reading(frozenset())
