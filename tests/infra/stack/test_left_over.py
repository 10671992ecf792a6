"""What carries a stack's tags is found by every service that a stack can have something of."""

import io
import json
import zipfile

import pytest
from botocore.exceptions import ClientError

from infra.clients import aws_client
from infra.errors import ProviderError
from infra.stack import left_over
from infra.stack.left_over import find_left_over
from tests.infra.conftest import REGION

TAGS = {"project": "sqs-demo", "stack": "lost"}
PAIRS = [{"Key": key, "Value": value} for key, value in TAGS.items()]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
NAME = "sqs-demo-lost-consumer"


def find(endpoint, stack="lost"):
    return find_left_over("sqs-demo", stack, REGION, endpoint_url=endpoint.url)


@pytest.fixture
def client(endpoint):
    made = {}

    def of(service):
        if service not in made:
            made[service] = aws_client(service, endpoint_url=endpoint.url, region=REGION)
        return made[service]

    yield of
    for each in made.values():
        each.close()


def make_lambda_consumer(client, name=NAME, tags=TAGS):
    """A function with its role and log group, as a Lambda consumer has them; return what takes them away again."""
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=pairs)["Role"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", "def handler(event, context):\n    return None\n")
    client("lambda").create_function(
        FunctionName=name,
        Role=role["Arn"],
        Runtime="python3.12",
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
        Tags=tags,
    )
    client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}", tags=tags)

    def remove():
        client("lambda").delete_function(FunctionName=name)
        client("iam").delete_role(RoleName=name)
        client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")

    return remove


def test_functions_roles_and_log_groups_are_found_by_their_tags(endpoint, client):
    before = find(endpoint)
    remove = make_lambda_consumer(client)
    try:
        assert set(find(endpoint)) - set(before) == {NAME, f"/aws/lambda/{NAME}"}
        assert find(endpoint).count(NAME) == 2, "the function and its role"
        assert find(endpoint, "other") == ()
    finally:
        remove()
    assert find(endpoint) == before


def test_a_name_without_the_tags_is_anothers(endpoint, client):
    before = find(endpoint)
    remove = make_lambda_consumer(client, tags={"project": "sqs-demo", "stack": "another"})
    try:
        assert find(endpoint) == before
    finally:
        remove()


def refused(code, status=400):
    def find(_client, _prefix):
        raise ClientError(
            {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "x"
        )
        yield

    return find


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDenied", 403), ("UnknownOperationException", 400), ("InternalFailure", 501), ("404", 404)],
)
def test_credentials_and_endpoints_that_have_no_lambda_have_nothing_of_it(endpoint, monkeypatch, code, status):
    searches = [
        each._replace(find=refused(code, status)) if not each.everywhere else each for each in left_over.SEARCHES
    ]
    monkeypatch.setattr(left_over, "SEARCHES", searches)
    assert find(endpoint, "none") == ()


def test_what_every_stack_has_must_be_told(endpoint, monkeypatch):
    searches = [each._replace(find=refused("AccessDenied", 403)) for each in left_over.SEARCHES[:1]]
    monkeypatch.setattr(left_over, "SEARCHES", searches)
    with pytest.raises(ProviderError, match="Whether anything of stack none is left cannot be told: AccessDenied: no"):
        find(endpoint, "none")


def test_a_service_that_fails_for_another_reason_is_no_proof_of_nothing(endpoint, monkeypatch):
    searches = [each._replace(find=refused("ThrottlingException")) for each in left_over.SEARCHES[-1:]]
    monkeypatch.setattr(left_over, "SEARCHES", searches)
    with pytest.raises(ProviderError, match="cannot be told: ThrottlingException"):
        find(endpoint, "none")
