"""Designs where a scenario asks for a pattern of its own: correct ones that are not ours, each with a broken one.

A scenario's own invariants may convict none of the correct ones, and must convict the broken one next to each.
"""

from contextlib import suppress
from types import MappingProxyType

from services.consumer.consumer import Outcome
from services.consumer.freshness import FreshnessConsumer
from services.consumer.patterns import Pattern
from services.consumer.saga import REFUSED, STEPS, SagaConsumer, key_of_step
from services.operations import (
    CallApi,
    FetchObject,
    GetItem,
    LookUpSideEffect,
    Note,
    OperationFailed,
    PutItem,
    ReadWallClock,
    RemoveObject,
    WriteState,
)
from services.payload import created_of, sequence_of, update_of
from services.references import reference_in
from tests.scenarios.designs.correct import CallsAnIdempotentApi


class CompensatesFromTheFirstStep(SagaConsumer):
    """Undo the steps in the order in which they were done: no compensation of these needs another."""

    follows = frozenset(Pattern) - {Pattern.REVERSE_COMPENSATION}

    def go_back(self, delivery):
        for step in STEPS:
            if step.undo and (yield LookUpSideEffect(key_of_step(delivery.key, step.name))):
                yield from self.compensate(delivery, step.undo)


class PromisesToGoBackInReverse(CompensatesFromTheFirstStep):
    """The same, with a promise that it does not keep."""

    follows = frozenset(Pattern)


class WritesItsSagaDown(CallsAnIdempotentApi):
    """Keep the saga's direction in an item, and call each participant with the step's key as idempotency key."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        if not (yield from self.turned_back(delivery)):
            try:
                for step in STEPS:
                    yield from self.call(delivery, step.name)
            except OperationFailed as error:
                if error.code != REFUSED:
                    raise
                yield from self.turn_back(delivery)
        if (yield from self.turned_back(delivery)):
            for step in STEPS:
                if step.undo and (yield LookUpSideEffect(key_of_step(delivery.key, step.name))):
                    yield from self.call(delivery, step.undo)
        yield from self.finish(message)

    def turned_back(self, delivery):
        return (yield GetItem(f"saga/{delivery.key}")) is not None

    def turn_back(self, delivery):
        yield PutItem(f"saga/{delivery.key}", "back")

    def call(self, delivery, name):
        key, message = key_of_step(delivery.key, name), delivery.message
        yield CallApi(key, message.message_id, key, sequence_of(delivery.payload), message.group)

    def finish(self, message):
        yield from self.delete((message,))


class ForgetsThatItTurnedBack(WritesItsSagaDown):
    """Keep the direction in memory: another coordinator goes forward again."""

    def __init__(self, *given):
        super().__init__(*given)
        self.back = set()

    def turned_back(self, delivery):
        yield from ()
        return delivery.key in self.back

    def turn_back(self, delivery):
        yield from ()
        self.back.add(delivery.key)


class ExpiresWithoutAWord(FreshnessConsumer):
    """Delete what is stale before anything else is asked for it, and write no note of it."""

    part_of_the_limit = 1.0

    def handle(self, delivery):
        created = created_of(delivery.payload, self.options.timestamp_field)
        limit = self.part_of_the_limit * self.options.max_age_seconds
        if created is not None and (yield ReadWallClock()) - created > limit:
            return Outcome.DISCARDED
        return (yield from super().handle(delivery))


class ExpiresTooSoon(ExpiresWithoutAWord):
    """The same, with half of the limit."""

    part_of_the_limit = 0.5


class WritesVersionsInALoop(CallsAnIdempotentApi):
    """Leave all to the conditional write: no claims, no notes, one delete for each message."""

    only_if_newer = True

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        entity, version = update_of(delivery.payload)
        yield WriteState(entity, version, delivery.key, message.message_id, self.only_if_newer)
        yield from self.delete((message,))


class WritesWhatComesLast(WritesVersionsInALoop):
    """The same, and the store does not compare."""

    only_if_newer = False


class ReadsEachVersionByATable(CallsAnIdempotentApi):
    """Choose a reader by the version, and leave what is newer than all of them."""

    readers = MappingProxyType(
        {
            1: lambda payload: (100 * payload["amount"], "EUR"),
            2: lambda payload: (payload["amount_cents"], payload["currency"]),
        }
    )

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        version = self.version_of(delivery.payload)
        reader = self.readers.get(version) if version <= (self.options.schema_version or 2) else None
        if reader is None:
            return
        cents, currency = reader(delivery.payload)
        knows = self.options.schema_version or 2
        about = {"key": delivery.key, "message_id": message.message_id}
        yield Note("charges", {**about, "cents": cents, "currency": currency, "knows": knows})
        yield CallApi(delivery.key, message.message_id, delivery.key, sequence_of(delivery.payload), message.group)
        yield from self.delete((message,))

    def version_of(self, payload):
        return payload.get("schema", 1)


class TakesTheFutureForThePresent(ReadsEachVersionByATable):
    """The same, and reads a newer version as the newest that it knows."""

    def version_of(self, payload):
        return min(payload.get("schema", 1), self.options.schema_version or 2)


class FetchesInALoop(CallsAnIdempotentApi):
    """Fetch, call, delete, remove; the API's key makes a claim and a look superfluous."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        payload = reference_in(delivery.payload)
        if (yield FetchObject(payload)) is not None:
            yield CallApi(delivery.key, message.message_id, delivery.key, sequence_of(delivery.payload), message.group)
        elif not (yield LookUpSideEffect(delivery.key)):
            return
        yield from self.delete((message,))
        with suppress(OperationFailed):
            yield RemoveObject(payload)


class RemovesBeforeItDeletes(FetchesInALoop):
    """The same, and removes the payload first: a message that comes again finds none, and nobody asks the ledger."""

    def take(self, message):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        payload = reference_in(delivery.payload)
        if (yield FetchObject(payload)) is None:
            return
        yield CallApi(delivery.key, message.message_id, delivery.key, sequence_of(delivery.payload), message.group)
        yield RemoveObject(payload)
        yield from self.delete((message,))


#: By scenario: what none of it may be convicted, and what each must be convicted of.
CORRECT = {
    "saga": (CompensatesFromTheFirstStep, WritesItsSagaDown),
    "backlog-drain": (ExpiresWithoutAWord,),
    "out-of-order": (WritesVersionsInALoop,),
    "schema-evolution": (ReadsEachVersionByATable,),
    "large-payload": (FetchesInALoop,),
}
BROKEN = {
    "saga": {
        PromisesToGoBackInReverse: {"undone-out-of-order"},
        ForgetsThatItTurnedBack: {"partial-saga"},
    },
    "backlog-drain": {ExpiresTooSoon: {"expired-too-early"}},
    "out-of-order": {WritesWhatComesLast: {"stale-state"}},
    "schema-evolution": {TakesTheFutureForThePresent: {"misread"}},
    "large-payload": {RemovesBeforeItDeletes: {"wrongly-dead-lettered"}},
}
