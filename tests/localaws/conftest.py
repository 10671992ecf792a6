"""Fixtures: a model with a clock that tests move by hand, and one endpoint that all HTTP tests of a module share."""

import itertools
import socket

import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from tests.localaws.lab import Lab, client_of


@pytest.fixture
def lab():
    return Lab()


@pytest.fixture(scope="module")
def history_path(tmp_path_factory):
    return tmp_path_factory.mktemp("endpoint") / "history.jsonl"


@pytest.fixture(scope="module")
def endpoint(history_path):
    with running_endpoint(EndpointConfig(rates=STRICT, history=history_path)) as running:
        yield running


@pytest.fixture(scope="module")
def sqs(endpoint):
    client = client_of(endpoint, "sqs")
    yield client
    client.close()


@pytest.fixture(scope="module")
def dynamodb(endpoint):
    client = client_of(endpoint, "dynamodb")
    yield client
    client.close()


_NUMBERS = itertools.count()


@pytest.fixture
def new_queue(sqs):
    """Return a function that creates a queue under a name of its own and gives its URL."""

    def create(*, fifo=False, **attributes):
        name = f"queue-{next(_NUMBERS)}" + (".fifo" if fifo else "")
        if fifo:
            attributes["FifoQueue"] = "true"
        return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    return create


@pytest.fixture
def raw(endpoint):
    """Return a function that opens a plain connection to the endpoint."""
    opened = []

    def connect():
        host, port = endpoint.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=10)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()
