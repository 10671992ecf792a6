"""What the embedded endpoint can carry: messages a second, by the clock and by its own processor time; memory.

The load comes from a plain keep-alive connection that sends requests made beforehand: boto3 would measure itself.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from scenarios.bench.figures import Figure
from scenarios.errors import BenchmarkError

MESSAGES = 20_000
BATCH = 10
BODY = json.dumps({"id": "00000000-0000-4000-8000-000000000000", "work": 500, "sequence": 1})
SQS = "AmazonSQS"
DYNAMODB = "DynamoDB_20120810"
#: Seconds; how finely the kernel counts processor time.
TICK = 0.01
START_SECONDS = 20
MEGABYTE = 1_000_000


def measure_endpoint(runs: int) -> Sequence[Figure]:
    """Measure sends, receives with deletes, cold start and memory, on a new endpoint each run."""
    measured: dict[tuple[str, str], list[float]] = {}
    for _ in range(runs):
        for name, unit, value in _one_run():
            measured.setdefault((name, unit), []).append(value)
    return [Figure(name, unit, tuple(values)) for (name, unit), values in measured.items()]


def _one_run() -> Iterator[tuple[str, str, float]]:
    began = time.perf_counter()
    with _endpoint() as endpoint:
        yield "endpoint: cold start", "s", time.perf_counter() - began
        endpoint.call("ListTables", {}, service=DYNAMODB)  # which loads it, as any stack's `up` does
        yield "endpoint: memory at rest", "MB", endpoint.memory()
        queue_url = endpoint.call("CreateQueue", {"QueueName": "bench"})["QueueUrl"]

        send = {"QueueUrl": queue_url, "Entries": [{"Id": str(entry), "MessageBody": BODY} for entry in range(BATCH)]}
        with endpoint.timed() as took:
            for _ in range(MESSAGES // BATCH):
                endpoint.call("SendMessageBatch", send)
        yield "endpoint: sends", "messages/s", MESSAGES / took.wall
        yield "endpoint: sends", "messages/CPU s", MESSAGES / took.processor
        yield f"endpoint: memory with {MESSAGES:,} messages", "MB", endpoint.memory()

        received = 0
        receive = {"QueueUrl": queue_url, "MaxNumberOfMessages": BATCH}
        with endpoint.timed() as took:
            while received < MESSAGES:
                messages = endpoint.call("ReceiveMessage", receive).get("Messages", ())
                handles = [
                    {"Id": str(entry), "ReceiptHandle": message["ReceiptHandle"]}
                    for entry, message in enumerate(messages)
                ]
                if handles:
                    endpoint.call("DeleteMessageBatch", {"QueueUrl": queue_url, "Entries": handles})
                received += len(handles)
        yield "endpoint: receives with deletes", "messages/s", MESSAGES / took.wall
        yield "endpoint: receives with deletes", "messages/CPU s", MESSAGES / took.processor


@dataclass(slots=True)
class Took:
    """Seconds by the clock, and of the endpoint's processor time."""

    wall: float = 0.0
    processor: float = 0.0


class Endpoint:
    """A running endpoint, and one connection to it."""

    def __init__(self, process: psutil.Process, url: str) -> None:
        self._process = process
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def call(self, action: str, parameters: dict[str, Any], service: str = SQS) -> dict[str, Any]:
        """Make one request of the JSON protocol."""
        headers = {"X-Amz-Target": f"{service}.{action}", "Content-Type": "application/x-amz-json-1.0"}
        self._connection.request("POST", "/", json.dumps(parameters), headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise BenchmarkError(f"The endpoint refused {action}: {body.decode(errors='replace')}")
        result: dict[str, Any] = json.loads(body or b"{}")
        return result

    def memory(self) -> float:
        """The resident set, in MB."""
        return float(self._process.memory_info().rss / MEGABYTE)

    @contextmanager
    def timed(self) -> Iterator[Took]:
        """Measure a block."""
        took = Took()
        processor, wall = self._processor(), time.perf_counter()
        yield took
        took.wall = time.perf_counter() - wall
        took.processor = max(TICK, self._processor() - processor)

    def _processor(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def _endpoint() -> Iterator[Endpoint]:
    """Start an endpoint whose queues behave like lists, so that no receive comes back short."""
    strict = ["--reorder", "0", "--duplicate", "0", "--underfill", "0"]
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory) / "ready"
        command = [sys.executable, "-m", "infra.localaws", "--ready-file", str(ready), *strict]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            try:
                endpoint = Endpoint(psutil.Process(process.pid), _wait_for(ready, process))
                try:
                    yield endpoint
                finally:
                    endpoint.close()
            finally:
                process.terminate()


def _wait_for(ready: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError("The embedded endpoint did not start; run `python -m infra.localaws` to see why.")
        time.sleep(0.002)
    return ready.read_text(encoding="utf-8").strip()
