"""The least-privilege policy allows what the code requests, and nothing more."""

import json
import re
from collections import defaultdict

import boto3
import pytest

from tests.infra.engines.pulumi.labs import CHECKOUT

POLICY = json.loads((CHECKOUT / "docs" / "iam-policy.json").read_text())
ACTIONS = {action for statement in POLICY["Statement"] for action in statement["Action"]}
PLUGIN_ONLY = {
    "dynamodb:DescribeContinuousBackups",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLogging",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListTagsForResource",
    "s3:TagResource",
    "s3:UntagResource",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
    "lambda:GetFunctionCodeSigningConfig",
    "lambda:ListVersionsByFunction",
}
"""What pulumi-aws's own plugin asks of a table, a bucket, a role or a function, beyond what the provider here does."""
PASSED_ON = {"iam:PassRole", "s3:DeleteObjectVersion"}
"""What AWS asks for beside a request: a function is given its role, a delete names a version."""
OURS = {"invoke"}
"""Methods of ours that have the name of one of boto3's: a history's recorder invokes an operation, and no function."""
S3_ACTIONS = {
    # S3 names few of its actions after the operation.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeleteObjects": "s3:DeleteObject",
}
SOURCES = (
    "infra/provider",
    "infra/stack/aws_account.py",
    "infra/stack/left_over.py",
    "infra/commands/validate.py",
    "services/drivers",
    "scenarios/local",
)
BATCHES = {
    # A batch call is allowed by the action of the single one.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    "send_message_batch": "send_message",
    "delete_message_batch": "delete_message",
    "change_message_visibility_batch": "change_message_visibility",
    # A transaction is allowed by the actions of its parts.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    "transact_write_items": "put_item",
}


@pytest.fixture(scope="module")
def operations():
    """boto3's method of each operation, and the actions that allow it: services share some methods' names."""
    found = defaultdict(set)
    for service in ("sqs", "dynamodb", "sts", "s3", "lambda", "iam", "logs"):
        client = boto3.client(service, region_name="us-west-1", aws_access_key_id="a", aws_secret_access_key="b")
        for method, operation in client.meta.method_to_api_mapping.items():
            found[method].add(S3_ACTIONS.get(f"{service}:{operation}", f"{service}:{operation}"))
        client.close()
    return found


def test_every_action_of_the_policy_exists(operations):
    known = set().union(*operations.values())
    assert known >= {action for action in ACTIONS - PASSED_ON if not action.startswith("s3:")}
    assert known >= {action for action in ACTIONS - PLUGIN_ONLY - PASSED_ON if action.startswith("s3:")}


def test_what_the_code_requests_is_allowed_and_nothing_more(operations):
    paths = [
        path
        for source in SOURCES
        for path in ([CHECKOUT / source] if source.endswith(".py") else (CHECKOUT / source).rglob("*.py"))
    ]
    text = "\n".join(path.read_text() for path in paths)
    called = set(re.findall(r"\.([a-z_]+)\b", text)) | set(re.findall(r'get_paginator\("([a-z_]+)"\)', text))
    called -= OURS
    needed = set().union(*(operations[BATCHES.get(method, method)] for method in called if method in operations))
    assert {"sqs:CreateQueue", "sqs:ReceiveMessage", "dynamodb:UpdateItem", "sts:GetCallerIdentity"} <= needed
    assert needed | PLUGIN_ONLY | PASSED_ON == ACTIONS


def test_nothing_but_listing_is_allowed_on_resources_of_others():
    for statement in POLICY["Statement"]:
        if statement["Sid"] == "Mappings":
            # A mapping's name is chosen by AWS, so the function that it invokes is what limits it.
            assert statement["Condition"]["ArnLikeIfExists"]["lambda:FunctionArn"].endswith("sqs-demo-*")
        elif statement["Sid"] == "MappingTags":
            assert all(re.search(r":(ListTags|TagResource|UntagResource)", action) for action in statement["Action"])
        elif statement["Resource"] == "*":
            assert all(
                re.search(r":(List|GetCallerIdentity|DescribeLogGroups)", action) for action in statement["Action"]
            )
        else:
            assert statement["Resource"].endswith("sqs-demo-*")
