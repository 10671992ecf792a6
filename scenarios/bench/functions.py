"""What the Lambda emulation costs: an invocation beside awslambdaric's own time, and invocations a second from a queue.

awslambdaric's own time is taken with a socket that hands out one event after the other and does nothing else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.localaws.config import EndpointConfig
from infra.localaws.lambda_.code import Code
from infra.localaws.lambda_.config import FunctionConfig
from infra.localaws.lambda_.function import Function
from infra.localaws.lambda_.service import LambdaService
from infra.localaws.lambda_.settings import MappingSettings
from infra.localaws.server import LocalAws
from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.rates import STRICT
from scenarios.bench.figures import Figure
from scenarios.errors import BenchmarkError

INVOCATIONS: Final = 2_000
WARM_UP: Final = 200
START_SECONDS: Final = 20
EVENT: Final = b'{"Records": []}'
HANDLER: Final = "def handler(event, context):\n    return None\n"
HEAD_END: Final = b"\r\n\r\n"


def measure_functions(runs: int) -> Sequence[Figure]:
    """Measure a Python function that does nothing: alone, behind the environment, and behind a queue."""
    alone, behind, rates = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "app.py").write_text(HANDLER)
            alone.append(_alone(directory))
            took, rate = asyncio.run(_behind(directory))
            behind.append(took)
            rates.append(rate)
    overhead = [with_us - without for with_us, without in zip(behind, alone, strict=True)]
    return [
        Figure("function: an invocation of awslambdaric alone", "ms", tuple(alone)),
        Figure("function: what the emulation adds to it", "ms", tuple(overhead)),
        Figure("function: from a queue, one message each, two at once", "invocations/s", tuple(rates)),
    ]


def _alone(directory: Path) -> float:
    """Return the median milliseconds from an event to its answer, without this project between."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(START_SECONDS)
        host, port = server.getsockname()
        command = [sys.executable, "-m", "awslambdaric", "app.handler"]
        variables = {**os.environ, "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"}
        with subprocess.Popen(command, cwd=directory, env=variables, stderr=subprocess.DEVNULL) as process:
            try:
                connection, _ = server.accept()
                with connection:
                    return _serve(connection)
            except TimeoutError:
                raise BenchmarkError(
                    f"Timed out after {START_SECONDS} s waiting for awslambdaric; is it installed?"
                ) from None
            finally:
                process.kill()


def _serve(connection: socket.socket) -> float:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    deadline = int((time.time() + 900) * 1000)
    event = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(EVENT)}\r\n"
        f"Lambda-Runtime-Aws-Request-Id: bench\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n\r\n"
    ).encode() + EVENT
    took = []
    _read(connection)
    for _ in range(WARM_UP + INVOCATIONS):
        began = time.perf_counter()
        connection.sendall(event)
        _read(connection)
        took.append(time.perf_counter() - began)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        _read(connection)
    return statistics.median(took[WARM_UP:]) * 1_000


def _read(connection: socket.socket) -> None:
    """Read one request."""
    data = b""
    while True:
        head, found, body = data.partition(HEAD_END)
        if found:
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) >= (int(lengths[0].partition(b":")[2]) if lengths else 0):
                return
        more = connection.recv(65_536)
        if not more:
            raise BenchmarkError("awslambdaric ended before it was measured; is it installed and does it run?")
        data += more


async def _behind(directory: Path) -> tuple[float, float]:
    """Return the median milliseconds of an invocation, and the invocations a second from a queue."""
    endpoint = LocalAws(EndpointConfig(rates=STRICT))
    await endpoint.start()
    try:
        service = endpoint.lambda_.service
        config = FunctionConfig(
            "bench", "arn:aws:lambda:us-west-1:000000000000:function:bench", "python3", "app.handler", directory
        )
        function = service.deploy(config, Code(directory, "", 0), {})
        return await _invoke(function), await _drain(service)
    finally:
        await endpoint.stop()


async def _invoke(function: Function) -> float:
    took = []
    for _ in range(WARM_UP + INVOCATIONS):
        began = time.perf_counter()
        function.begin()
        await function.invoke(EVENT)
        took.append(time.perf_counter() - began)
    return statistics.median(took[WARM_UP:]) * 1_000


async def _drain(service: LambdaService) -> float:
    model = service.queues.model
    model.create_queue("bench")
    for number in range(INVOCATIONS):
        model.send("bench", MessageDraft(str(number)))
    settings = MappingSettings(batch_size=1, maximum_concurrency=2)
    runner = service.map_queue(settings, "bench", "bench").runner
    began = time.perf_counter()
    runner.step()
    while runner.counts.deleted < INVOCATIONS:  # noqa: ASYNC110 - the runner tells nobody of its counts
        await asyncio.sleep(0.001)
    return INVOCATIONS / (time.perf_counter() - began)
