"""Faults of the world around a process: each finds a consumer that it breaks, and convicts no correct one."""

from contextlib import suppress
from dataclasses import astuple
from itertools import islice

import pytest

from scenarios.catalog.happy.naive import WithoutGuard
from scenarios.exploration.campaign import violated_by
from scenarios.exploration.fault_coverage import BEYOND_ONLY, faults_met
from scenarios.mutants.elusive import TakesAServerErrorAsDone
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.random_faults import BEYOND, FAVOURED, SIZES, Kind, RandomFault, kinds_of
from scenarios.verdict import Outcome as VerdictOutcome
from services.consumer.assumptions import ALL, Assumption
from services.consumer.consumer import Consumer, Outcome
from services.operations import (
    CallApi,
    Claimed,
    CountMessages,
    Delete,
    DeleteItem,
    GetItem,
    LookUpSideEffect,
    Note,
    OperationFailed,
    PerformSideEffect,
    Purge,
    PutItem,
    ReadClock,
    Receive,
    Sleep,
    Transact,
)
from services.payload import sequence_of

HISTORIES = 150


class Only:
    """Random faults of one kind alone, at the operations that a seed draws."""

    def __init__(self, kind, seed, roles=("consumer",)):
        self._kind, self._choices, self._roles = kind, SeededChoices(f"{kind}/{seed}"), roles

    def of(self, role, name):
        if role not in self._roles:
            return ()
        draw, spread = self._choices.below, 40 if role == "consumer" else 2
        at = sorted(1 + draw(spread) for _ in range(draw(4)))
        return tuple(RandomFault(self._kind, first, draw(SIZES)) for first in at)


class Schedule:
    def __init__(self, faults):
        self._faults = faults

    def begin(self):
        return self._faults


@pytest.fixture
def histories(simulated, monkeypatch):
    """Yield what each history violates, and how often the kind of fault was met in it."""

    def run(kind, workload, consumer, dropped=()):
        monkeypatch.setattr("scenarios.exploration.targets.consumer_class", lambda spec: consumer)
        return _histories(simulated, kind, workload, dropped)

    return run


def _histories(simulated, kind, workload, dropped):
    roles = ("producer",) if kind is Kind.DEDUPLICATION_OVER else ("consumer",)
    for seed in range(HISTORIES):
        faults = Schedule(Only(kind, seed, roles))
        simulation = simulated(workload, seed, with_faults=True, schedule=faults, dropped=dropped)
        met = sum(strike.kind == kind for strike in simulation.history.faults)
        yield violated_by(simulation.verdict), met, simulation


# --- consumers that a fault breaks -----------------------------------------------------------------------------------


def idle_for_good(consumer):
    """Let the process live and do nothing: no supervisor sees a reason to start another."""
    while not consumer.stopping:
        yield Sleep(3600.0)


class GivesUpAfterThreeFailures(Consumer):
    """Stand idle, as if all were done, after three receives in a row that failed."""

    def poll(self):
        yield from self.prepare()
        failed = 0
        while not self.stopping and failed < 3:
            try:
                messages = yield Receive(self.options.max_messages, self.options.wait_time_seconds)
            except OperationFailed:
                failed += 1
                continue
            failed = 0
            now = yield ReadClock()
            yield from self.handle_batch(messages, now)
        yield from idle_for_good(self)
        return self.done


class DropsWhatIsRefusedForGood(Consumer):
    """Take an error that does not pass for the message's fault, and delete the message."""

    def handle(self, delivery):
        try:
            return (yield from self.process(delivery))
        except OperationFailed as error:
            yield Note("failed", {"key": delivery.key, "error": str(error)})
            return Outcome.FAILED if error.transient else Outcome.DISCARDED


class EndsQuietlyAtAnErrorThatStays(Consumer):
    """End with exit code 0 where a receive is refused for good: the supervisor starts another."""

    def poll(self):
        with suppress(OperationFailed):
            yield from super().poll()
        return self.done


