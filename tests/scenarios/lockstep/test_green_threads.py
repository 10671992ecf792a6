"""Threads of a handler in the simulation: they compute in turns, and stand still while the environment is frozen."""

import threading

import pytest

from scenarios.checks.function_witnesses import find_frozen_with_work
from scenarios.lockstep.green_threads import Lock
from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.verdict import Outcome
from tests.scenarios.lockstep.small_handlers import written
from tests.scenarios.lockstep.test_handlers import run, strikes, violated

#: It answers before the payment is made, or waits for it.
PAYS = """
def pay(event):
    time.sleep(0.2)
    look_and_perform(event)

def leaves(event, context):
    threading.Thread(target=pay, args=(event,)).start()
    time.sleep(0.15)

def joins(event, context):
    work = threading.Thread(target=pay, args=(event,))
    work.start()
    assert work.is_alive()
    work.join()
    assert not work.is_alive()
"""


def test_a_handler_that_leaves_its_payment_to_a_thread_is_convicted(tmp_path):
    simulation = run("app.leaves", written(tmp_path, PAYS), count=6)
    assert {"deleted-before-done", "lost"} & violated(simulation), simulation.counterexample()
    assert simulation.history.events("environment-thawed")
    assert find_frozen_with_work(simulation.history) is not None


def test_a_handler_that_joins_its_thread_passes(tmp_path):
    simulation = run("app.joins", written(tmp_path, PAYS), count=6)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    assert not simulation.history.events("environment-thawed")
    assert find_frozen_with_work(simulation.history) is None


def test_no_work_is_done_while_the_environment_is_frozen(tmp_path):
    history = run("app.leaves", written(tmp_path, PAYS), count=6).history
    assert history.effects
    for effect in history.effects:
        started = effect.call.started
        invocations = [call for call in history.calls("InvokeFunction") if call.process == effect.process]
        assert any(call.started < started < call.ended for call in invocations), effect


def test_what_was_asked_before_the_freeze_is_done_and_its_answer_waits(tmp_path):
    written(
        tmp_path,
        """
def handler(event, context):
    threading.Thread(target=look_and_perform, args=(event,)).start()
    time.sleep(0.0005)
""",
    )
    history = run("app.handler", tmp_path, count=6).history
    looks, invocations = history.calls("LookUpSideEffect"), history.calls("InvokeFunction")
    frozen_within = [
        look for look in looks if any(call.started < look.started < call.ended < look.ended for call in invocations)
    ]
    assert any(look.outcome is not None for look in frozen_within)
    # What it computes with the answer waits for the next invocation.
    for effect in history.effects:
        assert any(call.started < effect.call.started < call.ended for call in invocations), effect


def test_what_is_left_over_ends_with_its_environment(tmp_path):
    written(tmp_path, PAYS)
    faults = strikes(*(RandomFault(Kind.OUTAGE, at) for at in range(3, 40)))  # a cold start, again and again
    simulation = run("app.leaves", tmp_path, faults=faults, count=6)
    assert "lost" in violated(simulation), simulation.verdict.reason


@pytest.mark.parametrize(
    "work",
    [
        """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda record: look_and_perform({"Records": [record]}), event["Records"]))
""",
        """
    asyncio.run(asyncio.to_thread(look_and_perform, event))
""",
        """
    import queue
    jobs, done = queue.Queue(), threading.Event()
    def work():
        while (job := jobs.get(timeout=5)) is not None:
            look_and_perform({"Records": [job]})
        done.set()
    threading.Thread(target=work, daemon=True).start()
    for job in [*event["Records"], None]:
        jobs.put(job)
    assert done.wait(2)
""",
        """
    lock, order = threading.RLock(), []
    def work(record):
        with lock:
            with lock:
                order.append(threading.current_thread().name)
                look_and_perform({"Records": [record]})
                order.append(threading.current_thread().name)
    works = [threading.Thread(target=work, args=(record,), name=record["messageId"]) for record in event["Records"]]
    for each in works:
        each.start()
    for each in works:
        each.join()
    assert order[::2] == order[1::2], order
""",
        """
    def waits():
        try:
            threading.Event().wait()
        finally:
            perform("never")
    threading.Thread(target=waits, daemon=True).start()
    work = threading.Timer(0.1, look_and_perform, [event])
    work.start()
    work.join(0.01)
    assert work.is_alive()
    work.join(1)
    assert not work.is_alive()
""",
    ],
    ids=["executor", "asyncio", "queue", "lock", "timer"],
)
def test_what_stands_on_threads_works(tmp_path, work):
    written(tmp_path, f"def handler(event, context):{work}")
    simulation = run("app.handler", tmp_path, count=6, settings={"batch_size": 4, "batch_window": 0})
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()


def test_an_error_in_a_thread_is_printed_and_ends_it_alone(tmp_path):
    written(
        tmp_path,
        """
def fails():
    raise ValueError("in a thread")

def handler(event, context):
    work = threading.Thread(target=fails)
    work.start()
    work.join()
    look_and_perform(event)
""",
    )
    simulation = run("app.handler", tmp_path, count=2)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()


def test_a_history_with_threads_is_the_same_again_and_leaves_this_process_as_it_was(tmp_path):
    written(tmp_path, PAYS)
    before = (threading.active_count(), threading.Lock, threading.Thread.start, threading.RLock)
    first, again = (run("app.leaves", tmp_path, count=4) for _ in range(2))
    assert list(first.history.records) == list(again.history.records)
    assert (threading.active_count(), threading.Lock, threading.Thread.start, threading.RLock) == before


def test_outside_a_turn_the_lock_is_a_lock_as_any():
    lock = Lock()
    with lock:
        assert lock.locked()
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=0.01)
    assert not lock.locked()
    with pytest.raises(RuntimeError):
        lock.release()
