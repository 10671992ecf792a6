"""Designs that keep their memory in unusual places: correct ones, and next to each a broken one."""

import json
from contextlib import suppress

from services.consumer.consumer import Consumer
from services.operations import (
    ChangeVisibility,
    CommitChange,
    Delete,
    GetItem,
    LookUpSideEffect,
    MarkSent,
    OperationFailed,
    PerformSideEffect,
    PutItem,
    ReadClock,
    ReadOutbox,
    ReadWallClock,
    Receive,
    Sleep,
    Transact,
)
from services.payload import effect_key, parse_payload
from tests.scenarios.designs.correct import CallsAnIdempotentApi, KeepsAnInbox, effect_of


class TakesMessagesOver(CallsAnIdempotentApi):
    """A durable inbox: commit the message to a store of its own, delete it, and do its work from there."""

    def poll(self):
        while not self.stopping:
            with suppress(OperationFailed):
                for message in (yield Receive(self.options.max_messages, 0)):
                    delivery = self.open(message, 0.0)
                    if not delivery.rejection:
                        yield CommitChange(delivery.key, "taken", json.dumps([message.body, message.message_id]))
                        yield Delete((message,))
            with suppress(OperationFailed):
                yield from self.relay()
            yield Sleep(0.1)
        return self.done

    def relay(self):
        for entry in (yield ReadOutbox(10)):
            body, message_id = json.loads(entry.body)
            key = effect_key(parse_payload(body), message_id, "")
            yield from self.finish(entry, key, message_id)

    def finish(self, entry, key, message_id):
        yield Transact((PutItem(f"done/{key}", "done", if_absent=True),), PerformSideEffect(key, message_id))
        yield MarkSent((entry.key,))


class MarksBeforeItActs(TakesMessagesOver):
    """The same, and takes the entry out of the store before its work."""

    def finish(self, entry, key, message_id):
        yield MarkSent((entry.key,))
        yield Transact((PutItem(f"done/{key}", "done", if_absent=True),), PerformSideEffect(key, message_id))


class PutsOffForMinutes(KeepsAnInbox):
    """Put what failed off for two minutes, which is longer than anybody waits for it here."""

    seconds = 120

    def take(self, message):
        try:
            yield from super().take(message)
        except OperationFailed:
            yield ChangeVisibility((message,), self.seconds)


class PutsEverythingOff(PutsOffForMinutes):
    """Keep each message to itself by a heartbeat that never ends, whatever became of its work."""

    def __init__(self, *given):
        super().__init__(*given)
        self.held = {}

    def take(self, message):
        self.held[message.message_id] = message
        yield from KeepsAnInbox.take(self, message)
        del self.held[message.message_id]

    def heartbeat(self):
        while True:
            yield Sleep(0.5, uninterrupted=True)
            for message in tuple(self.held.values()):
                with suppress(OperationFailed):
                    yield ChangeVisibility((message,), 2)


class StampsItsLeaseFirst(CallsAnIdempotentApi):
    """Take a lease in an item, whose end follows from the moment before the write; look before, and again."""

    assumes = Consumer.assumes
    part = 0.45

    def clock(self):
        return (yield ReadWallClock())

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        if not (yield LookUpSideEffect(delivery.key)):
            if not (yield from self.owns(delivery)):
                return
            # Another one may have done it since.
            if not (yield LookUpSideEffect(delivery.key)):
                yield effect_of(delivery)
        yield Delete((message,))

    def owns(self, delivery):
        row, now = f"lease/{delivery.key}", (yield from self.clock())
        until = now + self.part * self._facts.visibility_timeout
        mine = json.dumps([self.options.owner, delivery.message.receive_count, until])
        if (yield PutItem(row, mine, if_absent=True)):
            return True
        held = yield from self.read(row)
        return held is not None and json.loads(held)[2] <= now and (yield PutItem(row, mine, if_equal=held))

    def read(self, row):
        return (yield GetItem(row))


class LeasesByTheMonotonicClock(StampsItsLeaseFirst):
    """The same by a clock that begins anew on each machine: another one's lease has long ended, or never does."""

    def clock(self):
        return (yield ReadClock())


class MayReadStale(StampsItsLeaseFirst):
    """The same, and a read of the lease that need not be consistent: the write compares in any case."""

    def read(self, row):
        return (yield GetItem(row, consistent=False))


class TakesOverWhatItReads(MayReadStale):
    """The same, and takes an ended lease over without a condition: two hold it."""

    def owns(self, delivery):
        row, now = f"lease/{delivery.key}", (yield ReadWallClock())
        until = now + self.part * self._facts.visibility_timeout
        held = yield from self.read(row)
        if held is not None and json.loads(held)[2] > now:
            return False
        yield PutItem(row, json.dumps([self.options.owner, delivery.message.receive_count, until]))
        return True


#: By correct design: the broken one next to it, and what that one must be convicted of.
PAIRS = {
    TakesMessagesOver: (MarksBeforeItActs, {"lost"}),
    PutsOffForMinutes: (PutsEverythingOff, {"in-flight-at-end"}),
    StampsItsLeaseFirst: (
        LeasesByTheMonotonicClock,
        {"duplicated-side-effect", "wrongly-dead-lettered", "in-flight-at-end"},
    ),
    MayReadStale: (TakesOverWhatItReads, {"duplicated-side-effect"}),
}
