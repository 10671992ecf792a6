"""Broken designs, each next to a correct one: what is missing is small, and each must be convicted."""

from contextlib import suppress

from services.consumer.consumer import Consumer, Outcome
from services.consumer.patterns import Pattern
from services.injection import TIMEOUT
from services.operations import (
    AlreadyCompleted,
    CallApi,
    Claim,
    Claimed,
    Complete,
    Delete,
    LookUpSideEffect,
    OperationFailed,
    OutgoingMessage,
    PerformSideEffect,
    ReadWallClock,
    Receive,
    Send,
    Sleep,
)
from services.payload import sequence_of
from tests.scenarios.designs.correct import (
    CallsAnIdempotentApi,
    CrashesOnly,
    EndsWhenTheQueueIsEmpty,
    SendsACopyAgain,
    effect_of,
)


class LooksOnlyBeforeItClaims(Consumer):
    """Look, claim, perform: the look is stale by the time the claim is granted."""

    def process(self, delivery):
        if (yield LookUpSideEffect(delivery.key)):
            return Outcome.DUPLICATE
        claim = yield from self.claim(delivery)
        if not isinstance(claim, Claimed):
            return Outcome.DUPLICATE if isinstance(claim, AlreadyCompleted) else Outcome.HELD
        yield effect_of(delivery)
        yield Complete(delivery.key, claim.fencing_token)
        return Outcome.DONE


class KeepsBooksUnderAKeyForEachConsumer(CrashesOnly):
    """Claim under a key with the consumer's own name in it, which keeps no other consumer off."""

    def process(self, delivery):
        key = f"{self.options.owner}/{delivery.key}"
        claim = yield Claim(key, self.options.owner, 1.0)
        if isinstance(claim, Claimed):
            yield effect_of(delivery)
            yield Complete(key, claim.fencing_token)
        return Outcome.DONE


class DeletesBeforeItSendsTheCopy(SendsACopyAgain):
    """Delete the original, then send the copy: a death in between loses it."""

    follows = SendsACopyAgain.follows - {Pattern.RETRIED_ENTRIES}

    def handle(self, delivery):
        outcome = yield from super(SendsACopyAgain, self).handle(delivery)
        if outcome is Outcome.FAILED:
            with suppress(OperationFailed):
                yield Delete((delivery.message,))
                yield Send((OutgoingMessage(delivery.message.body),))
        return outcome


def idle_for_good(consumer):
    """Let the process live and do nothing, as where a thread has died: no supervisor sees a reason to start another."""
    while not consumer.stopping:
        yield Sleep(3600.0)


class StandsIdleAfterItsFirstFailure(CrashesOnly):
    """End the work at the first failure, and not the process."""

    def poll(self):
        with suppress(OperationFailed):
            yield from super().poll()
        yield from idle_for_good(self)
        return self.done


class DropsWhatItHoldsAtItsEnd(EndsWhenTheQueueIsEmpty):
    """Delete each batch before its work, since the job ends soon anyway."""

    def handle_batch(self, messages, received_at):
        yield Delete(tuple(messages))
        yield from super().handle_batch(messages, received_at)


class DiesAtItsFirstThrottling(CrashesOnly):
    """Delete what is in hand before the work, and die of any failure: the supervisor's successor finds nothing."""

    def handle(self, delivery):
        yield Delete((delivery.message,))
        return (yield from self.process(delivery))


class CallsWithAKeyForEachReceive(CallsAnIdempotentApi):
    """Give each receive an idempotency key of its own, which the API has never seen."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        key = f"{delivery.key}/{message.receive_count}"
        yield CallApi(delivery.key, message.message_id, key, sequence_of(delivery.payload), message.group)
        yield Delete((message,))


class CallsWithTheDayInTheKey(CallsAnIdempotentApi):
    """Give each day an idempotency key of its own, so that a repetition after midnight is a new call."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        key = f"{delivery.key}/{int((yield ReadWallClock()) // 86_400)}"
        yield CallApi(delivery.key, message.message_id, key, sequence_of(delivery.payload), message.group)
        yield Delete((message,))


class GoesOnAfterATimeout(CallsAnIdempotentApi):
    """Take whole batches of a FIFO queue, and let a group go on after a call whose outcome is unknown."""

    def poll(self):
        while not self.stopping:
            for message in (yield Receive(self.options.max_messages, self.options.wait_time_seconds)):
                try:
                    yield from self.take(message)
                except OperationFailed as error:
                    if error.code != TIMEOUT:
                        break
        return self.done


class LoopThatNeverLooks(CallsAnIdempotentApi):
    """A loop of its own over a system that knows no keys, without claims."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        yield PerformSideEffect(delivery.key, message.message_id)
        yield Delete((message,))


class LeavesTheBatchAtAFailure(CallsAnIdempotentApi):
    """End the loop for good at a failure; the process goes on and asks for nothing."""

    def poll(self):
        while not self.stopping:
            messages = yield Receive(self.options.max_messages, self.options.wait_time_seconds)
            try:
                for message in messages:
                    yield from self.take(message)
            except OperationFailed:
                yield from idle_for_good(self)
        return self.done


#: What each must be convicted of.
ALL = {
    LooksOnlyBeforeItClaims: {"duplicated-side-effect"},
    KeepsBooksUnderAKeyForEachConsumer: {"duplicated-side-effect"},
    DeletesBeforeItSendsTheCopy: {"lost", "deleted-before-done"},
    StandsIdleAfterItsFirstFailure: {"in-flight-at-end"},
    DropsWhatItHoldsAtItsEnd: {"lost", "deleted-before-done"},
    DiesAtItsFirstThrottling: {"lost", "deleted-before-done"},
    CallsWithAKeyForEachReceive: {"duplicated-side-effect"},
    CallsWithTheDayInTheKey: {"duplicated-side-effect"},
    GoesOnAfterATimeout: {"order-violated"},
    LoopThatNeverLooks: {"duplicated-side-effect"},
    LeavesTheBatchAtAFailure: {"in-flight-at-end"},
}
