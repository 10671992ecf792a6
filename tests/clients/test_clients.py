"""Real clients, each in a process of its own, get what they expect from every action."""

import os
import shutil

import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from infra.localaws.sqs.wire import ACTIONS
from tests.clients.client import CLIENTS, HOW_TO_INSTALL, Refused
from tests.clients.walk import NO_QUEUE, walk

pytestmark = [pytest.mark.processes, pytest.mark.thorough]


@pytest.fixture(scope="module")
def endpoint():
    with running_endpoint(EndpointConfig(rates=STRICT)) as running:
        yield running


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name.replace(" ", "-"))
def client(request):
    client = request.param
    missing = client.directory is None or shutil.which(client.arguments[0].format(directory=client.directory)) is None
    if missing:
        reason = f"{client.name} is not installed; {HOW_TO_INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return client


def test_every_action_does_what_it_says_for_every_client(client, endpoint):
    with client.started(endpoint.url) as call:
        done = walk(call, client.name.replace(" ", "-").replace(",", "").replace(".", "-"))
        with pytest.raises(Refused) as refused:
            call("ReceiveMessage", QueueUrl=f"{endpoint.url}/000000000000/none")
    assert refused.value.code in NO_QUEUE
    assert set(done) == ACTIONS.keys()
