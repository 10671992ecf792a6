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
_OF_ONE_ENDPOINT = frozenset({"LastModified", "RevisionId", "UUID", "EventSourceMappingArn"})
"""What no two endpoints have in common, of functions and mappings."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
"""By which Pulumi's state marks an archive; each engine has a hash of its own for one."""


@dataclass(frozen=True)
class Endpoint:
    url: str
    sqs: Any
    dynamodb: Any
    s3: Any
    lambda_: Any
    iam: Any
    logs: Any

    def clients(self):
        return [self.sqs, self.dynamodb, self.s3, self.lambda_, self.iam, self.logs]

    def functions(self, prefix):
        names = [function["FunctionName"] for function in self.lambda_.list_functions()["Functions"]]
        return [name for name in names if name.startswith(prefix)]

    def roles(self, prefix):
        return [role["RoleName"] for role in self.iam.list_roles()["Roles"] if role["RoleName"].startswith(prefix)]

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
        self._add_functions(prefix, found)
        return comparable(found)

    def _add_functions(self, prefix, found):
        """Add functions with what makes them consumers: their mappings, roles and log groups."""
        for name in self.functions(prefix):
            read = self.lambda_.get_function(FunctionName=name)
            mappings = self.lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
            found[f"function {name}"] = {
                "configuration": {
                    key: value for key, value in read["Configuration"].items() if key not in _OF_ONE_ENDPOINT
                },
                "tags": read.get("Tags", {}),
                "mappings": [
                    {key: value for key, value in mapping.items() if key not in _OF_ONE_ENDPOINT}
                    for mapping in mappings
                ],
            }
        for name in self.roles(prefix):
            policies = self.iam.list_role_policies(RoleName=name)["PolicyNames"]
            found[f"role {name}"] = {
                "trust": self.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"],
                "policies": {
                    policy: self.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                    for policy in policies
                },
                "tags": self.iam.list_role_tags(RoleName=name)["Tags"],
            }
        groups = self.logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{prefix}")["logGroups"]
        for group in groups:
            found[f"log group {group['logGroupName']}"] = group.get("retentionInDays")


def comparable(value):
    """The same value without the random ends of names and without ports."""
    text = json.dumps(_without_archive_hashes(value), sort_keys=True)
    return json.loads(_UUID.sub("uuid", _PORT.sub("127.0.0.1:port", _SUFFIX.sub("-suffix", text))))


def _without_archive_hashes(value):
    """The same value; of two engines' archives only the content compares, and that is the same code's digest at AWS."""
    if isinstance(value, dict):
        parts = {key: _without_archive_hashes(part) for key, part in value.items()}
        if _ARCHIVE in value.values():
            parts.pop("hash", None)
            parts.pop("assets", None)
        return parts
    return [_without_archive_hashes(part) for part in value] if isinstance(value, list | tuple) else value


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
