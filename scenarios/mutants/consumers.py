"""Broken consumers. Each differs from ours in one decision; never run one where money is carried."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.consumer.consumer import Consumer, Delivery, Outcome
from services.consumer.idempotency_key import IdempotencyKeyConsumer
from services.consumer.large_payload import LargePayloadConsumer, PayloadGone
from services.consumer.saga import STEPS, SagaConsumer, key_of_step
from services.consumer.schema import Payload, SchemaConsumer, version_of
from services.consumer.versions import ReconcilingConsumer
from services.operations import (
    AlreadyCompleted,
    ChangeVisibility,
    Claim,
    Claimed,
    ClaimResult,
    Complete,
    Delete,
    EntryFailure,
    HeldByAnother,
    LookUpSideEffect,
    Message,
    Note,
    OperationFailed,
    PerformSideEffect,
    RenewClaim,
    StateWritten,
    Task,
    WriteState,
)
from services.payload import effect_key, parse_payload, update_of
from services.references import reference_in_body

#: Seconds: longer than any run.
FOR_EVER = 1_000_000.0


class NeverLooksUp(Consumer):
    """Trust that nothing was done before, whichever consumer died: perform at each claim."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Claim, perform, complete."""
        claim = yield from self.claim(delivery)
        match claim:
            case AlreadyCompleted():
                return Outcome.DUPLICATE
            case HeldByAnother():
                return Outcome.HELD
        yield from self.perform(delivery)
        still_ours = yield Complete(delivery.key, claim.fencing_token)
        return Outcome.DONE if still_ours else Outcome.HELD


class LooksUpBeforeItClaims(Consumer):
    """Ask the ledger first and claim then: what happens in between is not seen."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Look up, claim, perform, complete."""
        done_before = yield LookUpSideEffect(delivery.key)
        claim = yield from self.claim(delivery)
        match claim:
            case AlreadyCompleted():
                return Outcome.DUPLICATE
            case HeldByAnother():
                return Outcome.HELD
        if not done_before:
            yield from self.perform(delivery)
        still_ours = yield Complete(delivery.key, claim.fencing_token)
        return Outcome.DONE if still_ours else Outcome.HELD


class CompletesBeforeItPerforms(Consumer):
    """Mark the work as done, then do it: a consumer that dies in between has done nothing, and no other will."""

    def perform(self, delivery: Delivery) -> Task[None]:
        """Complete, then perform."""
        yield Complete(delivery.key, delivery.claim or 0)
        yield from super().perform(delivery)


class DeletesBeforeItPerforms(Consumer):
    """Take the message out of the queue once it is claimed: at most once."""

    def perform(self, delivery: Delivery) -> Task[None]:
        """Delete, then perform."""
        yield Delete((delivery.message,))
        yield from super().perform(delivery)


class DeletesOnReceive(Consumer):
    """Acknowledge the whole batch before any of it is done, as an automatic acknowledgement does."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Delete what can be worked on, then handle it."""
        good = [message for message in messages if not self.open(message, received_at).rejection]
        yield from self.delete(good)
        yield from super().handle_batch(messages, received_at)


class FailsOpen(Consumer):
    """Go on without a claim where the store does not answer."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim, or pretend to have."""
        try:
            return (yield from super().claim(delivery))
        except OperationFailed:
            return Claimed(fencing_token=1)


class ClaimsForEver(Consumer):
    """Claim without an end: what its owner has in hand when it dies, no other can take over."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim for as long as there is a table."""
        claim: ClaimResult = yield Claim(delivery.key, self.options.owner, FOR_EVER)
        if isinstance(claim, Claimed):
            delivery.claim = claim.fencing_token
        return claim


class IgnoresTheLease(Consumer):
    """Work on what another consumer is at work on."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim, and do not care who holds it."""
        claim = yield from super().claim(delivery)
        return Claimed(fencing_token=1) if isinstance(claim, HeldByAnother) else claim


class DeletesWhatIsHeld(Consumer):
    """Delete a message because another consumer is at work on it, which may yet fail."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Take what is held for what is done."""
        outcome = yield from super().process(delivery)
        return Outcome.DUPLICATE if outcome is Outcome.HELD else outcome


class DeletesWhatFailed(Consumer):
    """Delete a message whose work failed, so that the queue does not bring it again."""

    def handle(self, delivery: Delivery) -> Task[Outcome]:
        """Take what failed for what is settled."""
        outcome = yield from super().handle(delivery)
        return Outcome.DISCARDED if outcome is Outcome.FAILED else outcome


class AcknowledgesTheWholeBatch(Consumer):
    """Delete all that a receive brought if any of it went well."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Handle each, then delete the good ones together."""
        done = self.done
        yield from super().handle_batch(messages, received_at)
        if self.done > done:
            good = [message for message in messages if not self.open(message, received_at).rejection]
            yield from self.delete(good)