class StandsIdleAtAnErrorThatStays(EndsQuietlyAtAnErrorThatStays):
    """Let the process live instead."""

    def poll(self):
        yield from super().poll()
        yield from idle_for_good(self)
        return self.done


class FailsOpenWithoutItsTable(Consumer):
    """Go on without a claim where the table cannot be reached."""

    def claim(self, delivery):
        try:
            return (yield from super().claim(delivery))
        except OperationFailed:
            return Claimed(1)


class WorksWhileItsOwnClockSaysSo(Consumer):
    """Claim nothing: work as long as, by the monotonic clock, nobody else can have received the message."""

    def process(self, delivery):
        if (yield LookUpSideEffect(delivery.key)):
            return Outcome.DUPLICATE
        now = yield ReadClock()
        if now > delivery.visible_at - 0.5:
            return Outcome.HELD
        message = delivery.message
        yield PerformSideEffect(delivery.key, message.message_id, sequence_of(delivery.payload), message.group)
        return Outcome.DONE


class NeedsNoCloseClocks(Consumer):
    """Our consumer, which claims that no wall clock matters to it."""

    assumes = ALL - {Assumption.CLOSE_CLOCKS}


class TakesATimeoutOfADeleteAsDone(Consumer):
    """Delete once, and forget what came of it."""

    def delete(self, messages):
        if messages:
            with suppress(OperationFailed):
                yield Delete(tuple(messages))


class CallsWithTheKeyOfTheMessage(Consumer):
    """No claims: the API takes effect and key in one write, so no clock and no table of ours matters."""

    assumes = ALL - {Assumption.CLOSE_CLOCKS, Assumption.NO_LATE_REQUESTS, Assumption.SHORT_PAUSES}

    def process(self, delivery):
        message = delivery.message
        yield CallApi(delivery.key, message.message_id, delivery.key, sequence_of(delivery.payload), message.group)
        return Outcome.DONE


#: The kind, where, who must be convicted of what.
CONVICTED = [
    (Kind.PARTIAL_REPLY_LOST, "orders", TakesATimeoutOfADeleteAsDone, "refused-and-forgotten"),
    (Kind.PARTITION, "orders", FailsOpenWithoutItsTable, "duplicated-side-effect"),
    (Kind.THROTTLING, "orders", GivesUpAfterThreeFailures, "in-flight-at-end"),
    (Kind.BROWN_OUT, "orders", TakesAServerErrorAsDone, "lost"),
    (Kind.EXPIRED_CREDENTIALS, "orders", StandsIdleAtAnErrorThatStays, "in-flight-at-end"),
    (Kind.MISSING_RESOURCE, "orders", StandsIdleAtAnErrorThatStays, "in-flight-at-end"),
    (Kind.MISSING_RESOURCE, "orders", DropsWhatIsRefusedForGood, "lost"),
    (Kind.DELETED_RESOURCE, "orders", DropsWhatIsRefusedForGood, "lost"),
    (Kind.DELETED_RESOURCE, "orders", FailsOpenWithoutItsTable, "duplicated-side-effect"),
    (Kind.FREEZE, "orders", WorksWhileItsOwnClockSaysSo, "duplicated-side-effect"),
    (Kind.CLOCK_JUMP, "zombies", NeedsNoCloseClocks, "duplicated-side-effect"),
    (Kind.CLOCK_DRIFT, "zombies", NeedsNoCloseClocks, "duplicated-side-effect"),
    (Kind.COPY_AFTER_DELETE, "orders", WithoutGuard, "duplicated-side-effect"),
    (Kind.DEDUPLICATION_OVER, "groups", WithoutGuard, "duplicated-side-effect"),
]


@pytest.mark.parametrize(("kind", "workload", "consumer", "of"), CONVICTED)
def test_a_fault_of_the_world_finds_a_consumer_that_it_breaks(histories, kind, workload, consumer, of):
    assert any(of in violated and met for violated, met, _ in histories(kind, workload, consumer))


