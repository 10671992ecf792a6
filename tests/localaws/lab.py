"""What the tests of the embedded endpoint share: a model with a clock moved by hand, and clients of an endpoint."""

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import boto3
from botocore.config import Config

from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.eventual_consistency import EventualConsistency
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest
from infra.localaws.sqs.rates import STRICT


@dataclass
class Lab:
    """A model, its clock and what it has observed."""

    rates: object = STRICT
    seed: int = 0
    time: float = 1_000_000.0
    events: list = field(default_factory=list)
    consistency: EventualConsistency = field(default_factory=EventualConsistency)

    def __post_init__(self):
        self.model = SqsModel(
            clock=lambda: self.time,
            rng=Random(self.seed),
            rates=self.rates,
            consistency=self.consistency,
            observer=lambda event, queue, fields: self.events.append((event, queue, fields)),
        )

    def wait(self, seconds):
        self.time += seconds

    def send(self, queue, body, **options):
        return self.model.send(queue, MessageDraft(body, **options)).message_id

    def receive(self, queue, most=10, **options):
        return self.model.receive(queue, ReceiveRequest(most, **options))

    def bodies(self, queue, most=10, **options):
        return [delivery.body for delivery in self.receive(queue, most, **options)]

    def named(self, event):
        return [fields for name, _, fields in self.events if name == event]


def client_of(endpoint, service):
    return boto3.client(
        service,
        endpoint_url=endpoint.url,
        region_name="us-west-1",
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30, connect_timeout=5),
    )


@dataclass(frozen=True)
class EndpointProcess:
    """A running endpoint: where it listens, and its process."""

    url: str
    process: subprocess.Popen


@contextmanager
def endpoint_process(*options, **popen):
    """Run an endpoint as a process of its own."""
    command = [sys.executable, "-m", "infra.localaws", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **popen) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on "), line
            yield EndpointProcess(line.split()[-1], process)
        finally:
            process.terminate()


def post(url, document):
    request = urllib.request.Request(url, json.dumps(document).encode(), method="POST")  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
        return json.load(answer)