class ForgetsRefusedDeletes(Consumer):
    """Take a batch for deleted once the call succeeded, whatever its ``Failed`` entries say."""

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete once."""
        if not messages:
            return
        try:
            yield Delete(tuple(messages))
        except OperationFailed as error:
            yield Note("delete-failed", {"error": error.code}, logging.WARNING)


class ForgetsFailedDeletes(Consumer):
    """Read the ``Failed`` entries of a delete, and take a call that failed as a whole as settled."""

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete, and try again what was refused; give up without an answer."""
        left = tuple(messages)
        while left:
            try:
                failures: tuple[EntryFailure, ...] = yield Delete(left)
            except OperationFailed as error:
                yield Note("delete-failed", {"error": error.code}, logging.WARNING)
                return
            left = tuple(left[failure.entry] for failure in failures if not failure.sender_fault)


class ReusesTheFirstReceiptHandle(Consumer):
    """Delete with the handle of the first delivery, which a second one has made stale."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Remember each message's first handle, and use it for good."""
        known = self.__dict__.setdefault("_handles", {})
        first = [
            Message(
                message.message_id,
                known.setdefault(message.message_id, message.receipt_handle),
                message.body,
                message.receive_count,
                message.group,
                message.sequence_number,
            )
            for message in messages
        ]
        yield from super().handle_batch(first, received_at)


class RemembersBeforeItIsDone(Consumer):
    """Keep a key in memory as soon as it is claimed: after a failure its own memory says that it is done."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim, and remember."""
        claim = yield from super().claim(delivery)
        if isinstance(claim, Claimed):
            self.remember(delivery.key)
        return claim


class KeyedByMessageId(Consumer):
    """Know a side effect by its MessageId: a second message for the same work pays a second time."""

    def open(self, message: Message, visible_at: float) -> Delivery:
        """Read a message, and key it by its id."""
        delivery = super().open(message, visible_at)
        delivery.key = message.message_id
        return delivery


class IgnoresTheBusinessKey(Consumer):
    """Know a side effect by the producer's own id, where two of its messages may mean one transaction."""

    def open(self, message: Message, visible_at: float) -> Delivery:
        """Read a message, and key it by the payload's id."""
        delivery = super().open(message, visible_at)
        if not delivery.rejection:
            delivery.key = effect_key(parse_payload(message.body), message.message_id)
        return delivery


class DeletesMalformed(Consumer):
    """Delete a body that cannot be read, where no operator will ever see it."""

    def reject(self, delivery: Delivery) -> Outcome:
        """Discard what is malformed."""
        marker = self.options.reject_payload_marker
        marked = bool(marker) and marker in delivery.message.body
        return Outcome.REJECTED if marked else Outcome.DISCARDED


class WorksOnPoison(Consumer):
    """Take no notice of the marker."""

    def open(self, message: Message, visible_at: float) -> Delivery:
        """Read a message, and have no complaint about its content."""
        delivery = super().open(message, visible_at)
        marker = self.options.reject_payload_marker
        if not marker or marker not in message.body:
            return delivery
        payload = parse_payload(message.body)
        return Delivery(message, payload, effect_key(payload, message.message_id), visible_at)


class GoesOnAfterSigterm(Consumer):
    """Finish the whole batch after a request to end, and not just what is in hand."""

    _at_work = False
    _asked = False

    def stop(self) -> None:
        """Ask for the end, of the batch at the earliest."""
        self._asked = True
        self.stopping = not self._at_work

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Handle a batch as if no request to end could come."""
        self._at_work = True
        yield from super().handle_batch(messages, received_at)
        self._at_work = False
        self.stopping = self._asked


class BreaksOffWhatIsInHand(Consumer):
    """Cancel the work in hand at a request to end: its message waits out the visibility timeout."""

    def perform(self, delivery: Delivery) -> Task[None]:
        """Perform, and do not come to the bookkeeping."""
        yield from super().perform(delivery)
        if self.stopping:
            raise InterruptedError("cancelled")


class NeverBeats(Consumer):
    """Have a heartbeat in the settings, and none at work."""

    def heartbeat(self) -> Task[None]:
        """End at once."""
        yield Note("no-heartbeat", {}, logging.DEBUG)


class ExtendsTheMessageAlone(Consumer):
    """Keep the message invisible and let the claim lapse: a second delivery finds no claim."""

    def _extend(self, delivery: Delivery) -> Task[None]:
        yield ChangeVisibility((delivery.message,), self._facts.visibility_timeout)


class StopsBeatingAtSigterm(Consumer):
    """Finish what is in hand after a request to end, but no longer keep it."""

    def _extend(self, delivery: Delivery) -> Task[None]:
        if not self.stopping:
            yield from super()._extend(delivery)


class LetsGoAtAPassingError(Consumer):
    """Stop renewing a claim because the queue could not extend the message just now."""

    def _extend(self, delivery: Delivery) -> Task[None]:
        if delivery.claim is not None:
            lease = self.options.claim_lease_seconds or self._facts.visibility_timeout
            yield RenewClaim(delivery.key, delivery.claim, lease)
        if (yield ChangeVisibility((delivery.message,), self._facts.visibility_timeout)):
            self._drop(delivery)


class BeatsForWhatItLost(Consumer):
    """Go on extending what it has given up: no other consumer gets it while the rest of the batch is at work."""

    def _drop(self, delivery: Delivery) -> None:
        """Hold on."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Handle a batch, and keep beating for all of it ever after."""
        kept = tuple(self._in_hand)
        yield from super().handle_batch(messages, received_at)
        self._in_hand = [*kept, *(self.open(message, received_at) for message in messages)]


