import contextlib

import pytest

from infra.clients import aws_client
from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT

REGION = "us-west-1"


@pytest.fixture(scope="module")
def endpoint():
    """An endpoint in this process, which delivers in order and once."""
    with running_endpoint(EndpointConfig(rates=STRICT)) as running:
        yield running


@pytest.fixture
def sqs(endpoint):
    with contextlib.closing(aws_client("sqs", endpoint_url=endpoint.url, region=REGION)) as client:
        yield client
