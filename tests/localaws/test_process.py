"""The endpoint as a process of its own, its clock, and what it refuses at its start."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from infra.localaws.clock import ScaledClock
from infra.localaws.config import EndpointConfig, EndpointError
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from tests.localaws.lab import client_of

COMMAND = (sys.executable, "-m", "infra.localaws")


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_in_peace(tmp_path, number):
    ready = tmp_path / "ready"
    command = [*COMMAND, "--ready-file", str(ready), "--history", str(tmp_path / "history"), "--region", "eu-west-1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.split()[-1]
        deadline = time.monotonic() + 10
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert ready.read_text().strip() == url
        with urllib.request.urlopen(f"{url}/_localaws/health", timeout=10) as answer:  # noqa: S310 - loopback
            document = json.load(answer)
        assert (document["pid"], document["region"]) == (process.pid, "eu-west-1")
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "loopback only"),  # noqa: S104 - to be refused
        (["--host", "example.com"], "loopback only"),
        (["--port", "70000"], "A port is a number from 0"),
        (["--port", "PORT"], "choose another port, or 0 for any free one"),
        (["--region", "Mars"], "A region is a name such as us-west-1"),
        (["--speed", "0"], "The speed is a number greater than 0"),
        (["--speed", "nan"], "The speed is a number greater than 0"),
        (["--history", "/nonexistent/x"], "The history /nonexistent/x cannot be written"),
        (["--reorder", "2"], "a rate is a number from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_with_exit_code_2(arguments, sentence):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = [text.replace("PORT", str(taken.getsockname()[1])) for text in arguments]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_port_in_use_is_an_error_in_process_too(endpoint):
    port = int(endpoint.url.rpartition(":")[2])
    with pytest.raises(EndpointError, match="cannot listen"), running_endpoint(EndpointConfig(port=port)):
        pass


def test_a_fast_clock_shortens_timeouts_delays_and_long_polls():
    with running_endpoint(EndpointConfig(rates=STRICT, speed=50)) as fast:
        sqs = client_of(fast, "sqs")
        url = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        started = time.monotonic()
        assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=10)
        for _ in range(3):
            messages = []
            while not messages:
                messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", [])
        assert time.monotonic() - started < 20
        sqs.close()


def test_the_clock_starts_at_the_present_and_runs_at_its_speed():
    clock = ScaledClock(1000)
    started, real = clock(), time.monotonic()
    assert abs(started - time.time()) < 60
    while clock() < started + 10:
        pass
    assert time.monotonic() - real < 5
    assert clock.real_seconds(1000) == 1


def test_the_same_seed_gives_the_same_deliveries_over_http():
    def story():
        with running_endpoint(EndpointConfig(seed=7)) as running:
            sqs = client_of(running, "sqs")
            url = sqs.create_queue(QueueName="q")["QueueUrl"]
            for batch in range(3):
                entries = [{"Id": str(n), "MessageBody": str(batch * 10 + n)} for n in range(10)]
                sqs.send_message_batch(QueueUrl=url, Entries=entries)
            bodies = [
                [
                    message["Body"]
                    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=5).get("Messages", [])
                ]
                for _ in range(10)
            ]
            sqs.close()
            return bodies

    assert story() == story()


INTERRUPTED = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, *_):
        if name == "infra.localaws.server":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
runpy.run_module("infra.localaws", run_name="__main__")
"""


@pytest.mark.processes
def test_ctrl_c_while_it_starts_leaves_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.processes
def test_a_machine_that_gives_no_file_is_one_sentence():
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 8; exec "$@"', "sh", *COMMAND],  # noqa: S607 - POSIX's own
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    # uvloop may have said before that its loop was not closed.
    assert done.stderr.splitlines()[-1] == "The endpoint cannot run on this machine: Too many open files."
    assert "Traceback" not in done.stderr
