"""What exploration found in the heartbeat, told by itself."""

import threading
from dataclasses import replace

from scenarios.exploration.targets import history_seed, make_target
from scenarios.mutants import workloads
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import simulate
from services import operations as op
from services.consumer.consumer import Consumer, Delivery
from services.consumer.options import ConsumerOptions
from services.drivers.aws import AwsDriver
from services.drivers.queue import Queue
from services.faults import Fault


def beat(consumer, answers, beats=1):
    """Let a heartbeat beat; return what it asked for."""
    heartbeat = consumer.heartbeat()
    asked, result = [], None
    operation = heartbeat.send(None)
    while True:
        if isinstance(operation, op.Sleep):
            if not beats:
                return asked
            beats, result = beats - 1, True
        elif isinstance(operation, op.ReadClock):
            result = 0.0
        else:
            asked.append(type(operation).__name__)
            result = answers[type(operation)]
        operation = heartbeat.send(result)


def consumer_at_work():
    consumer = Consumer(ConsumerOptions(owner="me", heartbeat_seconds=1.0))
    message = op.Message("m", "handle", "{}")
    consumer._in_hand = [Delivery(message, {}, "k", visible_at=10.0, claim=1)]
    return consumer


def test_a_refused_extension_of_the_message_is_no_end_of_the_claim():
    for sender_fault in (False, True):
        refused = (op.EntryFailure(0, "InternalError", "", sender_fault=sender_fault),)
        answers = {op.RenewClaim: True, op.ChangeVisibility: refused}
        assert beat(consumer_at_work(), answers, beats=3) == ["RenewClaim", "ChangeVisibility"] * 3


def test_it_beats_on_while_work_is_finished_after_a_request_to_end():
    consumer = consumer_at_work()
    consumer.stop()
    assert beat(consumer, {op.RenewClaim: True, op.ChangeVisibility: ()}, beats=2).count("RenewClaim") == 2


def test_a_real_process_waits_uninterruptedly_after_a_signal(monkeypatch):
    wake, slept = threading.Event(), []
    wake.set()
    monkeypatch.setattr("time.sleep", slept.append)

    driver = AwsDriver(Queue(None, "q"), wake=wake)
    assert driver.perform(op.Sleep(0.5)) is False
    assert driver.perform(op.Sleep(0.5, uninterrupted=True)) is True
    assert slept == [0.5]


def test_no_random_fault_delays_the_heartbeat_of_what_is_claimed_next():
    # It was once delayed between two messages: the claim of the second, whose work is slow, was over before a beat.
    slow = tuple(Fault("delay", "PerformSideEffect", nth=nth, seconds=seconds) for nth, seconds in ((1, 5.0), (2, 3.0)))

    def run(lab):
        start = lab.start_consumer
        lab.start_consumer = lambda faults, **settings: start(faults=slow, **settings)
        workloads.LONG_WORK.scenario.run(lab)

    seed = history_seed(2, 136)
    plan = make_target("long-work").plan(seed)
    simulation = simulate(replace(plan, scenario=replace(plan.scenario, run=run)), SeededChoices(seed))
    assert not any(simulation.verdict.violations.values()), simulation.counterexample()
