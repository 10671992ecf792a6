"""A stack of each engine that tests deploy to, and what there is of it afterwards, in a form that can be compared."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.engines.embedded.engine import EmbeddedEngine
from infra.engines.engine import Deployment
from infra.engines.pulumi.engine import PulumiEngine, PulumiSettings
from infra.engines.state import read_snapshot
from infra.provider.values import to_json

CHECKOUT = Path(__file__).parents[4]
PROJECT = "queue-fundamentals"
REGION = "us-west-1"
_SUFFIX = re.compile(r"-[0-9a-f]{7}(?=\.fifo|\W|$)")
_PORT = re.compile(r"127\.0\.0\.1:\d+")
_TIMES = frozenset({"CreatedTimestamp", "LastModifiedTimestamp"})


@dataclass(frozen=True)
class Endpoint:
    url: str
    sqs: Any
    dynamodb: Any
    s3: Any

    def queues(self, prefix):
        return self.sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", [])

    def tables(self, prefix):
        pages = self.dynamodb.get_paginator("list_tables").paginate()
        return [name for page in pages for name in page["TableNames"] if name.startswith(prefix)]

    def buckets(self, prefix):
        return [item["Name"] for item in self.s3.list_buckets()["Buckets"] if item["Name"].startswith(prefix.lower())]

    def contents(self, prefix):
        """Every queue, table and bucket whose name begins so, without what two endpoints cannot have in common."""
        found = {}
        for url in self.queues(prefix):
            attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            found[url] = {
                "attributes": {key: value for key, value in attributes.items() if key not in _TIMES},
                "tags": self.sqs.list_queue_tags(QueueUrl=url).get("Tags", {}),
            }
        for name in self.tables(prefix):
            table = self.dynamodb.describe_table(TableName=name)["Table"]
            tags = self.dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
            found[name] = {
                "keys": table["KeySchema"],
                "attributes": table["AttributeDefinitions"],
                "billing": table.get("BillingModeSummary", {}).get("BillingMode"),
                "tags": {tag["Key"]: tag["Value"] for tag in tags},
            }
        for name in self.buckets(prefix):
            try:
                tags = self.s3.get_bucket_tagging(Bucket=name)["TagSet"]
            except self.s3.exceptions.ClientError:
                tags = []
            found[f"bucket {name}"] = {"tags": {tag["Key"]: tag["Value"] for tag in tags}}
        return comparable(found)


def comparable(value):
    """The same value without the random ends of names and without ports."""
    text = json.dumps(value, sort_keys=True)
    return json.loads(_PORT.sub("127.0.0.1:port", _SUFFIX.sub("-suffix", text)))


def steps(plan):
    """What a plan does, without the order, which depends on threads."""
    return sorted((step.operation.value, step.urn, step.changes) for step in plan.steps)


class EmbeddedLab:
    """Stacks that the embedded engine deploys."""

    def __init__(self, endpoint, directory):
        self.endpoint = endpoint
        self.directory = directory
        self.warnings = []

    def engine(self, stack, program, **config):
        deployment = Deployment(PROJECT, stack, program, as_pulumi_config(config), self.endpoint.url)
        path = self.directory / stack / "state.json"
        return EmbeddedEngine(deployment, path, endpoint_identity="one", warn=self.warnings.append)

    def resources(self, stack):
        """The state's resources by URN: their inputs and outputs."""
        snapshot = read_snapshot(self.directory / stack / "state.json")
        return comparable(
            {entry.urn: [to_json(entry.inputs), to_json(entry.outputs), entry.parent] for entry in snapshot.resources}
        )


class PulumiLab:
    """Stacks that the real engine deploys, in a project's directory of their own with a backend of their own."""

    def __init__(self, endpoint, directory):
        self.endpoint = endpoint
        self.directory = directory
        self.warnings = []
        (directory / "backend").mkdir(parents=True)
        (directory / "infra").mkdir()
        shutil.copy(CHECKOUT / "Pulumi.yaml", directory)
        self.settings = PulumiSettings(
            directory,
            f"file://{directory / 'backend'}",
            environment={"PULUMI_CONFIG_PASSPHRASE": "made up", "PULUMI_HOME": str(directory / "home")},
        )

    def engine(self, stack, program, **config):
        path = self.directory / f"Pulumi.{stack}.yaml"
        salt = (
            [line for line in path.read_text().splitlines() if line.startswith("encryptionsalt")]
            if path.exists()
            else []
        )
        path.write_text("\n".join([*salt, json.dumps({"config": as_pulumi_config(config)})[1:-1]]) + "\n")
        deployment = Deployment(PROJECT, stack, program, endpoint_url=self.endpoint.url)
        return PulumiEngine(deployment, self.settings, warn=self.warnings.append)

    def resources(self, stack):
        path = self.directory / "backend" / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"
        entries = json.loads(path.read_text())["checkpoint"]["latest"]["resources"]
        return comparable(
            {
                entry["urn"]: [_own(entry.get("inputs", {})), _own(entry.get("outputs", {})), entry.get("parent", "")]
                for entry in entries
            }
        )


def _own(properties):
    """Without what the real engine adds to a provider's: which plugin it takes."""
    return {key: value for key, value in properties.items() if key not in ("version", "__internal")}


def as_pulumi_config(config):
    return {f"{PROJECT}:{key}": str(value) for key, value in config.items()}
