"""Functions as real processes, for the tests of the execution environment."""

import asyncio
import contextlib
import json
import os
import stat
import sys
import textwrap
import time
from pathlib import Path
from random import Random

from infra.localaws.lambda_.concurrency import Concurrency
from infra.localaws.lambda_.config import FunctionConfig
from infra.localaws.lambda_.function import Function

ARN = "arn:aws:lambda:us-west-1:000000000000:function:worker"
DEADLINE = 60.0
"""Seconds that a test waits for what has to happen."""

#: The part of a bootstrap that speaks HTTP by hand.
CLIENT = """
import http.client, json, os, sys
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
PREFIX = "/2018-06-01/runtime/"

def call(method, target, body=None, headers={}, **options):
    connection.request(method, PREFIX + target, body, headers, **options)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()

def next_event():
    status, headers, body = call("GET", "invocation/next")
    assert status == 200, (status, body)
    return headers["Lambda-Runtime-Aws-Request-Id"], headers, json.loads(body)
"""


class Code:
    """A directory of code."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def write(self, name, text):
        (self.directory / name).write_text(textwrap.dedent(text))

    def python(self, text):
        self.write("app.py", text)

    def bootstrap(self, text, client=CLIENT):
        path = self.directory / "bootstrap"
        path.write_text(f"#!{sys.executable}\n{client}\n{textwrap.dedent(text)}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Running:
    """A function with its log and what it has observed."""

    def __init__(self, code, *, runtime="python3.11", handler="app.handler", reserved=None, clock=time.time, **options):
        function_options = {
            name: options.pop(name) for name in ("freezes", "init_seconds", "endpoint_url") if name in options
        }
        self.speed = options.pop("speed", 1.0)
        self.lines = []
        self.events = []
        self.concurrency = Concurrency()
        if reserved is not None:
            self.concurrency.reserve("worker", reserved)
        self.function = Function(
            FunctionConfig("worker", ARN, runtime, handler, code.directory, **options),
            concurrency=self.concurrency,
            clock=clock,
            real_seconds=lambda seconds: seconds / self.speed,
            rng=Random(1),
            log=lambda group, stream, line: self.lines.append(line),
            observer=lambda event, queue, fields: self.events.append((event, fields)),
            **function_options,
        )

    async def __call__(self, event=None):
        assert self.function.begin()
        return await asyncio.wait_for(self.function.invoke(json.dumps(event or {}).encode()), DEADLINE)

    def named(self, event):
        return [fields for name, fields in self.events if name == event]


@contextlib.contextmanager
def running(code, **options):
    """Yield a function, and end it."""
    function = Running(code, **options)
    try:
        yield function
    finally:
        function.function.close()


def value(result):
    """Return what a function returned."""
    assert result.failure is None, result
    return json.loads(result.payload)


def error(result):
    """Return an error's type and message."""
    assert result.failure is not None, result
    document = json.loads(result.payload)
    return document["errorType"], document["errorMessage"]


def is_alive(pid):
    """Return whether a process is there and has not ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def eventually(condition, what):
    """Wait until a condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"timed out waiting for {what}"
        await asyncio.sleep(0.005)


def wait_until(condition, what):
    """Wait until a condition holds, outside of an event loop."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"timed out waiting for {what}"
        time.sleep(0.005)


def time_used(pid):
    """Return what the scheduler says that a process has run by now."""
    return Path(f"/proc/{pid}/schedstat").read_text()


def processes_with(marker):
    """Return the ids of this machine's processes that have a variable in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
    return found