@pytest.mark.parametrize(("most", "least"), [(30, 1), pytest.param(HISTORIES, 5, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("kind", "workload"), list(dict.fromkeys((kind, where) for kind, where, _, _ in CONVICTED)))
def test_it_convicts_no_correct_consumer(histories, kind, workload, most, least):
    for consumer in (Consumer, CallsWithTheKeyOfTheMessage, EndsQuietlyAtAnErrorThatStays):
        times = 0
        for violated, met, simulation in islice(histories(kind, workload, consumer), most):
            assert not violated, simulation.counterexample()
            times += met
        assert times >= least, consumer


# --- a queue, or tables, that are deleted for good -------------------------------------------------------------------


class AsksWithoutEnd(Consumer):
    """Our consumer, which takes each error for one that passes, and asks again at once."""

    def poll(self):
        yield from self.prepare()
        while not self.stopping:
            try:
                messages = yield Receive(self.options.max_messages, self.options.wait_time_seconds)
            except OperationFailed:
                continue
            now = yield ReadClock()
            yield from self.handle_batch(messages, now)
        return self.done


def test_what_was_deleted_for_good_leaves_the_messages_untold_and_no_run_passes_for_it(histories):
    outcomes = set()
    for _, met, simulation in histories(Kind.DELETED_RESOURCE, "orders", Consumer):
        verdict, history = simulation.verdict, simulation.history
        if not met:
            assert not verdict.excused
            continue
        outcomes.add(verdict.outcome)
        left = {message.message_id for message in history.unsettled}
        assert left <= {item.message_id for item in verdict.excused}
        assert not (left and verdict.outcome is VerdictOutcome.PASS)
        assert all("had been deleted for good" in item.why for item in verdict.excused)
    assert outcomes == {VerdictOutcome.PASS, VerdictOutcome.INCONCLUSIVE}  # it may be deleted when all is done


def test_a_consumer_that_asks_a_deleted_queue_without_end_wastes_and_ours_does_not(histories):
    def warned(consumer):
        runs = islice(histories(Kind.DELETED_RESOURCE, "orders", consumer), 40)
        return sum("refused-loop" in simulation.verdict.warnings for _, met, simulation in runs if met)

    assert warned(AsksWithoutEnd) > 1
    assert warned(Consumer) == 0


# --- answers that are not up to date ---------------------------------------------------------------------------------


class LooksWithoutConsistency(Consumer):
    """Trust a read of the ledger that need not know of the last write."""

    def already_done(self, delivery, claim):
        return False if claim.first_attempt else (yield LookUpSideEffect(delivery.key, consistent=False))


class LooksAgainAfterAStaleNo(LooksWithoutConsistency):
    """Trust such a read where it says yes, since what is done stays done; ask for certain after a no."""

    def already_done(self, delivery, claim):
        found = yield from super().already_done(delivery, claim)
        return found or (yield from Consumer.already_done(self, delivery, claim))


class WritesAnInbox(Consumer):
    """Look cheaply into the inbox; write its row and the effect in one transaction, unless the row is there."""

    assumes = ALL - {Assumption.CLOSE_CLOCKS, Assumption.NO_LATE_REQUESTS, Assumption.SHORT_PAUSES}

    def process(self, delivery):
        row, message = f"inbox/{delivery.key}", delivery.message
        if (yield GetItem(row, consistent=False)) is not None:
            return Outcome.DUPLICATE
        yield from self.clear(row)
        effect = PerformSideEffect(delivery.key, message.message_id, sequence_of(delivery.payload), message.group)
        done = (yield Transact((PutItem(row, "done", if_absent=True),), effect)).done
        return Outcome.DONE if done else Outcome.DUPLICATE

    def clear(self, row):
        yield from ()


class ClearsWhatItDidNotFind(WritesAnInbox):
    """Take what a cheap look did not find for a torn row, and remove what may be left of it."""

    def clear(self, row):
        yield DeleteItem(row)


class AsksForCounts(Consumer):
    """Our loop, which asks for the counts of the queue when a receive comes empty after work."""

    def poll(self):
        yield from self.prepare()
        while not self.stopping:
            try:
                messages = yield Receive(self.options.max_messages, self.options.wait_time_seconds)
                if not messages and self.done and not sum(astuple((yield CountMessages()))):
                    yield from self.take_for_drained()
            except OperationFailed:
                continue
            now = yield ReadClock()
            yield from self.handle_batch(messages, now)
        return self.done

    def take_for_drained(self):
        """Rest for a while, and look again."""
        yield Sleep(1.0)


class StandsIdleAtZeroMessages(AsksForCounts):
    """Take zero messages for a drained queue, and ask no more."""

    def take_for_drained(self):
        yield from idle_for_good(self)


class PurgesAtZeroMessages(AsksForCounts):
    """Take zero messages for a drained queue, and purge what can only be left-overs."""

    def take_for_drained(self):
        yield Purge()


class PollsShortly(Consumer):
    """Poll without a wait, and rest when nothing comes."""

    def poll(self):
        yield from self.prepare()
        while not self.stopping:
            try:
                messages = yield Receive(self.options.max_messages, 0)
            except OperationFailed:
                continue
            if not messages and self.done:
                yield from self.take_for_drained()
            elif not messages:
                yield Sleep(0.1)
            now = yield ReadClock()
            yield from self.handle_batch(messages, now)
        return self.done

    def take_for_drained(self):
        yield Sleep(0.1)


class StandsIdleAtAnEmptyShortPoll(PollsShortly):
    """Take the first empty answer after work for a drained queue, and ask no more."""

    def take_for_drained(self):
        yield from idle_for_good(self)


#: What was met, the consumer that trusts it, of what it is convicted, and the near one that does not trust it.
SOFT = [
    ("stale read", LooksWithoutConsistency, "duplicated-side-effect", LooksAgainAfterAStaleNo),
    ("stale read", ClearsWhatItDidNotFind, "duplicated-side-effect", WritesAnInbox),
    ("stale counts", StandsIdleAtZeroMessages, "in-flight-at-end", AsksForCounts),
    ("stale counts", PurgesAtZeroMessages, "lost", AsksForCounts),
    ("empty short poll", StandsIdleAtAnEmptyShortPoll, "in-flight-at-end", PollsShortly),
]


@pytest.mark.parametrize(("soft", "trusts", "of", "near"), SOFT)
def test_who_trusts_an_answer_of_the_past_is_convicted_and_who_does_not_is_spared(histories, soft, trusts, of, near):
    # Some errors give reasons to come back; none of them alone breaks any of these.
    assert any(
        of in violated and faults_met(simulation.history)[soft]
        for violated, _, simulation in histories(Kind.SERVER_ERROR, "orders", trusts)
    )
    times = 0
    for violated, _, simulation in islice(histories(Kind.SERVER_ERROR, "orders", near), 60):
        assert not violated, simulation.counterexample()
        times += faults_met(simulation.history)[soft]
    assert times


@pytest.mark.parametrize("trusts", [LooksWithoutConsistency, PurgesAtZeroMessages])
def test_who_trusts_answers_is_spared_where_all_of_them_are_up_to_date(histories, monkeypatch, trusts):
    monkeypatch.setattr("scenarios.simulation.run.STALENESS", 0)
    assert not any(violated for violated, _, _ in histories(Kind.SERVER_ERROR, "orders", trusts))


BROKEN_BEYOND = [
    (Kind.ATTRIBUTE_LOWERED, "zombies", "wrongly-dead-lettered"),
    (Kind.UNDONE_EXPIRY, "orders", "lost"),
    (Kind.RECORD_EXPIRY, "orders", "duplicated-side-effect"),
]


@pytest.mark.parametrize(("kind", "workload", "of"), BROKEN_BEYOND)
def test_what_breaks_an_assumption_strikes_beyond_it_alone(histories, kind, workload, of):
    beyond = histories(kind, workload, Consumer, dropped=(BEYOND[kind].value,))
    assert any(of in violated for violated, _, _ in beyond)
    within = list(islice(histories(kind, workload, Consumer), 50))
    assert not any(violated or met for violated, met, _ in within)


def test_a_raised_attribute_is_met_once_and_harms_nobody(histories):
    times = []
    for violated, met, simulation in islice(histories(Kind.ATTRIBUTE_RAISED, "orders", Consumer), 50):
        assert not violated, simulation.counterexample()
        times.append(met)
    assert set(times) == {0, 1}


def test_a_lasting_fault_is_counted_once_and_strikes_many_operations(histories):
    most = 0
    for _, met, simulation in islice(histories(Kind.THROTTLING, "orders", Consumer), 50):
        struck = [strike for strike in simulation.history.faults if strike.record["fault"].get("during")]
        counted = faults_met(simulation.history)
        assert counted["throttling that lasts"] == met
        assert not counted["throttled by the queue"]
        most = max(most, len(struck))
    assert most > 10


class Frozen:
    """One consumer is frozen at its first operations after the start."""

    def of(self, role, name):
        return (RandomFault(Kind.FREEZE, 3, SIZES - 1),) if name == "consumer-1" else ()


class ReadsItsClock(Consumer):
    """Our consumer, which notes what its monotonic clock says at each receive."""

    def handle_batch(self, messages, received_at):
        yield Note("reading", {"says": received_at})
        yield from super().handle_batch(messages, received_at)


def test_who_is_frozen_does_not_see_the_time_that_went_by(simulated, monkeypatch):
    monkeypatch.setattr("scenarios.exploration.targets.consumer_class", lambda spec: ReadsItsClock)
    behind, origins = set(), {}
    for seed in range(20):
        history = simulated("orders", seed, with_faults=True, schedule=Schedule(Frozen())).history
        frozen = [strike for strike in history.faults if strike.kind == "freeze"]
        for record in history.events("reading"):
            before = [it for it in frozen if it.process == record["process"] and it.time < record["time"]]
            stood_still = sum(it.record["fault"]["seconds"] for it in before)
            # Each machine's clock begins somewhere else.
            said = record["time"] - record["says"] - stood_still
            assert said == pytest.approx(origins.setdefault(record["process"], said), abs=0.01)
            behind.add(stood_still)
    assert len({round(said) for said in origins.values()}) == len(origins) > 1
    assert behind == {0, 4.0}


@pytest.mark.parametrize("fifo", [False, True])
def test_each_kind_belongs_to_a_role_a_queue_and_to_what_is_assumed(fifo):
    within = kinds_of("consumer", ALL, fifo=fifo)
    assert not set(within) & set(BEYOND)
    assert set(kinds_of("consumer", frozenset(), fifo=fifo)) == {*within, *BEYOND}
    assert (Kind.COPY_AFTER_DELETE in within) is not fifo
    assert (Kind.DEDUPLICATION_OVER in kinds_of("producer", ALL, fifo=fifo)) is fifo
    assert set(BEYOND.values()) == set(BEYOND_ONLY.values())


def test_a_dropped_assumption_favours_what_goes_beyond_it():
    usual = kinds_of("consumer", ALL, fifo=False)
    late = ALL - {Assumption.NO_LATE_REQUESTS}
    favoured = kinds_of("consumer", late, fifo=False, dropped=frozenset({Assumption.NO_LATE_REQUESTS}))
    assert set(favoured) == set(usual)
    assert favoured.count(Kind.LATE_REQUEST) == FAVOURED
    assert kinds_of("producer", late, fifo=False).count(Kind.LATE_REQUEST) == 0
