"""Our endpoint beside others of its kind, in one run under one load: work per second of a server's processor time.

The machine may be busy and noisy, so each figure of a peer stands beside ours from the same run, and the ratio is what
counts. Peers are installed into the cache when they are first needed; one that cannot be is named and left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console

from scenarios.bench.figures import Figure
from scenarios.bench.load import DYNAMODB, SQS, Connection, Script, request, run
from scenarios.errors import BenchmarkError

#: How long each row is loaded, in seconds.
ROW_SECONDS = 1.5
CONNECTIONS = 8
BATCH = 10
WAKE_UPS = 25
START_SECONDS = 30.0
BODY = json.dumps({"id": "00000000-0000-4000-8000-000000000000", "work": 500, "sequence": 1})
TICK = 0.01
OURS = "ours"

_say = Console(stderr=True, highlight=False).print


@dataclass(frozen=True, slots=True)
class Peer:
    """One server.

    Attributes:
        name: as its users know it.
        install: the commands that install it into the directory that they are formatted with; none if it is there.
        command: starts it on a port.
        environment: what it needs there.
        has_dynamodb: whether it serves DynamoDB too.
    """

    name: str
    install: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    has_dynamodb: bool = True


_FAUXQS = (
    'import {{ buildApp }} from "{directory}/node_modules/fauxqs/dist/app.js";'
    'await buildApp({{ logger: false }}).listen({{ port: {port}, host: "127.0.0.1" }});'
)
_VENV = (sys.executable, "-m", "venv", "{directory}")
_PIP = ("{directory}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")

PEERS = (
    Peer(
        OURS,
        (),
        (sys.executable, "-m", "infra.localaws", "--port={port}", "--reorder=0", "--duplicate=0", "--underfill=0"),
    ),
    Peer(
        "moto-5.2.5",
        (_VENV, (*_PIP, "moto[server]==5.2.5")),
        ("{directory}/bin/python", "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"),
    ),
    Peer(
        "ministack-1.5.33",
        (_VENV, (*_PIP, "ministack==1.5.33")),
        ("{directory}/bin/python", "-m", "ministack.app"),
        {"GATEWAY_PORT": "{port}", "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0"},
    ),
    Peer(
        "fauxqs-2.4.1",
        # It wants a newer Node than many a machine has, so it gets its own.
        (("npm", "install", "--prefix", "{directory}", "--no-audit", "--no-fund", "fauxqs@2.4.1", "node@22.23.3"),),
        ("{directory}/node_modules/.bin/node", "--input-type=module", "-e", _FAUXQS),
        has_dynamodb=False,
    ),
)


def measure_peers(runs: int, names: Sequence[str] = ()) -> list[Figure]:
    """Measure every row on every peer, ``runs`` times.

    Args:
        runs: how often.
        names: the peers to measure, by the beginnings of their names; all if none is given.

    Returns:
        For each row a figure of each peer, and the ratio of ours to the best of the others (above 1 is in our favour).
    """
    wanted = [peer for peer in PEERS if not names or peer.name.startswith(tuple(names))]
    present = [(peer, directory) for peer in wanted if (directory := _installed(peer)) is not None]
    values: dict[str, dict[str, list[float]]] = {}
    for number in range(runs):
        for peer, directory in present:
            _say(f"  {peer.name}, run {number + 1} of {runs} ...")
            for row, value in _measure(peer, directory):
                values.setdefault(row, {}).setdefault(peer.name, []).append(value)
    return [figure for row, by_peer in values.items() for figure in _figures(row, by_peer)]


def _figures(row: str, by_peer: dict[str, list[float]]) -> Iterator[Figure]:
    name, _, unit = row.partition("|")
    for peer, measured in by_peer.items():
        yield Figure(f"{name}: {peer}", unit, tuple(measured))
    ours, others = by_peer.get(OURS), [measured for peer, measured in by_peer.items() if peer != OURS]
    if ours and others:
        smaller_is_better = unit == "ms"
        best = [(min if smaller_is_better else max)(run) for run in zip(*others, strict=True)]
        ratios = [b / o if smaller_is_better else o / b for o, b in zip(ours, best, strict=True)]
        yield Figure(f"{name}: ours to the best peer", "times", tuple(ratios))


# One peer


def _measure(peer: Peer, directory: Path) -> Iterator[tuple[str, float]]:
    began = time.perf_counter()
    with _running(peer, directory) as server:
        yield "cold start|ms", 1000 * (time.perf_counter() - began)
        yield from _measure_sqs(server)
        if peer.has_dynamodb:
            yield from _measure_dynamodb(server)


def _measure_sqs(server: Server) -> Iterator[tuple[str, float]]:
    url = server.create_queue("batches")
    entries = [{"Id": str(entry), "MessageBody": BODY} for entry in range(BATCH)]
    send = request(SQS, "SendMessageBatch", {"QueueUrl": url, "Entries": entries})
    answers, took = server.load(lambda: _always(send))
    yield "send batch|messages/CPU s", BATCH * answers / took

    received = [0]
    _, took = server.load(lambda: _drain(url, received), warm_up=False)
    yield "receive and delete batch|messages/CPU s", received[0] / took

    url = server.create_queue("singles")
    answers, took = server.load(lambda: _cycle(url))
    yield "single send, receive, delete|requests/CPU s", answers / took
    yield "wake-up of a long poll|ms", 1000 * statistics.median(_wake_ups(server))


def _measure_dynamodb(server: Server) -> Iterator[tuple[str, float]]:
    key = [{"AttributeName": "message_id", "AttributeType": "S"}]
    server.call(
        DYNAMODB,
        "CreateTable",
        {
            "TableName": "bench",
            "AttributeDefinitions": key,
            "KeySchema": [{"AttributeName": "message_id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    numbers = iter(range(10**9))
    for row, make in (("conditional put", _put), ("conditional update", _update), ("get", _get)):
        answers, took = server.load(lambda make=make: _each(make, numbers))  # type: ignore[misc]  # bound at once
        yield f"DynamoDB {row}|requests/CPU s", answers / took


class Server:
    """A running peer."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self._process = process
        self.port = port
        self._connection = Connection(port)

    def close(self) -> None:
        """Close the connection of its own."""
        self._connection.close()

    def call(self, service: str, action: str, parameters: dict[str, object]) -> bytes:
        """Make one request."""
        return self._connection.call(request(service, action, parameters))

    def create_queue(self, name: str) -> str:
        """Create a queue whose messages stay hidden once they are received; return its URL."""
        attributes = {"VisibilityTimeout": "600"}
        answer = json.loads(self.call(SQS, "CreateQueue", {"QueueName": name, "Attributes": attributes}))
        return str(answer["QueueUrl"])

    def load(self, script: Callable[[], Script], *, warm_up: bool = True) -> tuple[int, float]:
        """Load it for a while; return how many answers came, and the seconds of processor time that they cost."""
        if warm_up:
            run(self.port, [script] * CONNECTIONS, ROW_SECONDS / 5)
        before = self._processor()
        answers = run(self.port, [script] * CONNECTIONS, ROW_SECONDS)
        return answers, max(TICK, self._processor() - before)

    def _processor(self) -> float:
        processes = [self._process, *self._process.children(recursive=True)]
        return float(sum(times.user + times.system for times in (process.cpu_times() for process in processes)))


