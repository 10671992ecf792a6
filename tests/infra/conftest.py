"""An endpoint that all tests here share, and engines for stacks whose names no two tests share."""

import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pulumi
import pulumi_aws as aws_sdk
import pytest

from infra.__main__ import main
from infra.clients import aws_client
from infra.engines.embedded.engine import EmbeddedEngine
from infra.engines.engine import Deployment
from infra.engines.state import read_snapshot
from infra.localaws.server import running_endpoint
from infra.provider.aws import AwsProvider

CHECKOUT = Path(__file__).parents[2]
REGION = "us-west-1"


@pytest.fixture(scope="session")
def endpoint():
    with running_endpoint() as running:
        yield running


@pytest.fixture(scope="session")
def aws(endpoint):
    clients = {
        service: aws_client(service, endpoint_url=endpoint.url, region=REGION) for service in ("sqs", "dynamodb", "s3")
    }
    yield SimpleNamespace(**clients)
    for client in clients.values():
        client.close()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own to work in, so that no test sees another's stacks or yours."""
    shutil.copy(CHECKOUT / "Pulumi.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Lab:
    """A stack, deployed by the embedded engine, and what really exists of it."""

    def __init__(self, aws, endpoint_url, directory, stack=None):
        self.aws = aws
        self.url = endpoint_url
        self.stack = stack or f"s{uuid4().hex[:8]}"
        self.path = directory / self.stack / "state.json"
        self.warnings = []

    def engine(self, program=main, instance="one", **config):
        config.setdefault("scenarios", '["happy"]')
        values = {f"queue-fundamentals:{key}": str(value) for key, value in config.items()}
        deployment = Deployment("queue-fundamentals", self.stack, program, values, self.url)
        return EmbeddedEngine(deployment, self.path, endpoint_identity=instance, warn=self.warnings.append)

    def snapshot(self):
        return read_snapshot(self.path)

    def queues(self, region=REGION):
        """The names of the stack's queues that exist in a region."""
        sqs = self.aws.sqs if region == REGION else aws_client("sqs", endpoint_url=self.url, region=region)
        urls = sqs.list_queues(QueueNamePrefix=f"sqs-demo-{self.stack}-").get("QueueUrls", [])
        return sorted(url.rsplit("/", 1)[-1] for url in urls)

    def tables(self):
        """The names of the stack's tables that exist."""
        pages = self.aws.dynamodb.get_paginator("list_tables").paginate()
        names = [name for page in pages for name in page["TableNames"]]
        return sorted(name for name in names if name.startswith(f"sqs-demo-{self.stack}-"))

    def attributes(self, url):
        return self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    def assert_nothing_left_over(self, region=REGION):
        """What exists is what the state knows, and nothing is pending; and nothing is in another region."""
        snapshot = self.snapshot()
        assert snapshot.pending == ()
        assert not [resource.urn for resource in snapshot.resources if resource.delete]
        known = Counter(resource.type for resource in snapshot.resources)
        assert len(self.queues(region)) == known["aws:sqs/queue:Queue"]
        assert region == REGION or self.queues() == []
        assert len(self.tables()) == known["aws:dynamodb/table:Table"]


def small_program(*, fifo=False, visibility=10):
    """Two queues, the policy between them and a table: few resources for what has to be done many times."""

    def program():
        stack = pulumi.get_stack()
        options = pulumi.ResourceOptions(provider=aws_sdk.Provider("aws", region=REGION))
        dead = aws_sdk.sqs.Queue(f"sqs-demo-{stack}-dead", fifo_queue=fifo, opts=options)
        queue = aws_sdk.sqs.Queue(
            f"sqs-demo-{stack}-queue", fifo_queue=fifo, visibility_timeout_seconds=visibility, opts=options
        )
        aws_sdk.sqs.RedrivePolicy(
            f"sqs-demo-{stack}-queue",
            queue_url=queue.url,
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3}),
            opts=options,
        )
        aws_sdk.dynamodb.Table(
            f"sqs-demo-{stack}-table",
            hash_key="id",
            attributes=[{"name": "id", "type": "S"}],
            billing_mode="PAY_PER_REQUEST",
            opts=options,
        )
        pulumi.export("queueUrl", queue.url)

    return program


@pytest.fixture(scope="session")
def clients():
    """boto3's clients, each made once: to make one takes longer than most tests."""
    made = {}

    def client(service, **settings):
        key = (service, settings["endpoint_url"], settings["region"])
        if key not in made:
            made[key] = aws_client(service, **settings)
        return made[key]

    yield client
    for one in made.values():
        one.close()


@pytest.fixture
def shared_clients(clients, monkeypatch):
    monkeypatch.setattr("infra.provider.aws.aws_client", clients)
    monkeypatch.setattr(AwsProvider, "close", lambda provider: None)


@pytest.fixture
def lab(shared_clients, aws, endpoint, tmp_path):
    lab = Lab(aws, endpoint.url, tmp_path)
    yield lab
    if lab.path.exists() and lab.path.read_text().startswith("{"):
        lab.engine().destroy()


@pytest.fixture
def new_lab(shared_clients, aws, endpoint, tmp_path):
    return lambda stack=None: Lab(aws, endpoint.url, tmp_path, stack)


def operations(plan):
    """What a plan does, by type and operation; what stays the same left aside."""
    return Counter((step.operation.value, step.type.rsplit(":", 1)[-1]) for step in plan.changes)
