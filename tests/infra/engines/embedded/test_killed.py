"""A process that dies at any moment of an ``up`` or a ``down``; the next one has to bring everything to a good end."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from infra.engines.embedded import journal
from infra.errors import InfraError
from infra.provider.aws import AwsProvider
from tests.infra.conftest import small_program


class Killed(Exception):  # noqa: N818 - not an error of ours: the process is dead
    """The process is dead: from here on it does nothing any more."""


class Guillotine:
    """Counts the moments at which something changes outside, and lets the process die at one of them.

    Each moment is one write of the state or one call of the provider, and death comes right after it: before the
    next one is the same, since nothing changes outside in between.
    """

    def __init__(self, monkeypatch, moment):
        self.moment, self.count = moment, 0
        self.lock = threading.Lock()
        monkeypatch.setattr(journal, "write_snapshot", self.guard(journal.write_snapshot))
        for method in ("create", "update", "delete"):
            monkeypatch.setattr(AwsProvider, method, self.guard(getattr(AwsProvider, method)))

    def guard(self, function):
        def guarded(*args, **kwargs):
            with self.lock:
                mine = self.count
                self.count += 1
            if mine > self.moment:
                raise Killed
            result = function(*args, **kwargs)
            if mine == self.moment:
                raise Killed
            return result

        return guarded

    @property
    def fell(self):
        return self.count > self.moment


def die_at_every_moment(monkeypatch, lab, prepare, act, check):
    """Prepare a stack, let ``act`` die at its first moment, then its second ..., and check after each."""
    moment = deaths = 0
    while True:
        prepare()
        with monkeypatch.context() as patch:
            guillotine = Guillotine(patch, moment)
            try:
                act()
            except (Killed, InfraError):
                assert guillotine.fell
                deaths += 1
        check()
        if not guillotine.fell:
            return deaths
        moment += 1


@pytest.fixture
def one_at_a_time(monkeypatch):
    """Moments in the same order each time."""
    monkeypatch.setattr("infra.engines.embedded.engine.PARALLEL", 1)


def converges(lab, engine):
    def check():
        engine.up()
        lab.assert_nothing_left_over()
        assert engine.refresh().changes == []

    return check


def test_up_killed_at_any_moment_can_be_repeated_and_leaves_nothing_over(lab, monkeypatch, one_at_a_time):
    engine = lab.engine(small_program())
    deaths = die_at_every_moment(monkeypatch, lab, engine.destroy, engine.up, converges(lab, engine))
    assert deaths >= 3 * 4  # begin, create, end; four resources


def test_down_after_an_up_that_was_killed_at_any_moment_deletes_everything(lab, monkeypatch, one_at_a_time):
    engine = lab.engine(small_program())
    deaths = die_at_every_moment(monkeypatch, lab, lambda: None, engine.up, gone(lab, engine))
    assert deaths >= 3 * 4


def test_down_killed_at_any_moment_can_be_repeated(lab, monkeypatch, one_at_a_time):
    engine = lab.engine(small_program())
    deaths = die_at_every_moment(monkeypatch, lab, engine.up, engine.destroy, gone(lab, engine))
    assert deaths >= 2 * 4  # delete, note; four resources


def test_an_update_killed_at_any_moment_does_not_go_unnoticed(lab, monkeypatch, one_at_a_time):
    old, new = lab.engine(small_program(visibility=10)), lab.engine(small_program(visibility=20))

    def check():
        # Back to the old description: the state must know whether the new one had come through.
        url = old.up().outputs["queueUrl"]
        assert lab.attributes(url)["VisibilityTimeout"] == "10"
        assert old.refresh().changes == []

    assert die_at_every_moment(monkeypatch, lab, old.up, new.up, check) >= 3  # begin, update, end


def test_a_replacement_killed_at_any_moment_leaves_only_the_new(lab, monkeypatch, one_at_a_time):
    old, new = lab.engine(small_program(fifo=False)), lab.engine(small_program(fifo=True))
    deaths = die_at_every_moment(monkeypatch, lab, old.up, new.up, converges(lab, new))
    assert deaths >= (3 + 2) * 3  # create and delete as above; three resources


def test_a_refresh_killed_at_any_moment_can_be_repeated_and_the_next_up_mends_everything(
    lab, monkeypatch, one_at_a_time
):
    engine = lab.engine(small_program())

    def break_behind_its_back():
        outputs = engine.up().outputs
        lab.aws.sqs.delete_queue(QueueUrl=outputs["queueUrl"])

    def check():
        engine.refresh()
        assert engine.refresh().changes == []
        converges(lab, engine)()

    assert die_at_every_moment(monkeypatch, lab, break_behind_its_back, engine.refresh, check) >= 1


def gone(lab, engine):
    def check():
        engine.destroy()
        snapshot = lab.snapshot()
        assert snapshot is None or (snapshot.resources, snapshot.pending) == ((), ())
        assert (lab.queues(), lab.tables()) == ([], [])

    return check


KILL = """
import os, signal, sys
from pathlib import Path
from infra.__main__ import main
from infra.engines.embedded import journal
from infra.engines.embedded.engine import EmbeddedEngine
from infra.engines.engine import Deployment

