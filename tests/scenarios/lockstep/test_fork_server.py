"""A Python program is started once and forked for each history, where a fork shares nothing but memory."""

import os
import shlex
import signal

import pytest

from scenarios.checks.program_config import ProgramConfig
from scenarios.exploration.targets import make_target
from scenarios.lockstep.child import Command
from scenarios.lockstep.clock import why_not
from scenarios.lockstep.crew import Pool, ProgramSpec, close_crews
from scenarios.lockstep.fork_server import ForkServer
from scenarios.lockstep.orphans import none_left
from scenarios.simulation.choices import ReplayedChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.run import simulate
from tests.scenarios.conftest import project
from tests.scenarios.lockstep.small_programs import LOOKS, written

__all__ = ["project"]

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here"),
]

#: It takes down that it has begun, before its first request.
BEGINS = """
with open({path!r}, "a") as begun:
    begun.write(ENV["PROCESS_NAME"] + "\\n")
"""


@pytest.fixture(autouse=True)
def nothing_left(project):
    with none_left():
        yield
        close_crews()


def _begun(tmp_path, more=""):
    """Tell two histories of a program; return the names under which it has begun, and the verdicts."""
    command = written(tmp_path, BEGINS.format(path=str(tmp_path / "begun")) + more + LOOKS)
    plan = make_target("deliveries", consumer=command).plan(0)
    told = [simulate(plan, ReplayedChoices(()), NoFaults()) for _ in range(2)]
    close_crews()
    return sorted((tmp_path / "begun").read_text().split()), [str(each.verdict.outcome) for each in told]


def test_a_python_program_begins_once_for_all_histories(tmp_path):
    assert _begun(tmp_path) == (["consumer-1", "consumer-2"], ["pass", "pass"])


@pytest.mark.parametrize(
    "shared",
    [
        "log = open(ENV['HOME'] + '/mine.log', 'w')",
        "import socket\npair = socket.socketpair()",
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "import subprocess\nsubprocess.Popen(['sleep', '600'])",
    ],
    ids=["a file that is written", "a connection", "a thread", "a process"],
)
def test_what_a_fork_would_share_has_a_program_begin_for_each_history(tmp_path, monkeypatch, shared):
    monkeypatch.setenv("HOME", str(tmp_path))
    begun, outcomes = _begun(tmp_path, shared)
    assert outcomes == ["pass", "pass"]
    assert len(begun) >= 4


def _command(tmp_path, body):
    told = {"AWS_ENDPOINT_URL": "{url}", "QUEUE_URL": "/0/q", "PATH": os.environ["PATH"]}
    return Command(tuple(shlex.split(written(tmp_path, body))), tuple(sorted(told.items())))


def test_forks_have_their_own_marks_and_one_that_is_killed_takes_no_other_along(tmp_path):
    server = ForkServer(_command(tmp_path, "receive()\ntime.sleep(600)"), 30.0)
    one, other = server.start(), server.start()
    try:
        one.begin()
        other.begin()
        assert one.pid != other.pid
        one.kill()
        assert other.is_fresh(60.0)
        os.kill(other.pid, signal.SIGKILL)
        assert other._process.wait(10.0) == -signal.SIGKILL
    finally:
        other.kill()
        server.close()


def test_a_program_sees_nothing_of_what_has_it_forked(tmp_path):
    body = "assert 'PYTHONPATH' not in ENV and not any('WARM' in name for name in ENV), ENV\nreceive()"
    server = ForkServer(_command(tmp_path, body), 30.0)
    child = server.start()
    try:
        child.begin()
        assert child.exit_code is None, child.failure("ended").log
    finally:
        child.kill()
        server.close()


def test_what_is_no_python_is_started_each_time(project):
    pool = Pool(ProgramSpec(("sh", "-c", "sleep 600"), 1.0, ProgramConfig()))
    child = pool.take(Command(("sh", "-c", "sleep 600"), ()))
    assert pool._forked == {}
    child.kill()
