"""A function at a queue for daily work: ``python -m infra.localaws --lambda ... --queue ...``."""

import queue
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from infra.localaws.lambda_.standalone import Watch
from tests.localaws.lab import client_of
from tests.localaws.lambda_.functions import DEADLINE, is_alive

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

HANDLER = """
import os
print("VERSION", 1)
def handler(event, context):
    print("handled", os.getpid(), *[record["body"] for record in event["Records"]])
"""


class Session:
    """An endpoint with a function, as a user starts it, and the lines of its output."""

    def __init__(self, *arguments, directory):
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "infra.localaws", "--code", str(directory), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        url = self.line("listening on ").split()[-1]
        self.sqs = client_of(SimpleNamespace(url=url), "sqs")

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self, *parts):
        """Return the next line that holds all the parts."""
        end = time.monotonic() + DEADLINE
        passed = []
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise AssertionError(f"timed out waiting for {parts}; there were {passed}") from None
            passed.append(line)
            if all(part in line for part in parts):
                return line

    def send(self, name, body, **options):
        url = self.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        self.sqs.send_message(QueueUrl=url, MessageBody=body, **options)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, errors


@pytest.fixture
def start(tmp_path):
    sessions = []

    def go(*arguments):
        sessions.append(Session(*arguments, directory=tmp_path))
        return sessions[-1]

    yield go
    for session in sessions:
        session.process.terminate()
        session.process.communicate(timeout=DEADLINE)
        session.sqs.close()


def test_a_function_serves_a_queue_with_its_log_and_a_progress_line_and_reloads_on_change(start, tmp_path):
    code = tmp_path / "app.py"
    code.write_text(HANDLER)
    session = start("--lambda", "app.handler", "--queue", "orders")
    session.send("orders", "one")
    session.line("VERSION 1")
    pid = int(session.line("handled", "one").split()[1])
    session.line("REPORT RequestId")
    session.line("orders: 0 visible, 0 in flight, 0 delayed | 1 batches answered, 0 failed, 0 throttled | 1 messages")
    session.send("orders", "two")
    assert int(session.line("handled", "two").split()[1]) == pid
    code.write_text(HANDLER.replace('"VERSION", 1', '"VERSION", 2'))
    session.line("app.py has changed: the next invocation is a cold start")
    session.send("orders", "three")
    session.line("VERSION 2")
    last = int(session.line("handled", "three").split()[1])
    assert last != pid
    assert session.end() == (0, "")
    assert not is_alive(last)


def test_an_import_error_is_said_once_and_gone_after_the_change(start, tmp_path):
    code = tmp_path / "app.py"
    code.write_text("import no_such_module_here\n")
    session = start("--lambda", "app.handler", "--queue", "orders", "--visibility-timeout", "3", "--speed", "20")
    session.send("orders", "one")
    session.line("No module named 'no_such_module_here'")
    # The batch comes again and again, and fails the same way.
    line = session.line(" failed")
    while int(line.split("answered, ")[1].split(" failed")[0]) < 3:
        assert "no_such_module_here" not in line
        line = session.line("")
        line = line if " failed" in line else session.line(" failed")
    code.write_text(HANDLER)
    session.line("handled", "one")


def test_a_program_is_told_by_its_path(start, tmp_path):
    program = tmp_path / "worker"
    program.write_text("#!/bin/sh\necho the worker has begun\nexit 3\n")
    program.chmod(0o755)
    session = start("--lambda", str(program), "--queue", "orders")
    session.send("orders", "one")
    session.line("the worker has begun")
    session.line("Runtime exited with error: exit status 3")


def test_the_options_of_the_mapping_hold(start, tmp_path):
    (tmp_path / "index.mjs").write_text(
        "export const handler = async (event) => {\n"
        "  console.log('got', event.Records.map((r) => r.body).join());\n"
        "  return { batchItemFailures: event.Records.map((r) => ({ itemIdentifier: r.messageId })) };\n};\n"
    )
    session = start(
        *("--lambda", "index.handler", "--runtime", "node", "--queue", "orders.fifo", "--batch-size", "2"),
        *("--filter", '{"body": [{"prefix": "a"}]}', "--report-batch-item-failures"),
    )
    for body in ("b1", "a1"):
        session.send("orders.fifo", body, MessageGroupId="g")
    session.line("got a1")
    session.line("orders.fifo: 0 visible, 1 in flight, 0 delayed", "1 messages deleted")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lambda", "app.handler"], "A function needs both: --lambda HANDLER and --queue NAME."),
        (["--queue", "orders"], "A function needs both"),
        (["--lambda", "a.b", "--queue", "bad name"], "a.b cannot read bad name: Can only include alphanumeric"),
        (["--lambda", "a.b", "--queue", "q", "--batch-size", "11"], "Maximum batch window in seconds must be greater"),
        (["--lambda", "a.b", "--queue", "q.fifo", "--batch-window", "1"], "not supported for FIFO queues"),
        (["--lambda", "a.b", "--queue", "q", "--function-timeout", "31"], "is less than Function timeout: 31 seconds"),
        (["--lambda", "a.b", "--queue", "q", "--function-timeout", "0"], "--function-timeout is from 1 to 900 seconds"),
        (["--lambda", "a.b", "--queue", "q", "--maximum-concurrency", "1"], "Member must have value greater than or"),
        (["--lambda", "a.b", "--queue", "q", "--filter", "{"], "Invalid filter pattern definition."),
        (["--lambda", "a.b", "--queue", "q", "--reserved-concurrency", "950"], "below its minimum value of [100]"),
        (["--lambda", "./none", "--runtime", "provided", "--queue", "q"], "is not a file"),
        (
            ["--lambda", "a.b", "--queue", "q", "--code", "/nonexistent"],
            "--code is the directory of the handler's code",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_with_exit_code_2(tmp_path, arguments, sentence):
    command = [sys.executable, "-m", "infra.localaws", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_watch_passes_over_what_is_installed(tmp_path):
    for name in (".git", "node_modules", "venv", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.py").write_text("1")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    watch = Watch(tmp_path)
    assert watch.changed() is None
    for name in (".git", "node_modules", "venv", "env"):
        (tmp_path / name / "other.py").write_text("2")
    assert watch.changed() is None
    (tmp_path / "mine" / "file.py").write_text("22")
    assert watch.changed() == "file.py"
    (tmp_path / "mine" / "file.py").unlink()
    assert watch.changed() == "file.py"
    assert watch.changed() is None