path, url, stack, writes = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
write, count = journal.write_snapshot, 0

def write_and_die(*args):
    global count
    write(*args)
    count += 1
    if count == writes:
        os.kill(os.getpid(), signal.SIGKILL)

journal.write_snapshot = write_and_die
config = {"queue-fundamentals:scenarios": '["happy"]'}
EmbeddedEngine(Deployment("queue-fundamentals", stack, main, config, url), path, endpoint_identity="one").up()
"""


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("writes", [1, 3, 5])
def test_up_survives_a_real_sigkill(lab, writes):
    arguments = [str(lab.path), lab.url, lab.stack, str(writes)]
    killed = subprocess.run([sys.executable, "-c", KILL, *arguments], env=os.environ, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert lab.snapshot() is not None
    converges(lab, lab.engine())()


INTERRUPT = """
import os, signal, sys, threading, time
from pathlib import Path
import pulumi, pulumi_aws as aws
from infra.engines.embedded.engine import EmbeddedEngine
from infra.engines.engine import Deployment
from infra.provider.aws import AwsProvider

path, url, stack, queues = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
number, moment = int(sys.argv[5]), sys.argv[6]

def leave(*_):
    raise SystemExit(143)

signal.signal(signal.SIGTERM, leave)
create, lock, count = AwsProvider.create, threading.Lock(), 0

def create_slowly(*args, **options):
    global count
    with lock:
        count += 1
        if count == 3 and moment == "create":
            os.kill(os.getpid(), number)
    time.sleep(0.3)
    return create(*args, **options)

def program():
    options = pulumi.ResourceOptions(provider=aws.Provider("aws", region="us-west-1"))
    for each in range(queues):
        aws.sqs.Queue(f"sqs-demo-{stack}-{each}", opts=options)
        if each == 0 and moment == "program":
            os.kill(os.getpid(), number)

AwsProvider.create = create_slowly
try:
    EmbeddedEngine(Deployment("queue-fundamentals", stack, program, {}, url), path, endpoint_identity="one").up()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("moment", ["program", "create"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_up_that_is_interrupted_ends_what_it_has_begun_and_begins_nothing_else(lab, number, code, moment):
    queues = 80  # ten rounds of the engine's eight threads
    arguments = [str(lab.path), lab.url, lab.stack, str(queues), str(int(number)), moment]
    run = subprocess.run([sys.executable, "-c", INTERRUPT, *arguments], env=os.environ, check=False, timeout=60)
    assert run.returncode == code
    assert (moment == "create") <= len(lab.queues()) < queues / 2
    # All that there is is known: the lab's own clean-up takes it away.
    lab.engine(small_program()).destroy()
    assert lab.queues() == []