class BeatsForTheFirstAlone(Consumer):
    """Extend the message that is being worked on, and let the rest of its batch become visible meanwhile."""

    def _extend(self, delivery: Delivery) -> Task[None]:
        if delivery is self._in_hand[0]:
            yield from super()._extend(delivery)


class ActsWhereItCannotAsk(Consumer):
    """Take a claim that cannot be asked for, after long work, for one's own."""

    def still_ours(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Ask, and take an error for a yes."""
        try:
            return (yield from super().still_ours(delivery, claim))
        except OperationFailed:
            return True


class TrustsItsHeartbeat(Consumer):
    """Take a claim for one's own until a heartbeat is told that it is lost; one that is cut off is told nothing."""

    def still_ours(self, delivery: Delivery, _claim: Claimed) -> Task[bool]:
        """Ask nobody."""
        yield from ()
        return delivery in self._in_hand


class RepeatsAnUnclearSideEffect(Consumer):
    """Perform again at once where the answer was lost: a timeout is no proof that nothing was done."""

    def perform(self, delivery: Delivery) -> Task[None]:
        """Perform, and after an error once more."""
        message = delivery.message
        effect = PerformSideEffect(delivery.key, message.message_id, None, message.group)
        try:
            yield effect
        except OperationFailed:
            yield effect


class ReadsThenWrites(ReconcilingConsumer):
    """Compare versions here and not in the store: between the look and the write another consumer writes."""

    def perform(self, delivery: Delivery) -> Task[None]:
        """Look, by a write that nothing is older than, and then write without a condition."""
        entity, version = update_of(delivery.payload)
        message_id = delivery.message.message_id
        there: StateWritten = yield WriteState(entity, 0, delivery.key, message_id, only_if_newer=True)
        if not there.took and there.version >= version:
            delivery.outcome = Outcome.SUPERSEDED
            return
        yield WriteState(entity, version, delivery.key, message_id, only_if_newer=False)


class NeverTurnsBack(SagaConsumer):
    """Begin each attempt with the steps: a participant that has changed its mind takes an order that is refunded."""

    def turned_back(self, _delivery: Delivery) -> Task[bool]:
        """Suppose that nothing was undone."""
        yield from ()
        return False


class LooksForTheLastUndo(SagaConsumer):
    """Take an order for given up once all of it is undone, and not with the first compensation."""

    def turned_back(self, delivery: Delivery) -> Task[bool]:
        """Ask for the compensation that comes last."""
        found: bool = yield LookUpSideEffect(key_of_step(delivery.key, STEPS[0].undo))
        return found


class UndoesWhatWasNotDone(SagaConsumer):
    """Compensate each step, whether it was done or not: refund what was never charged."""

    def go_back(self, delivery: Delivery) -> Task[None]:
        """Undo everything."""
        for step in reversed(STEPS):
            if step.undo:
                yield from self.compensate(delivery, step.undo)


class ReadsByShape(SchemaConsumer):
    """Go by the fields that are there, and never look at the version."""

    def read(self, payload: Payload) -> Payload:
        """Take whatever has the fields of a version for that version."""
        if "amount_cents" in payload and "currency" in payload:
            return payload
        return super().read(payload)


class TakesTheFutureForThePresent(SchemaConsumer):
    """Read what is newer than all that is known as the newest that is known."""

    def read(self, payload: Payload) -> Payload:
        """Lower the version, and read."""
        return super().read({**payload, "schema": min(version_of(payload), self.knows)})


class FetchesBeforeItLooks(LargePayloadConsumer):
    """Fetch as soon as the message is there: what is done and has no payload any more is taken for gone."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Fetch, and only then claim."""
        try:
            yield from self.fetch(delivery)
        except PayloadGone as error:
            delivery.rejection = str(error)
            return Outcome.REJECTED
        return (yield from super().process(delivery))


class RemovesTheFirst(LargePayloadConsumer):
    """Remove the payload of the first message of a batch, and leave the others for ever."""

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete all, and remove one."""
        yield from Consumer.delete(self, messages)
        for key in [reference_in_body(message.body) for message in messages][:1]:
            yield from self.remove(key)


class HasOneIdempotencyKey(IdempotencyKeyConsumer):
    """Call an API with one key for all that is ever to be done: it knows the second customer's call by the first's."""

    def idempotency_key(self, _delivery: Delivery, _attempt: int) -> str:
        """Return what is to be done, and not for whom."""
        return "charge"
