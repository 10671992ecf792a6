import os
import subprocess
import sys

import boto3
import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT

#: Seconds after which a process that should have ended is a failure.
DEADLINE = 30


class Account:
    """An embedded endpoint of the test's own, with boto3 clients and a way to run services against it."""

    def __init__(self, endpoint, directory):
        self.url = endpoint.url
        self.directory = directory
        access = {"region_name": "us-west-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.sqs = boto3.client("sqs", endpoint_url=self.url, **access)
        self.dynamodb = boto3.client("dynamodb", endpoint_url=self.url, **access)

    def queue(self, name="q", **attributes):
        answer = self.sqs.create_queue(
            QueueName=name, Attributes={key: str(value) for key, value in attributes.items()}
        )
        return answer["QueueUrl"]

    def table(self, name):
        self.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "message_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "message_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    def items(self, table):
        return {item["message_id"]["S"]: item for item in self.dynamodb.scan(TableName=table)["Items"]}

    def executions(self, table="ledger"):
        return sorted(int(item["executions"]["N"]) for item in self.items(table).values())

    def start(self, service, *arguments, **variables):
        """Start a service; every variable that it is to see is given here."""
        environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        environment |= {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
        environment |= {name: str(value) for name, value in variables.items()}
        return subprocess.Popen(
            [sys.executable, "-m", f"services.{service}", *map(str, arguments)],
            cwd=self.directory, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, service, *arguments, **variables):
        """Run a service to its end; return its exit code, standard output and standard error."""
        with self.start(service, *arguments, **variables) as process:
            try:
                out, err = process.communicate(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return process.returncode, out, err

    def close(self):
        self.sqs.close()
        self.dynamodb.close()


@pytest.fixture
def account(tmp_path):
    with running_endpoint(EndpointConfig(rates=STRICT)) as endpoint:
        account = Account(endpoint, tmp_path)
        yield account
        account.close()
