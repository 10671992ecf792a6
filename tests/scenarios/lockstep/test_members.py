"""A program that starts processes: each of them is held still, and keeps its time."""

import os
import signal
import subprocess
import sys
import time

import pytest

from scenarios.errors import BrokenProgramError, ServiceFailedError
from scenarios.exploration.bounded import ScheduledFaults
from scenarios.exploration.targets import make_target
from scenarios.lockstep.clock import why_not
from scenarios.lockstep.crew import close_crews
from scenarios.lockstep.orphans import none_left
from scenarios.lockstep.threads import Threads, halted, has_ended
from scenarios.simulation.choices import ReplayedChoices, SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.simulation.run import simulate
from tests.scenarios.conftest import project
from tests.scenarios.lockstep.small_programs import written

__all__ = ["project"]

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here"),
]


@pytest.fixture(autouse=True)
def nothing_left(project):
    with none_left():
        yield
        close_crews()


def _run(command, faults=None, count=2, choices=None):
    plan = make_target("deliveries", consumer=command, count=count).plan(0)
    return simulate(plan, choices or ReplayedChoices(()), faults or NoFaults())


def _violated(simulation):
    return {name for name, found in simulation.verdict.violations.items() if found}


def _works(*steps):
    """Return a program that takes these steps with each message."""
    return "import subprocess\nwhile True:\n    for message in receive():\n" + "".join(
        f"        {step}\n" for step in steps
    )


#: By its name, what a program does before it works: each of them lets a child end while it waits.
_WAITS = {
    "run": 'subprocess.run(["true"], check=True)',
    "output": 'assert subprocess.check_output(["sh", "-c", "echo a; echo b"]) == b"a\\nb\\n"',
    "fork": 'pid = os.fork() or os.execvp("true", ["true"]); os.waitpid(pid, 0)',
    "unreaped": 'subprocess.Popen(["true"])',
    "orphan": 'assert subprocess.check_output(["sh", "-c", "(sleep 3; echo late) &"]) == b"late\\n"',
    "two": 'assert subprocess.check_output("seq 9 | sort -rn | head -1", shell=True) == b"9\\n"',
}
_CAREFUL = "if not was_done(key_of(message)): perform(key_of(message))"


@pytest.mark.parametrize("kind", _WAITS)
def test_a_child_s_end_wakes_the_program(tmp_path, kind):
    command = written(tmp_path, _works(_WAITS[kind], _CAREFUL, "delete(message)"))
    histories = [_run(command, choices=SeededChoices(3)) for _ in range(2)]
    assert [str(each.verdict.outcome) for each in histories] == ["pass", "pass"], histories[0].counterexample()
    assert histories[0].history.records == histories[1].history.records


#: Pays in a child process, at the address that the program read before it was forked.
_PAYS = """
import subprocess
PAYS = "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], b'').read()"
ADDRESS = ENV["SIDE_EFFECT_URL"]
def pay(key): subprocess.run([sys.executable, "-S", "-c", PAYS, ADDRESS + key], check=True)
while True:
    for message in receive():
"""


@pytest.mark.parametrize(
    ("steps", "violated"),
    [
        (("if not was_done(key_of(message)): pay(key_of(message))", "delete(message)"), set()),
        (("pay(key_of(message))", "delete(message)"), {"duplicated-side-effect"}),
    ],
    ids=["looks", "never looks"],
)
def test_what_a_child_does_is_the_program_s_and_is_judged(tmp_path, steps, violated):
    command = written(tmp_path, _PAYS + "".join(f"        {step}\n" for step in steps))
    at = 1 + len(steps) + ("was_done" in steps[0])
    dies = ScheduledFaults((("consumer-1", RandomFault(Kind.CRASH_BEFORE, at)),))
    simulation = _run(command, dies)
    assert len(simulation.history.faults) == 1, "the fault has struck"
    assert _violated(simulation) == violated, simulation.counterexample()


@pytest.mark.parametrize(
    "sleeps",
    ['subprocess.run(["sleep", "40"])', 'pid = os.fork() or os.execvp("sleep", ["sleep", "40"]); os.waitpid(pid, 0)'],
    ids=["run", "fork"],
)
def test_a_child_sleeps_in_virtual_time(tmp_path, sleeps):
    body = f"""
    import subprocess
    receive(0)
    began, wall = time.monotonic(), time.time()
    {sleeps}
    assert 39.9 <= time.monotonic() - began < 40.5 and 39.9 <= time.time() - wall < 40.5
    while True:
        for message in receive():
            perform(key_of(message))
            delete(message)
    """
    began = time.monotonic()
    simulation = _run(written(tmp_path, body), count=1)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert simulation.history.effects[0].call.started > 39
    assert time.monotonic() - began < 30


_MASTER = """
def work():
    while True:
        for message in receive():
            {step}
            delete(message)
workers = [os.fork() or work() for _ in range(2)]
signal.signal(signal.SIGTERM, lambda *_: [os.kill(worker, signal.SIGTERM) for worker in workers])
for worker in workers:
    os.waitpid(worker, 0)
"""


@pytest.mark.parametrize(("step", "violated"), [(_CAREFUL, set()), ("pass", {"lost"})])
def test_a_master_s_workers_are_one_program(tmp_path, step, violated):
    simulation = _run(written(tmp_path, _MASTER.format(step=step)), count=3)
    assert _violated(simulation) == violated, simulation.counterexample()
    receives = [call for call in simulation.history.calls("Receive") if call.process == "consumer-1"]
    assert receives[1].started - receives[0].started < 0.001, "both workers have asked"


def test_a_child_that_cannot_be_held_still_is_one_sentence(tmp_path, monkeypatch):
    take = sys.modules["scenarios.lockstep.members"]._take_clock

    def taken(pid, like):
        if like is not None:
            raise ServiceFailedError("It is another user's.")
        return take(pid, like)

    monkeypatch.setattr("scenarios.lockstep.members._take_clock", taken)
    monkeypatch.setattr("scenarios.lockstep.members.TAKING", 0.1)
    command = written(tmp_path, _works('subprocess.run(["sleep", "600"])', "delete(message)"))
    with pytest.raises(BrokenProgramError, match=r"has started sleep, which cannot be held still: It is another"):
        _run(command)


_HEARS = """
import signal, subprocess
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
for line in open(0): print(len(heard), flush=True)
"""


def test_a_process_that_is_halted_goes_on_and_its_parent_hears_nothing_of_it():
    process = subprocess.Popen(
        [sys.executable, "-c", _HEARS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    pid = int(process.stdout.readline())
    threads = Threads(pid)
    try:
        while not (before := threads.look()):
            time.sleep(0.001)
        with halted(pid, 5.0) as places:
            assert len(places) == 1
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "0\n"
        while not (after := threads.look()):
            time.sleep(0.001)
        assert before[pid][0] == after[pid][0], "it sleeps as before"
        assert not has_ended(pid)
    finally:
        threads.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)
        assert has_ended(process.pid)
