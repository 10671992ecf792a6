"""Correct designs that are not ours: none of them may be convicted. Each declares what it promises and assumes."""

import json
from contextlib import suppress
from hashlib import sha256

from services.consumer.assumptions import Assumption
from services.consumer.consumer import Consumer, Outcome
from services.consumer.patterns import Pattern
from services.operations import (
    AlreadyCompleted,
    CallApi,
    Claim,
    Complete,
    Delete,
    DescribeQueue,
    GetItem,
    HeldByAnother,
    LookUpSideEffect,
    Note,
    OperationFailed,
    OutgoingMessage,
    PerformSideEffect,
    PutItem,
    ReadClock,
    ReadWallClock,
    Receive,
    ReleaseClaim,
    Send,
    Sleep,
    Transact,
)
from services.payload import sequence_of


def effect_of(delivery):
    message = delivery.message
    return PerformSideEffect(delivery.key, message.message_id, sequence_of(delivery.payload), message.group)


class LooksClaimsAndLooksAgain(Consumer):
    """Look first, which saves a write for what was done; claim; look again, since the first look may be stale."""

    def process(self, delivery):
        if (yield LookUpSideEffect(delivery.key)):
            return Outcome.DUPLICATE
        claim = yield from self.claim(delivery)
        if isinstance(claim, AlreadyCompleted):
            return Outcome.DUPLICATE
        if isinstance(claim, HeldByAnother):
            return Outcome.HELD
        if not (yield LookUpSideEffect(delivery.key)):
            yield effect_of(delivery)
        if not (yield Complete(delivery.key, claim.fencing_token)):
            return Outcome.HELD
        return Outcome.DONE


class KeepsBooksUnderAnotherKey(Consumer):
    """Claim under a key of the consumer's own, and cause the effect under the business's."""

    def process(self, delivery):
        key = f"books/{delivery.key}"
        now = yield ReadClock()
        lease = delivery.visible_at - 0.1 * self._facts.visibility_timeout - now
        if lease <= 0.1 * self._facts.visibility_timeout:
            return Outcome.HELD
        claim = yield Claim(key, self.options.owner, lease)
        if isinstance(claim, AlreadyCompleted):
            return Outcome.DUPLICATE
        if isinstance(claim, HeldByAnother):
            return Outcome.HELD
        try:
            if claim.first_attempt or not (yield LookUpSideEffect(delivery.key)):
                yield effect_of(delivery)
            if not (yield Complete(key, claim.fencing_token)):
                return Outcome.HELD
        except OperationFailed:
            yield ReleaseClaim(key, claim.fencing_token)
            raise
        return Outcome.DONE


class SendsACopyAgain(Consumer):
    """Put what failed back at the end of the queue: send a copy, and only then delete the original."""

    follows = frozenset({Pattern.RETRIED_ENTRIES, Pattern.CLAIMS, Pattern.LEDGER_LOOK, Pattern.HEARTBEAT})

    def handle(self, delivery):
        outcome = yield from super().handle(delivery)
        message = delivery.message
        if outcome is not Outcome.FAILED or message.group is not None or self.stopping:
            return outcome
        try:
            sent = yield Send((OutgoingMessage(message.body),))
        except OperationFailed:
            return outcome
        return outcome if sent.failed else Outcome.DISCARDED


class LeavesFailedDeletesToTheRedelivery(Consumer):
    """Delete once; what could not be deleted comes again, and is found done."""

    follows = frozenset(Pattern) - {Pattern.RETRIED_ENTRIES}

    def delete(self, messages):
        if messages:
            try:
                yield Delete(tuple(messages))
            except OperationFailed:
                return


class CrashesOnly(Consumer):
    """End with an error at the first failure, whatever it is: the supervisor starts another."""

    follows = frozenset({Pattern.CLAIMS, Pattern.LEDGER_LOOK})

    def handle(self, delivery):
        return (yield from self.process(delivery))


class EndsQuietlyAtItsFirstFailure(CrashesOnly):
    """End with exit code 0 at the first failure: the supervisor starts another all the same."""

    def poll(self):
        with suppress(OperationFailed):
            yield from super().poll()
        return self.done


