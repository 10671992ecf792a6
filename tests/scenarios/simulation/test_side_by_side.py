"""Tasks side by side, and books of one's own: designs of others, two that are correct and near ones that are not."""

import contextlib

import pytest

from scenarios.exploration.campaign import Campaign, explore, violated_by
from scenarios.exploration.targets import make_target
from scenarios.simulation.random_faults import Kind, RandomFault
from services.consumer.assumptions import ALL, Assumption
from services.consumer.consumer import Consumer, Outcome
from services.consumer.fencing import FencedConsumer
from services.operations import (
    Gather,
    LookUpSideEffect,
    OperationFailed,
    PerformSideEffect,
    PutItem,
    ReadClock,
    Sleep,
    Transact,
)
from services.payload import sequence_of
from services.runtime import step


def effect_of(delivery, token=None):
    message = delivery.message
    return PerformSideEffect(delivery.key, message.message_id, sequence_of(delivery.payload), message.group, token)


class AtomicInbox(Consumer):
    """Write the processed key and the effect in one transaction: no claim, no look, no lease."""

    assumes = ALL - {Assumption.NO_LATE_REQUESTS, Assumption.SHORT_PAUSES, Assumption.CLOSE_CLOCKS}

    def process(self, delivery):
        mark = PutItem(f"inbox/{delivery.key}", "done", if_absent=True)
        transacted = yield Transact((mark,), effect_of(delivery))
        return Outcome.DONE if transacted.done else Outcome.DUPLICATE


class InboxInTwoSteps(AtomicInbox):
    """Write the processed key, then cause the effect: a death in between loses it."""

    def process(self, delivery):
        if not (yield PutItem(f"inbox/{delivery.key}", "done", if_absent=True)):
            return Outcome.DUPLICATE
        yield effect_of(delivery)
        return Outcome.DONE


class InboxWithoutACondition(AtomicInbox):
    """Write both in one transaction, whatever there is."""

    def process(self, delivery):
        yield Transact((PutItem(f"inbox/{delivery.key}", "done"),), effect_of(delivery))
        return Outcome.DONE


class ThreadPool(AtomicInbox):
    """Work on a batch by a pool of tasks, wait for all, and delete what is settled."""

    follows = frozenset()
    at_once = 3

    def handle_batch(self, messages, received_at):
        deliveries = [self.open(message, received_at) for message in messages]
        good = [delivery for delivery in deliveries if not delivery.rejection]
        outcomes = yield Gather(tuple(self.process(delivery) for delivery in good), at_once=self.at_once)
        done = [it.message for it, outcome in zip(good, outcomes, strict=True) if isinstance(outcome, Outcome)]
        yield from self.delete(done)


class DeletesBeforeAllAreDone(ThreadPool):
    """Delete the batch when the first task has failed, as if the others were done as well."""

    def handle_batch(self, messages, received_at):
        deliveries = [self.open(message, received_at) for message in messages]
        good = [delivery for delivery in deliveries if not delivery.rejection]
        with contextlib.suppress(OperationFailed):
            yield Gather(tuple(self.process(delivery) for delivery in good), until_first_failure=True)
        yield from self.delete([delivery.message for delivery in good])


CORRECT = (AtomicInbox, ThreadPool, FencedConsumer)
BROKEN = {
    InboxInTwoSteps: {"lost"},
    InboxWithoutACondition: {"duplicated-side-effect"},
    DeletesBeforeAllAreDone: {"lost", "deleted-before-done"},
}


@pytest.mark.parametrize("seeds", [range(15), pytest.param(range(15, 100), marks=pytest.mark.thorough)], ids=str)
@pytest.mark.parametrize("kind", CORRECT, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["orders", "zombies", "crash"])
def test_a_correct_design_is_not_convicted(simulated, kind, name, seeds):
    for seed in seeds:
        simulation = simulated(name, seed, with_faults=True, consumer=f"{__name__}:{kind.__name__}")
        assert not violated_by(simulation.verdict), simulation.counterexample()


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_near_one_is_convicted(kind):
    found = explore(Campaign(make_target("orders", consumer=f"{__name__}:{kind.__name__}"), 1000, seed=1)).tally.found
    assert found is not None
    assert found.invariants & BROKEN[kind]


