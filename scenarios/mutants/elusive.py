"""Broken consumers that need a coincidence to show: two faults, a rare operation, a moment. For the search's benchmark.

Each is a mistake that is made in earnest. Never run one where money is carried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

from scenarios.simulation.tables import TableModel
from services.consumer.consumer import LEASE_PART, Consumer, Delivery, Outcome
from services.operations import (
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
    OutgoingMessage,
    PerformSideEffect,
    ReadClock,
    Receive,
    ReleaseClaim,
    RenewClaim,
    Send,
    Sleep,
    Task,
)
from services.payload import sequence_of

#: Seconds of a sleep that a request to end alone cuts short.
IDLE = 3600.0

# --- the look into the ledger ---------------------------------------------------------------------------------------


class TakesAFailedLookUpAsDone(Consumer):
    """Suppose that what the ledger cannot answer just now was done."""

    def already_done(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Look, and take an error for a yes."""
        try:
            return (yield from super().already_done(delivery, claim))
        except OperationFailed:
            return True


class TakesAFailedLookUpAsNotDone(Consumer):
    """Suppose that what the ledger cannot answer just now was never done."""

    def already_done(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Look, and take an error for a no."""
        try:
            return (yield from super().already_done(delivery, claim))
        except OperationFailed:
            return False


class LooksUpEverySecondTime(Consumer):
    """Ask the ledger at the second attempt, trust luck at the third, ask at the fourth."""

    def already_done(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Look if the attempt's number is even."""
        if claim.fencing_token % 2:
            return False
        return (yield from super().already_done(delivery, claim))


class RemembersWhatTheLedgerLacked(Consumer):
    """Keep the ledger's no in memory, and do not ask about the key again."""

    def already_done(self, delivery: Delivery, claim: Claimed) -> Task[bool]:
        """Look once for each key."""
        lacked: set[str] = self.__dict__.setdefault("_lacked", set())
        if delivery.key in lacked:
            return False
        found = yield from super().already_done(delivery, claim)
        if not found:
            lacked.add(delivery.key)
        return found


class TakesAServerErrorAsDone(Consumer):
    """Suppose that the external system did what it answered with an error of its own."""

    def perform(self, delivery: Delivery) -> Task[None]:
        """Perform, and go on after an error of the server."""
        try:
            yield from super().perform(delivery)
        except OperationFailed as error:
            if not error.transient or "Server" not in error.code:
                raise


# --- the lease ------------------------------------------------------------------------------------------------------


class HasAShortLease(Consumer):
    """Claim for a part of the time that the work can take."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim for a third of the visibility timeout."""
        claim: ClaimResult = yield Claim(delivery.key, self.options.owner, 0.3 * self._facts.visibility_timeout)
        if isinstance(claim, Claimed):
            delivery.claim = claim.fencing_token
        return claim


class LeavesNoMargin(Consumer):
    """Claim for the whole visibility timeout, counted from the claim: it outlasts the delivery."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim as if the message had come just now."""
        claim: ClaimResult = yield Claim(delivery.key, self.options.owner, float(self._facts.visibility_timeout))
        if isinstance(claim, Claimed):
            delivery.claim = claim.fencing_token
        return claim


class TakesALeaseThatIsNearlyOver(Consumer):
    """Go by the wall clock: a lease that ends within a second counts as over."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim, and go to work where the other's time is almost up."""
        claim = yield from super().claim(delivery)
        if isinstance(claim, HeldByAnother) and 0.0 < claim.seconds_left < 1.0:
            return Claimed(fencing_token=2)
        return claim


class ReleasesAnothersClaim(Consumer):
    """End a claim that is found held, by the token that a first claim has."""

    def claim(self, delivery: Delivery) -> Task[ClaimResult]:
        """Claim; where it is held at a later receive, release it and claim again."""
        claim = yield from super().claim(delivery)
        if isinstance(claim, HeldByAnother) and delivery.message.receive_count > 2:  # noqa: PLR2004 - a later receive
            yield ReleaseClaim(delivery.key, 1)
            claim = yield from super().claim(delivery)
        return claim


class GivesUpWhatIsHeld(Consumer):
    """Delete what was found held at the third receive: its holder will do it."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Take what is held again and again for done."""
        outcome = yield from super().process(delivery)
        again = delivery.message.receive_count > 2  # noqa: PLR2004 - see the class
        return Outcome.DUPLICATE if outcome is Outcome.HELD and again else outcome


class ForgetsAttempts(TableModel):
    """Tables whose released claims are removed: the next claim takes itself for the first there ever was."""

    def release_claim(self, operation: ReleaseClaim, now: Callable[[], float]) -> bool:
        """Remove the item."""
        released = super().release_claim(operation, now)
        if released:
            del self.claims[operation.key]
        return released


# --- the queue ------------------------------------------------------------------------------------------------------


class SkipsByReceiveCount(Consumer):
    """Take a message that comes for the fourth time for one that is done."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Skip what came too often."""
        if delivery.message.receive_count > 3:  # noqa: PLR2004 - see the class
            return Outcome.DUPLICATE
        return (yield from super().process(delivery))


class GivesBackAtOnce(Consumer):
    """Give back at once what another holds: it comes again in a hot loop, until its receives are used up."""

    def handle(self, delivery: Delivery) -> Task[Outcome]:
        """Handle, and make visible what is held."""
        outcome = yield from super().handle(delivery)
        if outcome is Outcome.HELD:
            yield from self.release((delivery.message,))
        return outcome


class DeletesBeforeItSendsAgain(Consumer):
    """Put what failed back at the queue's end: delete it, then send a copy."""

    def schedule_retry(self, message: Message) -> Task[None]:
        """Delete, and send again."""
        yield from self.delete((message,))
        yield Send((OutgoingMessage(message.body),))


class HasKeysThatCollide(Consumer):
    """Know a side effect by a short hash of its key: two of them are one."""

    def key_of(self, payload: dict[str, object], message_id: str) -> str:
        """Return one of eight keys for a repeated message, and the whole key for any other."""
        key = super().key_of(payload, message_id)
        return key if crc32(key.encode()) % 8 else "0"


class DeletesTheWrongEntries(Consumer):
    """Look for the refused entries of a delete among what was received, and not among what was to be deleted."""

    def to_delete(self, settled: Sequence[Message], received: Sequence[Message]) -> Sequence[Message]:
        """Remember what was received."""
        self._received = tuple(received)
        return settled

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete, and mix up the indices of what was refused."""
        if not messages:
            return
        try:
            failures: tuple[EntryFailure, ...] = yield Delete(tuple(messages))
        except OperationFailed:
            yield from super().delete(messages)
            return
        again = [self._received[failure.entry] for failure in failures if not failure.sender_fault]
        yield from super().delete(again)


class PrefetchesAndForgets(Consumer):
    """Receive the next batch while one is at work, and drop it at a request to end."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Handle a batch, and then the one that was fetched meanwhile, if no signal has asked for the end."""
        try:
            fetched: tuple[Message, ...] = yield Receive(self.options.max_messages, 0)
        except OperationFailed:
            fetched = ()
        now = yield ReadClock()
        yield from super().handle_batch(messages, received_at)
        if fetched and not self.stopping:
            yield from super().handle_batch(fetched, now)


class ActsOnAStalePrefetch(Consumer):
    """Keep a batch that was fetched ahead, and count its time from when its work begins."""

    def handle_batch(self, messages: Sequence[Message], received_at: float) -> Task[None]:
        """Handle a batch, and then the one that was fetched meanwhile as if it had come just now."""
        try:
            fetched: tuple[Message, ...] = yield Receive(self.options.max_messages, 0)
        except OperationFailed:
            fetched = ()
        yield from super().handle_batch(messages, received_at)
        if fetched:
            now = yield ReadClock()
            yield from super().handle_batch(fetched, now)


class BuffersAcknowledgements(Consumer):
    """Gather deletes, and lose it at a request to end."""

    def delete(self, messages: Sequence[Message]) -> Task[None]:
        """Delete once three have come together."""
        buffered: list[Message] = self.__dict__.setdefault("_buffered", [])
        buffered.extend(messages)
        if len(buffered) >= 3:  # noqa: PLR2004 - a buffer's size
            yield from super().delete(tuple(buffered))
            buffered.clear()

    def poll(self) -> Task[int]:
        """Poll, and acknowledge what is left at a good end alone."""
        done = yield from super().poll()
        buffered: list[Message] = self.__dict__.get("_buffered", [])
        if buffered and not self.stopping:
            yield from super().delete(tuple(buffered))
        return done


# --- loops ----------------------------------------------------------------------------------------------------------


class EndsAtAFailedReceive(Consumer):
    """End the receive loop at the second passing error, while the process lives: no supervisor starts another."""

    def poll(self) -> Task[int]:
        """Poll until told to stop, or until the queue has refused twice; then stand idle."""
        yield from self.prepare()
        refused = 0
        while not self.stopping and refused < 2:  # noqa: PLR2004 - see the class
            try:
                messages: tuple[Message, ...] = yield Receive(self.options.max_messages, self.options.wait_time_seconds)
            except OperationFailed:
                refused += 1
                yield Sleep(0.1)
                continue
            if messages:
                now = yield ReadClock()
                yield from self.handle_batch(messages, received_at=now)
        while not self.stopping:
            yield Sleep(IDLE)
        yield Note("stopped", {"done": self.done, "signalled": self.stopping, "requests": self._requests})
        return self.done


class HasABreakerThatStaysOpen(Consumer):
    """Stop working after two failures in a row, and never try again."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Work, unless too much has failed."""
        failures = self.__dict__.get("_failures", 0)
        if failures >= 2:  # noqa: PLR2004 - see the class
            return Outcome.HELD
        self.__dict__["_failures"] = failures + 1
        outcome = yield from super().process(delivery)
        self.__dict__["_failures"] = 0
        return outcome


# --- order ----------------------------------------------------------------------------------------------------------


class GoesOnWhenItsHeadIsHeld(Consumer):
    """Go on in a group whose head another consumer holds."""

    def stops_group(self, outcome: Outcome) -> bool:
        """Stop at a failure alone."""
        return outcome is not Outcome.HELD


class GivesBackTheHeadAndGoesOn(Consumer):
    """Give back the message that failed, and go on with its group: another consumer gets it meanwhile."""

    def stops_group(self, _outcome: Outcome) -> bool:
        """Stop at nothing."""
        return False

    def schedule_retry(self, message: Message) -> Task[None]:
        """Make it visible at once."""
        yield from self.release((message,))


# --- the heartbeat --------------------------------------------------------------------------------------------------


class ExtendsTheClaimAlone(Consumer):
    """Keep the claim and let the message become visible: each delivery of it in vain costs a receive."""

    def _extend(self, delivery: Delivery) -> Task[None]:
        if delivery.claim is not None:
            lease = self.options.claim_lease_seconds or LEASE_PART * self._facts.visibility_timeout
            yield RenewClaim(delivery.key, delivery.claim, lease)


class BeatsOnce(Consumer):
    """Extend what is in hand once, and suppose that twice the time is enough."""

    def _extend(self, delivery: Delivery) -> Task[None]:
        extended: set[str] = self.__dict__.setdefault("_extended", set())
        if delivery.message.receipt_handle not in extended and delivery.claim is not None:
            extended.add(delivery.message.receipt_handle)
            yield from super()._extend(delivery)


# --- what is done twice ---------------------------------------------------------------------------------------------


class DoesItAgainAfterAFailedComplete(Consumer):
    """Begin anew where the bookkeeping fails: look up first, and take an error there for a no."""

    def process(self, delivery: Delivery) -> Task[Outcome]:
        """Process, and after an error of the bookkeeping perform again where the ledger gives no answer."""
        try:
            return (yield from super().process(delivery))
        except OperationFailed:
            if delivery.claim is None:
                raise
        try:
            done = yield LookUpSideEffect(delivery.key)
        except OperationFailed:
            done = False
        if not done:
            message = delivery.message
            yield PerformSideEffect(delivery.key, message.message_id, sequence_of(delivery.payload), message.group)
        still_ours = yield Complete(delivery.key, delivery.claim)
        return Outcome.DONE if still_ours else Outcome.HELD


class DeletesWhatItCannotGiveBack(Consumer):
    """Delete what was not begun and cannot be given back, so that it does not come too often."""

    def release(self, messages: Sequence[Message]) -> Task[None]:
        """Try to give back; where that fails, delete, so that it is not redelivered too often."""
        if not messages:
            return
        try:
            yield ChangeVisibility(tuple(messages), timeout=0)
        except OperationFailed:
            yield from self.delete(messages)
