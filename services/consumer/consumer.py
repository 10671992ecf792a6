"""The consumer: what a message goes through, from its receive to its delete, as generators that yield operations.

    receive ─▶ claim ─▶ look up side effect ─▶ perform it ─▶ complete ─▶ delete
                 │                │
                 │                └ already there: skip to complete
                 └ COMPLETED: delete.  Held by another, lease alive: leave it to become visible again

Nothing here does any I/O, reads a clock or knows in which tier it runs. A subclass replaces one step: the naive
twins in ``scenarios/catalog`` do, and so can a consumer of your own (``CONSUMER=your.module:YourConsumer``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from services.consumer.assumptions import ALL, Assumption
from services.consumer.declarations import calls_super, members
from services.consumer.patterns import Pattern
from services.consumer.recent_keys import RecentKeys
from services.operations import (
    AlreadyCompleted,
    AppendToLog,
    ChangeVisibility,
    CheckTables,
    Claim,
    Claimed,
    ClaimResult,
    Complete,
    Delete,
    DescribeQueue,
    EntryFailure,
    HeldByAnother,
    LookUpSideEffect,
    Message,
    Note,
    OperationFailed,
    PerformSideEffect,
    QueueFacts,
    ReadClock,
    Receive,
    ReleaseClaim,
    RenewClaim,
    Sleep,
    Task,
    place_of,
)
from services.payload import MalformedPayload, effect_key, parse_payload, sequence_of

if TYPE_CHECKING:
    from services.consumer.options import ConsumerOptions

#: By default a claim ends when this part of the visibility timeout has passed. A successor receives the message when it
#: is visible again, and must not find it held by a dead consumer.
LEASE_PART = 0.9
#: No wall clock may be wrong by more than this part of the visibility timeout: leases compare the clocks of two
#: machines, which may be wrong in opposite directions. The rest of the margin is for requests on their way.
MAX_SKEW_PART = (1 - LEASE_PART) * 0.4
#: Seconds between receives while the queue cannot be reached, doubling up to the last.
BACKOFF = (0.1, 5.0)
#: How often the consumer tries to delete an entry in all, where the failure is SQS's own.
DELETE_ATTEMPTS = 3


class Outcome(StrEnum):
    """What became of one delivery. The consumer deletes a settled message; any other becomes visible again.

    Only a naive twin discards. An expired or superseded message came too late to have an effect.
    """

    DONE = "done"
    DUPLICATE = "duplicate"
    HELD = "held"
    REJECTED = "rejected"
    FAILED = "failed"
    DISCARDED = "discarded"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"

    @property
    def settled(self) -> bool:
        """Whether the consumer deletes the message."""
        return self not in (Outcome.HELD, Outcome.REJECTED, Outcome.FAILED)


@dataclass(slots=True, eq=False)
class Delivery:
    """A message in hand.

    Attributes:
        key: the effect key; of a rejected message the MessageId.
        visible_at: the clock's reading at which the queue delivers it to others.
        rejection: why the consumer rejects it; empty for a message that it can process.
        claim: the fencing token of our claim; None before the claim, and after it was lost.
        outcome: the outcome once its key is completed; ``perform`` may change it to one that came too late.
    """

    message: Message
    payload: dict[str, Any]
    key: str
    visible_at: float
    rejection: str = ""
    claim: int | None = None
    outcome: Outcome = Outcome.DONE


class Consumer:
    """Receive messages and cause each one's side effect once.

    Its tasks are ``poll()``, which returns how many messages were done, and ``heartbeat()``, which runs beside it.
    ``stop()`` may be called at any time, from a signal handler too.
    """

    #: What its pattern takes for granted. A subclass that needs less says so, and is then tested with less.
    assumes: ClassVar[frozenset[Assumption]] = ALL
    #: What it promises beyond what every consumer has to. A subclass that promises less is judged by less.
    follows: ClassVar[frozenset[Pattern]] = frozenset(Pattern)

    #: What is wrong with the class, a sentence without its full stop; empty for nothing.
    complaint: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Take a set of texts for the members that it names; keep what is wrong for those that load the class."""
        super().__init_subclass__()
        cls.complaint = ""
        try:
            attribute = "assumes"
            cls.assumes = members(Assumption, cls.assumes)
            attribute = "follows"
            cls.follows = members(Pattern, cls.follows)
        except ValueError as error:
            cls.complaint = f"{cls.__qualname__}.{attribute} {error}"
        if not calls_super(cls, Consumer):
            cls.complaint = f"{cls.__qualname__}.__init__ has to call super().__init__(options), and does not"

    def __init__(self, options: ConsumerOptions) -> None:
        self.options = options
        self.stopping = False
        self.done = 0
        self._requests = 0
        self._completed = RecentKeys(options.idempotency_cache_size)
        self._in_hand: list[Delivery] = []
        self._facts = QueueFacts(visibility_timeout=0, fifo=False)

    def stop(self) -> None:
        """Ask for the end: the consumer finishes the message in hand and makes the others visible again."""
        self.stopping = True
        self._requests += 1

    # --- the poll loop -------------------------------------------------------------------------------------------

    def poll(self) -> Task[int]:
        """Receive and handle until ``stop()``, the message limit, or the idle timeout."""
        yield from self.prepare()
        quiet_since = yield ReadClock()
        backoff = BACKOFF[0]
        while not self.stopping and self._wanted():
            try:
                messages: tuple[Message, ...] = yield Receive(self._wanted(), self.options.wait_time_seconds)
            except OperationFailed as error:
                if not error.transient:
                    raise
                yield Note("receive-failed", {"error": error.code, "again_in": backoff}, logging.WARNING)
                yield Sleep(backoff)
                backoff = min(2 * backoff, BACKOFF[1])
                continue
            backoff = BACKOFF[0]
            now = yield ReadClock()
            if messages:
                yield from self.handle_batch(messages, received_at=now)
                quiet_since = yield ReadClock()
            elif 0 < self.options.idle_timeout_seconds <= now - quiet_since:
                break
        yield Note("stopped", {"done": self.done, "signalled": self.stopping, "requests": self._requests})
        return self.done

    def prepare(self) -> Task[None]:
        """Describe the queue, and check the tables before a message depends on them."""
        self._facts = yield DescribeQueue()
        if self.options.claims or self.options.ledger:
            yield CheckTables()
        yield Note("started", {"visibility_timeout": self._facts.visibility_timeout, "fifo": self._facts.fifo})

    def _wanted(self) -> int:
        """Return how many messages the next receive asks for, within the message limit."""
        limit = self.options.message_limit
        return min(self.options.max_messages, limit - self.done) if limit else self.options.max_messages

    # --- a batch -------------------------------------------------------------------------------------------------

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Handle each message on its own; delete the settled ones as one batch; release those that were not begun."""
        visible_at = received_at + self._facts.visibility_timeout
        deliveries = [self.open(message, visible_at) for message in messages]
        settled: list[Message] = []
        not_begun: list[Message] = []
        stopped_groups: set[str | None] = set()
        self._in_hand = list(deliveries)

        for delivery in deliveries:
            message = delivery.message
            if self.stopping or message.group in stopped_groups:
                self._drop(delivery)
                not_begun.append(message)
                continue
            outcome = self.reject(delivery) if delivery.rejection else (yield from self.handle(delivery))
            yield self._handled(delivery, outcome)
            if outcome.settled:
                settled.append(message)
                continue
            self._drop(delivery)
            if outcome is Outcome.FAILED:
                yield from self.schedule_retry(message)
            if self._facts.fifo and self.stops_group(outcome):
                stopped_groups.add(message.group)

        yield from self.release(not_begun)
        yield from self.delete(self.to_delete(settled, messages))
        self._in_hand = []

    def open(self, message: Message, visible_at: float) -> Delivery:
        """Read a message: its payload and key, or why the consumer rejects it."""
        if self.options.reject_payload_marker and self.options.reject_payload_marker in message.body:
            rejection = f"the body contains the marker {self.options.reject_payload_marker!r}"
            return Delivery(message, {}, message.message_id, visible_at, rejection)
        try:
            payload = parse_payload(message.body)
            key = self.key_of(payload, message.message_id)
        except MalformedPayload as error:
            return Delivery(message, {}, message.message_id, visible_at, str(error))
        # A subclass may return a key of another type; the history needs a text.
        return Delivery(message, payload, str(key), visible_at)

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key under which a message's side effect happens once; see :func:`services.payload.effect_key`."""
        return effect_key(payload, message_id, self.options.business_idempotency_field)

    def _handled(self, delivery: Delivery, outcome: Outcome) -> Note:
        self.done += outcome is Outcome.DONE
        details = {
            "key": delivery.key,
            "message_id": delivery.message.message_id,
            "receive_count": delivery.message.receive_count,
            "outcome": str(outcome),
        }
        if delivery.rejection:
            details["why"] = delivery.rejection
        return Note("handled", details, logging.INFO if outcome.settled else logging.WARNING)

    def reject(self, _delivery: Delivery) -> Outcome:
        """Refuse a message for good: without a delete, the redrive policy moves it to the dead-letter queue."""
        return Outcome.REJECTED

    def schedule_retry(self, _message: Message) -> Task[None]:
        """Decide when a failed message comes again. By default that is when its visibility timeout is over."""
        yield from ()

    def to_delete(self, settled: Sequence[Message], _received: Sequence[Message]) -> Sequence[Message]:
        """Return the messages of a batch to delete: each settled one, whatever became of the others."""
        return settled

    def stops_group(self, _outcome: Outcome) -> bool:
        """Return whether the rest of a message group waits after an unsettled outcome, on a FIFO queue."""
        return True

    # --- one message ---------------------------------------------------------------------------------------------

    def handle(self, delivery: Delivery) -> Task[Outcome]:
        """Process one message. Every failure fails closed: the message stays in the queue."""
        try:
            return (yield from self.process(delivery))
        except OperationFailed as error:
            yield Note("failed", {"key": delivery.key, "error": str(error)}, logging.WARNING)
        except MemoryError:
            raise  # the machine's failure, not the message's: the process ends
        except Exception as error:  # noqa: BLE001 - a bug in a step fails closed, as an outage does: the message stays
            said = {"error": f"{type(error).__name__}: {error}", "place": place_of(error)}
            yield Note("failed", {"key": delivery.key, **said}, logging.ERROR)
        if delivery.claim is not None:
            yield from self._release_claim(delivery)
        return Outcome.FAILED

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Claim, look up, perform, complete."""
        if self._completed.use(delivery.key):
            return Outcome.DUPLICATE

        claim = yield from self.claim(delivery)
        match claim:
            case AlreadyCompleted():
                self.remember(delivery.key)
                return Outcome.DUPLICATE
            case HeldByAnother():
                return Outcome.HELD

        if not (yield from self.already_done(delivery, claim)):
            if self.options.work_seconds and not (yield from self.work(delivery, claim)):
                yield Note("claim-lost", {"key": delivery.key}, logging.WARNING)
                return Outcome.HELD
            yield from self.perform(delivery)

        if self.options.claims:
            still_ours = yield Complete(delivery.key, claim.fencing_token, str(delivery.outcome))
            if not still_ours:
                yield Note("claim-lost", {"key": delivery.key}, logging.WARNING)
                return Outcome.HELD
        self.remember(delivery.key)
        return delivery.outcome

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim the key, until shortly before the message is visible again or for as long as the options say."""
        if not self.options.claims:
            return Claimed(fencing_token=0)  # no first attempt: without claims the ledger is asked each time
        lease = self.options.claim_lease_seconds
        if lease is None:
            now = yield ReadClock()
            margin = (1 - LEASE_PART) * self._facts.visibility_timeout
            lease = delivery.visible_at - margin - now
            shortest = self.options.min_lease_seconds
            if lease <= (margin if shortest is None else shortest):
                return HeldByAnother("the queue: the message is about to become visible again", 0.0)
        claim: ClaimResult = yield Claim(delivery.key, self.options.owner, lease)
        if isinstance(claim, Claimed):
            delivery.claim = claim.fencing_token
            if delivery not in self._in_hand:
                # The heartbeat dropped it before the claim. Now it is work, and the heartbeat must renew the claim.
                self._in_hand.append(delivery)
        return claim

    def already_done(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Return whether an earlier attempt caused the side effect and died before it was recorded.

        Before the very first claim nothing can have happened. Later, only the ledger knows.
        """
        if not self.options.ledger or claim.first_attempt:
            return False
        found: bool = yield LookUpSideEffect(delivery.key)
        return found

    def work(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Work for as long as the options say; return whether the side effect is still ours to cause."""
        yield Sleep(self.options.work_seconds, uninterrupted=True)
        return (yield from self.still_ours(delivery, claim))

    def still_ours(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Return whether no other consumer has taken over; the claim then holds for a whole lease from now on.

        The status table decides, and no memory of the claim: a heartbeat that could not reach the table kept nothing.
        An error fails closed, as everywhere: whoever cannot ask does not act.
        """
        if not self.options.claims:
            return True
        lease = self.options.claim_lease_seconds or LEASE_PART * self._facts.visibility_timeout
        renewed: bool = yield RenewClaim(delivery.key, claim.fencing_token, lease)
        return renewed

    def perform(self, delivery: Delivery) -> Task[None]:
        """Cause the side effect, and append a line to the log file if there is one."""
        message = delivery.message
        yield PerformSideEffect(delivery.key, message.message_id, sequence_of(delivery.payload), message.group)
        if self.options.side_effect_log_path:
            yield AppendToLog(
                self.options.side_effect_log_path, str(delivery.payload.get(self.options.side_effect_log_field, ""))
            )

    def remember(self, key: str) -> None:
        """Keep a completed key in memory, so that a duplicate costs no call."""
        self._completed.add(key)

    def _release_claim(self, delivery: Delivery) -> Task[None]:
        """Let the next attempt begin at once. If the release fails, the lease ends in time."""
        try:
            yield ReleaseClaim(delivery.key, delivery.claim or 0)
        except OperationFailed as error:
            yield Note("release-failed", {"key": delivery.key, "error": error.code}, logging.WARNING)

    # --- the queue -----------------------------------------------------------------------------------------------

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete as one batch. Retry the entries that SQS failed to delete, and note those that it refused."""
        left = tuple(messages)
        for attempt in range(1, DELETE_ATTEMPTS + 1):
            if not left:
                return
            try:
                failures: tuple[EntryFailure, ...] = yield Delete(left)
            except OperationFailed as error:
                yield Note("delete-failed", {"error": str(error), "messages": len(left)}, logging.WARNING)
                if not error.transient:
                    return
                failures = tuple(EntryFailure(entry, error.code, "", sender_fault=False) for entry in range(len(left)))
            for failure in failures:
                # A receipt handle is stale after another delivery of the message; that delivery will be deleted.
                yield Note(
                    "stale-receipt-handle" if failure.sender_fault else "delete-failed",
                    {"message_id": left[failure.entry].message_id, "error": failure.code, "attempt": attempt},
                    logging.WARNING,
                )
            left = tuple(left[failure.entry] for failure in failures if not failure.sender_fault)

    def release(self, messages: Sequence[Message]) -> Task[None]:
        """Make messages visible again at once. If that fails, their visibility timeout does it later."""
        if not messages:
            return
        try:
            yield ChangeVisibility(tuple(messages), timeout=0)
        except OperationFailed as error:
            yield Note("release-failed", {"messages": len(messages), "error": error.code}, logging.WARNING)

    # --- the heartbeat -------------------------------------------------------------------------------------------

    def heartbeat(self) -> Task[None]:
        """Extend visibility and claim of the messages in hand, until the end, but not of those that were lost.

        It goes on after a request to end: the consumer then finishes the message in hand, which may take long.
        """
        if not self.options.heartbeat_seconds:
            return
        while (yield Sleep(self.options.heartbeat_seconds, uninterrupted=True)):
            for delivery in tuple(self._in_hand):
                try:
                    yield from self._extend(delivery)
                except OperationFailed as error:
                    yield Note("heartbeat-failed", {"key": delivery.key, "error": error.code}, logging.WARNING)

    def _extend(self, delivery: Delivery) -> Task[None]:
        timeout = self._facts.visibility_timeout
        if delivery.claim is not None:
            lease = self.options.claim_lease_seconds or LEASE_PART * timeout
            if not (yield RenewClaim(delivery.key, delivery.claim, lease)):
                yield Note("claim-lost", {"key": delivery.key}, logging.WARNING)
                self._drop(delivery)
                return
        if delivery not in self._in_hand:
            return  # it was dropped while the claim was being renewed
        now = yield ReadClock()
        failures: tuple[EntryFailure, ...] = yield ChangeVisibility((delivery.message,), timeout)
        if not failures:
            delivery.visible_at = now + timeout
        elif failures[0].sender_fault and delivery.claim is None:
            self._drop(delivery)
        # Claimed work goes on even if its message is visible to others: the claim keeps them off.

    def _drop(self, delivery: Delivery) -> None:
        if delivery in self._in_hand:
            self._in_hand.remove(delivery)
