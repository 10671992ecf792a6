"""A machine at its end is one sentence and exit code 3, whatever part of a service notices it first."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from services import operations as op
from services.classes import load_class
from services.consumer.consumer import Consumer
from services.consumer.options import ConsumerOptions
from services.drivers.aws import AwsDriver
from services.drivers.queue import Queue
from services.errors import MachineError
from services.machine import machine_error
from services.runtime import run, step
from tests.services.world import World, message

DEADLINE = 30
#: A consumer that may open no more files once it is at work.
HUNGRY = """
import resource
from services.consumer.consumer import Consumer

class Hungry(Consumer):
    def perform(self, delivery):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        yield from super().perform(delivery)
"""


def caused_by(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "h.jsonl"), "No space left on device: h.jsonl.*make room"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "keep its output open"),
        (MemoryError(), "memory .* exhausted"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (
            caused_by(EndpointConnectionError(endpoint_url="x"), OSError(errno.EMFILE, "Too many open files")),
            "ulimit -n",
        ),
    ],
)
def test_an_error_of_the_machine_says_what_helps(error, words):
    with pytest.raises(MachineError, match=words):
        raise machine_error(error)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        caused_by(ConnectionClosedError(endpoint_url="x"), BrokenPipeError(errno.EPIPE, "Broken pipe")),
        OSError(errno.ENOENT, "No such file or directory"),
        RuntimeError("a bug"),
    ],
)
def test_an_error_of_the_other_side_or_of_the_program_is_none_of_the_machine(error):
    assert machine_error(error) is None


def test_a_full_disk_under_the_log_of_side_effects_ends_the_process_and_not_the_message():
    with pytest.raises(MachineError, match="No space left"):
        AwsDriver(Queue(None, "q")).perform(op.AppendToLog("/dev/full", "line"))


def test_memory_that_is_exhausted_in_a_step_is_no_failed_message():
    class Greedy(Consumer):
        def perform(self, delivery):
            raise MemoryError
            yield

    world = World([message(1)])
    with pytest.raises(MemoryError):
        step(Greedy(ConsumerOptions(owner="me")).poll(), world)
    assert world.deleted == []


def test_a_class_that_cannot_be_loaded_for_want_of_files_is_the_machines_affair(tmp_path, monkeypatch):
    (tmp_path / "wants_files.py").write_text("raise OSError(24, 'Too many open files')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MachineError, match="Too many open files"):
        load_class("wants_files:Mine", Consumer, "CONSUMER is it, which")


def test_what_ends_the_heartbeat_ends_the_consumer():
    ended = threading.Event()

    class Driver:
        def perform(self, operation):
            if isinstance(operation, op.Sleep):
                ended.set()
                raise OSError(errno.ENOSPC, "No space left on device")
            assert ended.wait(DEADLINE)
            return ()

    def beat():
        yield op.Sleep(1.0)

    def poll():
        while True:
            yield op.Receive(1, 1)

    with pytest.raises(OSError, match="No space left"):
        run(poll(), Driver(), [beat()])


def run_service(account, module, *arguments, directory, **variables):
    environment = {"PATH": "/usr/bin:/bin", "AWS_ENDPOINT_URL": account.url, "AWS_REGION": "us-west-1", **variables}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    options |= directory.pop("streams", {})
    return subprocess.run(
        [sys.executable, "-m", f"services.{module}", *arguments],
        env=environment, cwd=directory["cwd"], timeout=DEADLINE, text=True, check=False, **options,
    )  # fmt: skip


@pytest.fixture
def consumer(account, tmp_path):
    """Run a consumer of one message on a machine that lacks something."""
    queue = account.queue()
    account.sqs.send_message(QueueUrl=queue, MessageBody='{"id": "k"}')
    tables = {"MESSAGE_STATUS_TABLE": account.table("status"), "MESSAGE_SIDE_EFFECTS_TABLE": account.table("ledger")}

    def consume(streams=None, **variables):
        place = {"cwd": tmp_path, "streams": streams or {}}
        given = {"QUEUE_URL": queue, "WAIT_TIME_SECONDS": "1", "MESSAGE_LIMIT": "1", **tables, **variables}
        return run_service(account, "consumer", directory=place, **given)

    return consume


@pytest.mark.processes
class TestAProcess:
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"HISTORY_PATH": "/dev/full"}, "No space left on device"),
            ({"SIDE_EFFECT_LOG_PATH": "/dev/full"}, "No space left on device"),
            ({"CONSUMER": "hungry:Hungry", "SIDE_EFFECT_LOG_PATH": "log"}, "Too many open files"),
        ],
        ids=["history", "log of side effects", "open files"],
    )
    def test_on_a_machine_at_its_end_it_ends_with_a_sentence_and_exit_3(self, consumer, tmp_path, given, words):
        (tmp_path / "hungry.py").write_text(HUNGRY)
        ended = consumer(**given)
        assert ended.returncode == 3, ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stderr.splitlines()[-1].startswith("error: ")
        assert words in ended.stderr.splitlines()[-1]

    def test_where_its_log_cannot_be_written_it_ends_with_exit_3(self, consumer):
        with Path("/dev/full").open("w") as full:
            ended = consumer(streams={"stderr": full})
        assert ended.returncode == 3
        assert "No space left on device" in ended.stdout

    def test_with_a_closed_error_output_it_ends_with_exit_3(self, account, tmp_path):
        ended = subprocess.run(
            ["/bin/sh", "-c", 'exec "$0" -m services.consumer 2>&-', sys.executable],
            cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, timeout=DEADLINE, text=True,
            check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stdout) == (
            3,
            "error: The standard error is closed; keep it open, or send it to /dev/null.\n",
        )

    def test_a_producer_with_a_closed_output_ends_with_exit_3(self, account, tmp_path):
        command = f"{sys.executable} -m services.producer --n 1; echo $? > code"
        environment = {"PATH": "/usr/bin:/bin", "AWS_ENDPOINT_URL": account.url, "AWS_REGION": "us-west-1"}
        ended = subprocess.run(
            ["/bin/sh", "-c", f"({command}) | exec true"],
            cwd=tmp_path, env={**environment, "QUEUE_URL": account.queue()}, stderr=subprocess.PIPE, text=True,
            timeout=DEADLINE, check=False,
        )  # fmt: skip
        assert (tmp_path / "code").read_text() == "3\n"
        assert "Traceback" not in ended.stderr
        assert "keep its output open" in ended.stderr
