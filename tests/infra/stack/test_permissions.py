"""What is asked before work on AWS: which permissions are missing, and what the work costs."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.clients import Login
from infra.config import ProgramConfig
from infra.provider.bucket import BucketHandler
from infra.stack.aws_account import PLUGIN_POLLS_A_QUEUE, Identity, estimate
from infra.stack.permissions import POLICY, find_missing_permissions

USER = Identity("123456789012", "arn:aws:iam::123456789012:user/ada")
ROLE = Identity("123456789012", "arn:aws:sts::123456789012:assumed-role/deploy/ada")


def denied(operation, code="AccessDenied"):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


class FakeIam:
    """IAM's simulation, which denies some actions; or is itself denied."""

    def __init__(self, *, denies=(), allowed=True):
        self.denies = denies
        self.allowed = allowed
        self.requests = []

    def get_paginator(self, name):
        assert name == "simulate_principal_policy"
        return self

    def paginate(self, **request):
        if not self.allowed:
            raise denied("SimulatePrincipalPolicy")
        self.requests.append(request)
        yield {
            "EvaluationResults": [
                {"EvalActionName": name, "EvalDecision": "implicitDeny" if name in self.denies else "allowed"}
                for name in request["ActionNames"]
            ]
        }

    def close(self):
        pass


class FakeService:
    """A service that answers each call as it is told to."""

    class exceptions:  # noqa: N801 - boto3's own name
        ClientError = ClientError

    def __init__(self, codes):
        self.codes = codes

    def __getattr__(self, operation):
        def call(**_):
            if operation in self.codes:
                raise denied(operation, self.codes[operation])
            return {}

        return call

    def close(self):
        pass


@pytest.fixture
def aws(monkeypatch):
    services = {}
    monkeypatch.setattr("infra.stack.permissions.aws_client", lambda service, **_: services[service])
    return services


def test_iam_simulates_every_action_on_the_stacks_own_names(aws):
    aws["iam"] = FakeIam()
    found = find_missing_permissions(ROLE, "my-queues", "us-west-1", Login())
    assert (found.missing, found.simulated) == ((), True)
    requests = aws["iam"].requests
    assert {request["PolicySourceArn"] for request in requests} == {"arn:aws:iam::123456789012:role/deploy"}
    assert ["arn:aws:sqs:us-west-1:123456789012:my-queues-preflight"] in [each["ResourceArns"] for each in requests]
    actions = [
        action
        for statement in json.loads(POLICY.read_text())["Statement"]
        if "Condition" not in statement
        for action in statement["Action"]
    ]
    assert [name for request in requests for name in request["ActionNames"]] == actions
    assert found.asked == len(actions)


def test_what_the_simulation_denies_is_named(aws):
    aws["iam"] = FakeIam(denies=("sqs:CreateQueue", "s3:PutObject"))
    found = find_missing_permissions(USER, "sqs-demo", "us-west-1", Login())
    assert found.missing == ("s3:PutObject", "sqs:CreateQueue")
    assert "denied: s3:PutObject, sqs:CreateQueue" in str(found)


def test_where_no_simulation_is_allowed_calls_that_change_nothing_are_tried(aws):
    aws |= {
        "iam": FakeIam(allowed=False),
        "sqs": FakeService({"get_queue_url": "AWS.SimpleQueueService.NonExistentQueue"}),
        "dynamodb": FakeService({"describe_table": "AccessDeniedException", "list_tables": "ThrottlingException"}),
        "s3": FakeService({}),
    }
    found = find_missing_permissions(USER, "sqs-demo", "us-west-1", Login())
    assert (found.missing, found.simulated) == (("dynamodb:DescribeTable",), False)
    assert "the rest is unknown" in str(found)


def test_the_estimate_is_in_money_and_counts_the_plugins_polls_and_s3(monkeypatch):
    one, bucket = (ProgramConfig(scenarios=(name,)) for name in ("happy", "large-payload"))
    with_plugin, without = estimate(one), estimate(one, plugin=False)
    assert with_plugin.sqs - without.sqs == 2 * PLUGIN_POLLS_A_QUEUE
    assert with_plugin.deployment == pytest.approx(with_plugin.sqs * 0.40e-6)
    assert (with_plugin.s3, estimate(bucket).s3) == (0, 25)
    assert estimate(bucket).deployment - with_plugin.deployment == pytest.approx(25 * 5e-6)
    assert estimate(one, messages=1_000_000).run == pytest.approx(1.5 + 3 * 0.625 + 0.125)
    assert (with_plugin.polls, estimate(ProgramConfig(queue_receive_wait=0)).polls) == (360, 3600)
    assert "0.0000 USD to make and delete everything (92 requests of SQS, 0 of S3)" in str(with_plugin)


def test_a_bucket_with_versions_is_emptied_of_all_of_them(aws, request):
    s3 = request.getfixturevalue("endpoint_s3")
    s3.create_bucket(Bucket="versions", CreateBucketConfiguration={"LocationConstraint": "us-west-1"})
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        s3.put_object(Bucket="versions", Key="k", Body=body)
    s3.delete_object(Bucket="versions", Key="k")
    BucketHandler().delete(s3, "versions", {"forceDestroy": True})
    assert "versions" not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


@pytest.fixture
def endpoint_s3(endpoint):
    client = boto3.client(
        "s3", endpoint_url=endpoint.url, region_name="us-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    yield client
    client.close()