class LooksWithoutItsToken(FencedConsumer):
    """Call under a token, and look without one: a late call can arrive between look and call."""

    def already_done(self, delivery, claim):
        return False if claim.first_attempt else (yield LookUpSideEffect(delivery.key))


@pytest.mark.thorough
def test_a_fence_needs_no_request_in_time_if_the_look_raises_it(simulated):
    late = 0
    for seed in range(300):
        simulation = simulated("zombies", seed, with_faults=True, consumer=f"{__name__}:FencedConsumer")
        assert not violated_by(simulation.verdict), simulation.counterexample()
        late += any(strike.kind == "late-request" for strike in simulation.history.faults)
    assert late
    target = make_target("zombies", consumer=f"{__name__}:LooksWithoutItsToken")
    found = explore(Campaign(target, 2000, seed=1)).tally.found
    assert found is not None
    assert found.invariants == {"duplicated-side-effect"}


# --- the operation itself, in virtual time and in threads ------------------------------------------------------------


class Clock:
    """A driver that knows the time alone, and fails where it is told to."""

    def perform(self, operation):
        if isinstance(operation, Sleep):
            if operation.seconds < 0:
                raise OperationFailed("Late", "too late", transient=True)
            return True
        return 0.0


def task(value, seconds=0.0):
    yield Sleep(seconds)
    yield ReadClock()
    return value


def breaks():
    yield ReadClock()
    raise KeyError("a bug")


def gather(*tasks, **options):
    return (yield Gather(tuple(tasks), **options))


@pytest.mark.parametrize("at_once", [0, 1, 2])
def test_threads_gather_values_and_failures_in_their_order(at_once):
    one, failed, three = step(gather(task(1), task(2, -1), task(3), at_once=at_once), Clock())
    assert (one, three) == (1, 3)
    assert isinstance(failed, OperationFailed)
    assert step(gather(), Clock()) == ()


def test_threads_raise_the_first_failure_and_any_other_error_at_the_gatherer():
    with pytest.raises(OperationFailed, match="too late"):
        step(gather(task(1), task(2, -1), until_first_failure=True), Clock())
    with pytest.raises(KeyError, match="a bug"):
        step(gather(task(1), breaks()), Clock())


class OneAtATime(ThreadPool):
    """The same pool, with one thread."""

    at_once = 1


@pytest.mark.parametrize(("kind", "at_once"), [("ThreadPool", 3), ("OneAtATime", 1)])
def test_a_simulated_process_runs_as_many_at_once_as_it_is_told(simulated, kind, at_once):
    begun, most = {}, 0
    history = simulated("happy", 1, consumer=f"{__name__}:{kind}", batch_size=10).history
    for record in history.records:
        if record.get("operation") == "Transact":
            running = begun.setdefault(record["process"], set())
            if record["type"] == "invoke":
                running.add(record["index"])
            elif record["type"] in ("ok", "fail"):
                running.discard(record["invocation"])
            most = max(most, len(running))
    assert most == at_once


def test_what_strikes_the_process_strikes_all_of_its_tasks(simulated):
    class Crash:
        def begin(self):
            return self

        def of(self, role, name):
            return (RandomFault(Kind.CRASH_BEFORE, 4),) if name == "consumer-1" else ()

    target = f"{__name__}:ThreadPool"
    history = simulated("orders", 2, with_faults=True, consumer=target, schedule=Crash()).history
    (strike,) = (strike for strike in history.faults if strike.kind == "crash")
    mine = [record for record in history.records if record["process"] == strike.process]
    assert max(record["time"] for record in mine) == strike.time
    open_calls = [call for call in history.calls("Transact") if call.process == strike.process and not call.outcome]
    assert open_calls
