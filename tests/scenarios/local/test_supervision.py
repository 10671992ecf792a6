"""The supervisor: who is started again, after how long, and who is not; then on real processes."""

import shlex
import sys
from pathlib import Path

import pytest

from scenarios.local.supervision import Supervision
from scenarios.runs.plan import RunRequest
from scenarios.runs.run import run_scenario
from scenarios.supervisor import IN_VAIN, RESTART_AFTER, Supervisor, ended_as_told
from scenarios.verdict import Outcome
from services.faults import Fault
from tests.scenarios.recorded import Told

CRASH = Fault("crash", "Claim")
SLOW = Fault("delay", "PerformSideEffect", nth=0, seconds=2.0)


def test_who_ends_in_vain_waits_for_longer_each_time_and_who_received_comes_back_soon():
    supervisor = Supervisor()
    waits = [supervisor.restart_after("c", received=False) for _ in range(8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert supervisor.restart_after("other", received=False) == RESTART_AFTER[0]
    assert supervisor.restart_after("c", received=True) == RESTART_AFTER[0]
    assert supervisor.restart_after("c", received=False) == 1.0


def test_a_deadline_makes_up_for_so_many_ends_in_vain_and_no_more():
    supervisor = Supervisor()
    hopeful = []
    for _ in range(IN_VAIN + 5):
        supervisor.restart_after("c", received=False)
        hopeful.append(supervisor.is_hopeful("c"))
    assert hopeful == [True] * IN_VAIN + [False] * 5


def test_who_has_a_message_limit_and_ends_in_order_has_done_what_it_was_told():
    assert ended_as_told(0, has_limit=True)
    assert not ended_as_told(0, has_limit=False)
    assert not ended_as_told(1, has_limit=True)


class Begun:
    """Consumers that are started in a test, by name, with the faults that are to strike them."""

    def __init__(self):
        self.faults = {}
        self.supervision = Supervision(lambda wanted: f"{wanted}-{len(self.faults) + 1}")
        self.told = Told()

    def start(self, *faults, has_limit=False):
        self.supervision.start("c", faults, self.faults.__setitem__, has_limit=has_limit)
        self.told.event("c", "started")

    def ends(self, code, name="c", now=10.0):
        return self.supervision.takes_over(name, code, self.told.history, now=now, speed=2.0)

    def names_at(self, now):
        self.supervision.start_due(now, self.told.history)
        return list(self.faults)


def test_a_consumer_that_ends_in_order_has_a_successor_in_time():
    begun = Begun()
    begun.start()
    assert begun.ends(0)
    assert begun.supervision.made_up == pytest.approx((0.5 + 1.0) / 2)  # by a clock that is twice as fast
    assert begun.names_at(10.2) == ["c"]
    assert begun.names_at(10.25) == begun.names_at(99.0) == ["c", "c-2"]
    assert begun.supervision.current("c") == "c-2"
    assert begun.supervision.first_of(["c", "c-2", "other"]) == ["c", "other"]
    begun.told.event("c-2", "started")
    assert begun.ends(0, "c-2")
    assert begun.names_at(99.0) == ["c", "c-2", "c-3"]


@pytest.mark.parametrize("everybody", [True, False])
def test_who_was_asked_to_end_has_no_successor(everybody):
    begun = Begun()
    begun.start()
    begun.ends(0)
    if everybody:
        begun.supervision.dismiss_all()
    else:
        begun.supervision.dismiss(["other", "c"])
    assert begun.names_at(99.0) == ["c"]


def test_who_has_done_its_limit_has_no_successor_and_is_no_failure():
    begun = Begun()
    begun.start(has_limit=True)
    assert begun.ends(0)
    assert begun.names_at(99.0) == ["c"]


def test_an_error_is_the_consumers_own_where_nothing_had_gone_wrong_and_else_it_is_taken_over():
    begun = Begun()
    begun.start()
    assert not begun.ends(1)
    begun.told.fault("other", begun.told.begin("other", "Claim", key="k"), "Claim", kind="error", nth=1)
    assert begun.ends(1)
    assert begun.names_at(99.0) == ["c", "c-2"]


def test_who_never_was_ready_is_not_taken_over():
    begun = Begun()
    begun.supervision.start("c", (), begun.faults.__setitem__, has_limit=False)
    assert not begun.ends(0)
    assert not begun.ends(0, "somebody")


def test_a_successor_meets_only_what_has_not_struck_yet():
    begun = Begun()
    begun.start(CRASH, CRASH, SLOW)
    struck = {name: value for name, value in CRASH.as_json().items() if name not in ("kind", "operation", "point")}
    begun.told.fault("c", begun.told.begin("c", "Claim", key="k"), "Claim", kind="crash", point="after", **struck)
    assert begun.ends(0)
    begun.names_at(99.0)
    assert begun.faults["c-2"] == [CRASH, SLOW]


# --- real processes --------------------------------------------------------------------------------------------------

PLAIN = Path(__file__).resolve().parents[2] / "consumers" / "plain" / "consumer.py"
#: A class of a user's: it does one message, or finds the queue empty, and ends with exit code 0.
BATCH_JOB = """
from services.consumer.consumer import Consumer
from services.operations import ReadClock, Receive


class BatchJob(Consumer):
    def poll(self):
        yield from self.prepare()
        while not self.stopping and not self.done:
            messages = yield Receive(1, self.options.wait_time_seconds)
            if not messages:
                break
            yield from self.handle_batch(messages, (yield ReadClock()))
        return self.done
"""


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["class", "program"])
def test_a_consumer_that_ends_in_order_is_started_again_and_judged_on_real_processes(project, kind):
    (project / "batch_job.py").write_text(BATCH_JOB)
    program = shlex.join(["env", "MESSAGE_LIMIT=1", sys.executable, str(PLAIN)])
    consumer = "batch_job:BatchJob" if kind == "class" else program
    result = run_scenario(RunRequest("happy", seed=3, consumer=consumer, batch_size=2))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    exits = result.history.exits
    successors = [name for name in exits if name.startswith("consumer-") and name.count("-") > 1]
    assert successors
    received = result.history.receives_of
    assert any(call.result for name in successors for call in received[name])