# Scripts


def _always(data: bytes) -> Script:
    while True:
        yield data


def _drain(url: str, received: list[int]) -> Script:
    receive = request(SQS, "ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": BATCH})
    while handles := _handles((yield receive)):
        received[0] += len(handles)
        entries = [{"Id": str(entry), "ReceiptHandle": handle} for entry, handle in enumerate(handles)]
        yield request(SQS, "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})


def _cycle(url: str) -> Script:
    send = request(SQS, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    receive = request(SQS, "ReceiveMessage", {"QueueUrl": url})
    while True:
        yield send
        for handle in _handles((yield receive)):
            yield request(SQS, "DeleteMessage", {"QueueUrl": url, "ReceiptHandle": handle})


def _each(make: Callable[[str], bytes], numbers: Iterator[int]) -> Script:
    for number in numbers:
        yield make(f"message-{number}")


def _put(key: str) -> bytes:
    item = {"message_id": {"S": key}, "status": {"S": "STARTED"}, "attempts": {"N": "1"}}
    condition = "attribute_not_exists(message_id)"
    return request(DYNAMODB, "PutItem", {"TableName": "bench", "Item": item, "ConditionExpression": condition})


def _update(key: str) -> bytes:
    return request(
        DYNAMODB,
        "UpdateItem",
        {
            "TableName": "bench",
            "Key": {"message_id": {"S": key}},
            "UpdateExpression": "SET #s = :s ADD attempts :one",
            "ConditionExpression": "attribute_not_exists(#s) OR #s <> :s",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":s": {"S": "COMPLETED"}, ":one": {"N": "1"}},
            "ReturnValues": "ALL_NEW",
        },
    )


def _get(key: str) -> bytes:
    del key
    parameters = {"TableName": "bench", "Key": {"message_id": {"S": "message-1"}}, "ConsistentRead": True}
    return request(DYNAMODB, "GetItem", parameters)


def _handles(body: bytes) -> list[str]:
    # A receipt handle holds nothing that JSON escapes but a slash.
    return [handle.decode().replace("\\/", "/") for handle in _HANDLE.findall(body)]


_HANDLE = re.compile(rb'"ReceiptHandle" ?: ?"([^"]+)"')


def _wake_ups(server: Server) -> Iterator[float]:
    """Measure from a send to the answer of the receive that waits for it, in seconds."""
    url = server.create_queue("waiting")
    receive = request(SQS, "ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 20})
    send = request(SQS, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    waiting, sending = Connection(server.port), Connection(server.port)
    for _ in range(WAKE_UPS):
        waiting.send(receive)
        time.sleep(0.02)
        began = time.perf_counter()
        sending.send(send)
        while waiting.read() is None:
            pass
        yield time.perf_counter() - began
        while sending.read() is None:
            pass
    waiting.close()
    sending.close()


# Installing and starting


def _installed(peer: Peer) -> Path | None:
    """Return where a peer is installed, installing it if need be; None if it cannot be, which is said."""
    if not peer.install:
        return Path()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "queue-fundamentals" / "peers"
    directory = cache / peer.name
    whole = directory / ".whole"
    if whole.exists():
        return directory
    _say(f"  installing {peer.name} into {directory} ...")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        for command in peer.install:
            arguments = [part.format(directory=directory) for part in command]
            subprocess.run(arguments, check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        _say(f"  {peer.name} cannot be installed and is left out: {error}")
        return None
    whole.touch()
    return directory


@contextmanager
def _running(peer: Peer, directory: Path) -> Iterator[Server]:
    port = _free_port()
    command = [part.format(directory=directory, port=port) for part in peer.command]
    environment = os.environ | {name: value.format(port=port) for name, value in peer.environment.items()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=_directory_of(peer)
        )
        try:
            _wait_for(port, process, peer.name)
            with closing(Server(psutil.Process(process.pid), port)) as server:
                yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _directory_of(peer: Peer) -> str | None:
    """Let a peer run where it finds none of our modules."""
    return None if peer.name == OURS else tempfile.gettempdir()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{name} did not start.") from None
            time.sleep(0.005)
        else:
            return