class EndsWhenTheQueueIsEmpty(Consumer):
    """A batch job: work until a receive comes empty, and end with exit code 0; a supervisor starts it again."""

    def poll(self):
        yield from self.prepare()
        while not self.stopping:
            try:
                messages = yield Receive(self.options.max_messages, self.options.wait_time_seconds)
            except OperationFailed:
                break
            if not messages:
                break
            now = yield ReadClock()
            yield from self.handle_batch(messages, received_at=now)
        yield Note("stopped", {"done": self.done, "signalled": self.stopping, "requests": self._requests})
        return self.done


class CallsAnIdempotentApi(Consumer):
    """A loop of its own, without our notes, claims or ledger: the API takes effect and key in one write."""

    assumes = frozenset(Assumption) - {Assumption.NO_LATE_REQUESTS, Assumption.SHORT_PAUSES, Assumption.CLOSE_CLOCKS}
    follows = frozenset()

    def poll(self):
        self._facts = yield DescribeQueue()
        # One at a time keeps the order of a FIFO queue: what failed blocks its group until it comes again.
        at_once = 1 if self._facts.fifo else self.options.max_messages
        while not self.stopping:
            try:
                messages = yield Receive(at_once, self.options.wait_time_seconds)
            except OperationFailed:
                yield Sleep(0.2)
                continue
            for message in messages:
                with suppress(OperationFailed):  # then it comes again
                    yield from self.take(message)
        return self.done

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        yield CallApi(delivery.key, message.message_id, delivery.key, sequence_of(delivery.payload), message.group)
        yield Delete((message,))
        self.done += 1


class LoopOfItsOwn(CallsAnIdempotentApi):
    """A loop of its own, without our notes, that claims and looks as ours does."""

    assumes = Consumer.assumes
    follows = frozenset({Pattern.CLAIMS, Pattern.LEDGER_LOOK})

    def take(self, message):
        now = yield ReadClock()
        delivery = self.open(message, now + self._facts.visibility_timeout)
        if delivery.rejection:
            return
        outcome = yield from self.handle(delivery)
        self._drop(delivery)  # or the heartbeat would keep it for ever
        if outcome.settled:
            yield Delete((message,))


class KeepsAnInbox(CallsAnIdempotentApi):
    """Write a row and cause the effect in one transaction; the row's name is the consumer's own affair."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        row = f"INBOX#{sha256(delivery.key.encode()).hexdigest()}"
        if (yield GetItem(row)) is None:
            yield Transact((PutItem(row, "done", if_absent=True),), effect_of(delivery))
        yield Delete((message,))


class LeasesAnItem(CallsAnIdempotentApi):
    """Take a lease by comparing and setting an item of its own, and look before the effect."""

    assumes = Consumer.assumes

    def take(self, message):
        begun = yield ReadClock()
        delivery = self.open(message, 0.0)
        if delivery.rejection or not (yield from self.owns(delivery)):
            return
        if not (yield LookUpSideEffect(delivery.key)):
            if (yield ReadClock()) > begun + 0.4 * self._facts.visibility_timeout:
                return
            yield effect_of(delivery)
        yield Delete((message,))

    def owns(self, delivery):
        row, now = f"lease/{delivery.key}", (yield ReadWallClock())
        until = now + 0.7 * self._facts.visibility_timeout
        held = yield GetItem(row)
        if held is not None and json.loads(held)[1] > now:
            return False
        mine = json.dumps([delivery.message.receipt_handle, until])
        return (yield PutItem(row, mine, if_absent=held is None, if_equal=held))


ALL = (
    LooksClaimsAndLooksAgain,
    KeepsBooksUnderAnotherKey,
    SendsACopyAgain,
    LeavesFailedDeletesToTheRedelivery,
    CrashesOnly,
    EndsQuietlyAtItsFirstFailure,
    EndsWhenTheQueueIsEmpty,
    CallsAnIdempotentApi,
    LoopOfItsOwn,
    KeepsAnInbox,
    LeasesAnItem,
)
