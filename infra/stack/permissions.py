"""Which of the permissions that a stack on AWS needs are missing: simulated where IAM allows that, else by dry calls.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.clients import Login, aws_client
from infra.stack.aws_account import Identity

POLICY = Path(__file__).resolve().parents[2] / "docs" / "iam-policy.json"
"""What the commands and the scenarios need."""
POLICY_PROJECT = "sqs-demo"
_ASSUMED_ROLE = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.*")
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|AuthorizationError|NotAuthorized|Forbidden|403")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What was found.

    Attributes:
        missing: The actions that are denied.
        asked: How many actions were looked at.
        simulated: Whether IAM has simulated all of them; else only those were tried that change nothing.
    """

    missing: tuple[str, ...]
    asked: int
    simulated: bool

    def __str__(self) -> str:
        how = (
            f"IAM has simulated {self.asked} actions"
            if self.simulated
            else f"IAM allows no simulation; {self.asked} calls that change nothing were tried, the rest is unknown"
        )
        return f"{how}; denied: {', '.join(self.missing)}" if self.missing else how


def find_missing_permissions(identity: Identity, project: str, region: str, login: Login) -> Permissions:
    """Find out which permissions are missing.

    Args:
        identity: Whose permissions.
        project: The value of ``projectName``, with which all names begin.
        region: The region.
        login: Whose credentials ask.
    """
    from botocore import exceptions  # noqa: PLC0415 - heavy

    client = aws_client("iam", endpoint_url=None, region=region, login=login)
    try:
        return _simulate(client, identity, project, region)
    except exceptions.ClientError:
        return _try(project, lambda service: aws_client(service, endpoint_url=None, region=region, login=login))
    finally:
        client.close()


def _simulate(iam: Any, identity: Identity, project: str, region: str) -> Permissions:
    role = _ASSUMED_ROLE.fullmatch(identity.arn)
    source = f"arn:{role['partition']}:iam::{role['account']}:role/{role['role']}" if role else identity.arn
    missing, asked = set(), 0
    for statement in json.loads(POLICY.read_text(encoding="utf-8"))["Statement"]:
        if "Condition" in statement:
            continue  # it holds for requests with a context that a simulation does not have
        resource = statement["Resource"].replace(f"{POLICY_PROJECT}-*", f"{project}-preflight")
        concrete = resource.replace(":*:*:", f":{region}:{identity.account}:").replace(
            "iam::*:", f"iam::{identity.account}:"
        )
        asked += len(statement["Action"])
        request = {
            "PolicySourceArn": source,
            "ActionNames": statement["Action"],
            "ResourceArns": [concrete if "*" not in concrete else "*"],
        }
        for page in iam.get_paginator("simulate_principal_policy").paginate(**request):
            for result in page["EvaluationResults"]:
                if result["EvalDecision"] != "allowed":
                    missing.add(result["EvalActionName"])
    return Permissions(tuple(sorted(missing)), asked, simulated=True)


def _try(project: str, make: Callable[[str], Any]) -> Permissions:
    missing, asked = [], 0
    for service, calls in _dry_calls(f"{project}-preflight"):
        client = make(service)
        try:
            for action, call in calls:
                asked += 1
                if _is_denied(client, call):
                    missing.append(action)
        finally:
            client.close()
    return Permissions(tuple(missing), asked, simulated=False)


def _dry_calls(name: str) -> Iterator[tuple[str, tuple[tuple[str, Callable[[Any], Any]], ...]]]:
    """Calls about what is not there: they change nothing, and are denied before they do not find it."""
    yield (
        "sqs",
        (
            ("sqs:ListQueues", lambda sqs: sqs.list_queues(MaxResults=1)),
            ("sqs:GetQueueUrl", lambda sqs: sqs.get_queue_url(QueueName=name)),
        ),
    )
    yield (
        "dynamodb",
        (
            ("dynamodb:ListTables", lambda dynamodb: dynamodb.list_tables(Limit=1)),
            ("dynamodb:DescribeTable", lambda dynamodb: dynamodb.describe_table(TableName=name)),
        ),
    )
    yield "s3", (("s3:ListAllMyBuckets", lambda s3: s3.list_buckets()),)


def _is_denied(client: Any, call: Callable[[Any], Any]) -> bool:
    try:
        call(client)
    except client.exceptions.ClientError as error:
        return _DENIED.search(error.response["Error"]["Code"]) is not None
    return False
