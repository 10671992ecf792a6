"""Functions, mappings, roles and log groups: their properties, their whole life, and which change replaces."""

import itertools
import json
import os

import pulumi_aws
import pytest
from pulumi._types import input_type_py_to_pulumi_names, resource_pulumi_to_py_names

from infra.clients import aws_client
from infra.errors import ProviderError
from infra.provider.archives import content_hash, zip_bytes
from infra.provider.aws import HANDLERS, AwsProvider
from infra.provider.event_source_mapping import EventSourceMappingHandler
from infra.provider.function import FunctionHandler
from infra.provider.log_group import LogGroupHandler
from infra.provider.role import RoleHandler, RolePolicyAttachmentHandler, RolePolicyHandler
from infra.provider.values import UNKNOWN, Archive, Asset, from_json, redact, to_json
from infra.provider.wire import from_struct, to_struct
from tests.infra.conftest import REGION

ROLE, POLICY, ATTACHMENT, FUNCTION, MAPPING, GROUP, QUEUE = (
    RoleHandler.resource_type,
    RolePolicyHandler.resource_type,
    RolePolicyAttachmentHandler.resource_type,
    FunctionHandler.resource_type,
    EventSourceMappingHandler.resource_type,
    LogGroupHandler.resource_type,
    "aws:sqs/queue:Queue",
)
SEEDS = itertools.count(10_000)


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


TRUST = policy(Principal={"Service": "lambda.amazonaws.com"}, Action="sts:AssumeRole")
ALLOWED = policy(Action="sqs:*", Resource="*")
MANAGED = "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"


def code_of(text="a"):
    archive = Archive("", None, (("app.py", Asset(f"def handler(event, context):\n    return {text!r}\n")),))
    return Archive(content_hash(archive), None, archive.assets)


def urn(kind, name="thing"):
    return f"urn:pulumi:dev::queue-fundamentals::queueFundamentals:infra:LambdaConsumer${kind}::{name}"


@pytest.fixture(scope="module")
def provider(endpoint):
    provider = AwsProvider(REGION, endpoint_url=endpoint.url)
    yield provider
    provider.close()


@pytest.fixture
def make(provider):
    """Check and create, delete at the end."""
    made = []

    def make(kind, inputs):
        checked = provider.check(urn(kind), {}, inputs, str(next(SEEDS)).encode())
        assert checked.failures == ()
        created = provider.create(urn(kind), checked.inputs)
        made.append((kind, created.id, checked.inputs))
        return checked.inputs, created

    yield make
    for kind, identity, inputs in reversed(made):
        provider.delete(urn(kind), identity, inputs)


@pytest.fixture
def role(make):
    _, created = make(ROLE, {"assumeRolePolicy": TRUST})
    make(POLICY, {"role": created.outputs["name"], "policy": ALLOWED})
    return created.outputs


@pytest.fixture
def function(make, role):
    return make(FUNCTION, {"role": role["arn"], "code": code_of(), "handler": "app.handler", "runtime": "python3.11"})


@pytest.fixture
def queue(make):
    return make(QUEUE, {})[1].outputs


@pytest.fixture
def client(endpoint):
    clients = []

    def of(service):
        clients.append(aws_client(service, endpoint_url=endpoint.url, region=REGION))
        return clients[-1]

    yield of
    for each in clients:
        each.close()


def change(provider, kind, inputs, identity, **changes):
    """Check, diff and update a resource, and return the diff and its outputs."""
    wanted = {key: value for key, value in {**inputs, **changes}.items() if value is not None}
    news = provider.check(urn(kind), inputs, wanted, b"other")
    assert news.failures == ()
    diff = provider.diff(urn(kind), inputs, news.inputs)
    outputs = None if diff.replaces else provider.update(urn(kind), identity, inputs, news.inputs)
    return diff, outputs


@pytest.mark.parametrize(
    ("kind", "cls", "arguments"),
    [
        (ROLE, pulumi_aws.iam.Role, pulumi_aws.iam.RoleArgs),
        (POLICY, pulumi_aws.iam.RolePolicy, pulumi_aws.iam.RolePolicyArgs),
        (ATTACHMENT, pulumi_aws.iam.RolePolicyAttachment, pulumi_aws.iam.RolePolicyAttachmentArgs),
        (FUNCTION, pulumi_aws.lambda_.Function, pulumi_aws.lambda_.FunctionArgs),
        (MAPPING, pulumi_aws.lambda_.EventSourceMapping, pulumi_aws.lambda_.EventSourceMappingArgs),
        (GROUP, pulumi_aws.cloudwatch.LogGroup, pulumi_aws.cloudwatch.LogGroupArgs),
    ],
)
def test_every_property_that_the_provider_knows_is_one_of_pulumi_aws(kind, cls, arguments):
    handler = HANDLERS[kind]
    assert set(handler.schema) <= set(input_type_py_to_pulumi_names(arguments).values())
    assert set(handler.computed) <= set(resource_pulumi_to_py_names(cls))


BASE = {"role": "arn:aws:iam::000000000000:role/r", "code": code_of(), "handler": "a.b", "runtime": "python3.11"}
MAPPED = {"eventSourceArn": "arn:aws:sqs:us-west-1:000000000000:q", "functionName": "f"}


@pytest.mark.parametrize(
    ("kind", "inputs", "named"),
    [
        (FUNCTION, {**BASE, "timeout": 901}, "from 1 to 900"),
        (FUNCTION, {**BASE, "memorySize": 64}, "from 128 to 10240"),
        (FUNCTION, {**BASE, "code": "app.zip"}, "an archive of files"),
        (FUNCTION, {**BASE, "name": "no spaces"}, "1 to 64"),
        (FUNCTION, {**BASE, "environment": {"variables": {"A": 1}}}, "mapping of texts"),
        (FUNCTION, {**BASE, "vpcConfig": {}}, "vpcConfig"),
        (FUNCTION, {"role": "r"}, "code has to be set"),
        (MAPPING, {**MAPPED, "batchSize": 10_001}, "from 1 to 10000"),
        (MAPPING, {**MAPPED, "scalingConfig": {"maximumConcurrency": 1}}, "from 2 to 1000"),
        (MAPPING, {**MAPPED, "filterCriteria": {"filters": [{}]}}, "a list of mappings with pattern"),
        (MAPPING, {**MAPPED, "functionResponseTypes": ["Nonsense"]}, "ReportBatchItemFailures or nothing"),
        (MAPPING, {"functionName": "f"}, "eventSourceArn has to be set"),
        (MAPPING, {**MAPPED, "startingPosition": "LATEST"}, "startingPosition"),
        (ROLE, {"assumeRolePolicy": "no json"}, "an IAM policy as JSON text"),
        (ROLE, {"assumeRolePolicy": TRUST, "name": "no spaces"}, "1 to 64"),
        (GROUP, {"retentionInDays": 2}, "one of 1, 3, 5, 7"),
    ],
)
def test_a_bad_property_is_a_failure_that_says_why(provider, kind, inputs, named):
    failures = provider.check(urn(kind), {}, inputs, b"seed").failures
    assert any(named in failure.reason for failure in failures)


@pytest.mark.parametrize(
    ("kind", "inputs", "changes", "replaces"),
    [
        (FUNCTION, BASE, {"timeout": 5, "handler": "c.d", "description": "x", "code": code_of("b")}, ()),
        (FUNCTION, {**BASE, "name": "one"}, {"name": "two"}, ("name",)),
        (MAPPING, MAPPED, {"batchSize": 5, "functionName": "g", "enabled": False}, ()),
        (MAPPING, MAPPED, {"eventSourceArn": "arn:aws:sqs:us-west-1:000000000000:p"}, ("eventSourceArn",)),
        (ROLE, {"assumeRolePolicy": TRUST}, {"assumeRolePolicy": ALLOWED, "description": "x"}, ()),
        (ROLE, {"assumeRolePolicy": TRUST}, {"path": "/x/"}, ("path",)),
        (POLICY, {"role": "r", "policy": ALLOWED}, {"policy": TRUST}, ()),
        (POLICY, {"role": "r", "policy": ALLOWED}, {"role": "s"}, ("role",)),
        (ATTACHMENT, {"role": "r", "policyArn": MANAGED}, {"policyArn": "other"}, ("policyArn",)),
        (GROUP, {}, {"retentionInDays": 7, "tags": {"a": "1"}}, ()),
        (GROUP, {"name": "/a"}, {"name": "/b"}, ("name",)),
    ],
)
def test_which_change_replaces(provider, kind, inputs, changes, replaces):
    diff = provider.diff(urn(kind), inputs, {**inputs, **changes})
    assert diff.changes == tuple(sorted(changes))
    assert diff.replaces == replaces


@pytest.mark.parametrize(
    ("kind", "inputs", "same"),
    [
        (FUNCTION, BASE, {"timeout": 3, "memorySize": 128, "reservedConcurrentExecutions": -1, "description": ""}),
        (FUNCTION, BASE, {"code": Archive(BASE["code"].hash, "/elsewhere")}),
        (MAPPING, MAPPED, {"batchSize": 10, "enabled": True, "functionResponseTypes": []}),
        (MAPPING, MAPPED, {"functionName": "arn:aws:lambda:us-west-1:000000000000:function:f"}),
        (ROLE, {"assumeRolePolicy": TRUST}, {"assumeRolePolicy": json.dumps(json.loads(TRUST), indent=2), "path": "/"}),
        (GROUP, {}, {"retentionInDays": 0}),
    ],
)
def test_what_means_the_same_is_no_change(provider, kind, inputs, same):
    assert provider.diff(urn(kind), inputs, {**inputs, **same}).changes == ()


def test_a_role_lives_and_changes_in_place(provider, make):
    inputs, created = make(ROLE, {"assumeRolePolicy": TRUST, "tags": {"a": "1", "b": "2"}})
    assert created.outputs["arn"] == f"arn:aws:iam::000000000000:role/{created.id}"
    assert provider.read(urn(ROLE), created.id, inputs).inputs == inputs
    trust = TRUST.replace("lambda", "ec2")
    _, outputs = change(provider, ROLE, inputs, created.id, assumeRolePolicy=trust, description="x", tags={"b": "3"})
    assert json.loads(outputs["assumeRolePolicy"]) == json.loads(trust)
    assert (outputs["description"], outputs["tags"]) == ("x", {"b": "3"})
    assert provider.find(urn(ROLE), inputs) == created.id


def test_policies_come_and_go_with_their_role(provider, make):
    _, role = make(ROLE, {"assumeRolePolicy": TRUST})
    inputs, put = make(POLICY, {"role": role.id, "policy": ALLOWED})
    attached, attachment = make(ATTACHMENT, {"role": role.id, "policyArn": MANAGED})
    assert provider.read(urn(POLICY), put.id, inputs).inputs == inputs
    assert provider.read(urn(ATTACHMENT), attachment.id, attached).inputs == attached
    assert provider.find(urn(ATTACHMENT), attached) == attachment.id
    assert provider.find(urn(POLICY), inputs) == put.id
    other = policy(Action="s3:*", Resource="*")
    _, outputs = change(provider, POLICY, inputs, put.id, policy=other)
    assert json.loads(outputs["policy"]) == json.loads(other)
    with pytest.raises(ProviderError, match="DeleteConflict"):
        provider.delete(urn(ROLE), role.id, {})
    for kind, identity in ((POLICY, put.id), (ATTACHMENT, attachment.id), (ROLE, role.id)):
        provider.delete(urn(kind), identity, {})
        assert provider.read(urn(kind), identity, {}) is None
        provider.delete(urn(kind), identity, {})


def test_a_function_lives_and_changes_in_place(provider, function, client):
    inputs, created = function
    assert provider.read(urn(FUNCTION), created.id, inputs).inputs == inputs
    assert created.outputs["code"] == inputs["code"]
    changes = {
        "code": code_of("b"),
        "timeout": 9,
        "environment": {"variables": {"COLOUR": "red"}},
        "reservedConcurrentExecutions": 5,
        "tags": {"a": "1"},
    }
    diff, outputs = change(provider, FUNCTION, inputs, created.id, **changes)
    assert diff.changes == tuple(sorted(changes))
    assert {key: outputs[key] for key in changes} == changes
    assert outputs["codeSha256"] != created.outputs["codeSha256"]
    answer = client("lambda").invoke(FunctionName=created.id, Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == "b"
    changed = {**inputs, **changes}
    _, back = change(
        provider, FUNCTION, changed, created.id, environment=None, reservedConcurrentExecutions=None, tags=None
    )
    assert "environment" not in back
    assert (back["reservedConcurrentExecutions"], back["tags"]) == (-1, {})
    assert provider.find(urn(FUNCTION), inputs) == created.id
    provider.delete(urn(FUNCTION), created.id, inputs)
    assert provider.read(urn(FUNCTION), created.id, inputs) is None


def test_a_mapping_lives_and_changes_in_place(provider, make, function, queue):
    inputs, created = make(MAPPING, {"eventSourceArn": queue["arn"], "functionName": function[1].id})
    assert created.outputs["state"] == "Enabled"
    assert provider.read(urn(MAPPING), created.id, inputs).inputs == inputs
    changes = {
        "batchSize": 5,
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "scalingConfig": {"maximumConcurrency": 7},
        "filterCriteria": {"filters": [{"pattern": '{"body": ["a"]}'}]},
        "tags": {"a": "1"},
        "enabled": False,
    }
    _, outputs = change(provider, MAPPING, inputs, created.id, **changes)
    assert {key: outputs[key] for key in changes} == changes
    assert outputs["state"] == "Disabled"
    changed = {**inputs, **changes}
    _, back = change(provider, MAPPING, changed, created.id, scalingConfig=None, filterCriteria=None, tags=None)
    assert not {"scalingConfig", "filterCriteria"} & back.keys()
    assert provider.find(urn(MAPPING), inputs) == created.id
    provider.delete(urn(MAPPING), created.id, inputs)
    assert provider.read(urn(MAPPING), created.id, inputs) is None
    assert provider.find(urn(MAPPING), inputs) is None


def test_a_mapping_that_lambda_refuses_is_an_error_that_names_it(provider, make, function):
    short = make(QUEUE, {"visibilityTimeoutSeconds": 1})[1].outputs
    checked = provider.check(
        urn(MAPPING, "late"), {}, {"eventSourceArn": short["arn"], "functionName": function[1].id}, b"s"
    )
    with pytest.raises(
        ProviderError, match=r"late could not be created: .*Queue visibility timeout: 1 seconds is less"
    ):
        provider.create(urn(MAPPING, "late"), checked.inputs)


def test_a_log_group_lives_and_changes_in_place(provider, make):
    inputs, created = make(GROUP, {"retentionInDays": 7, "tags": {"a": "1"}})
    assert created.outputs["arn"].endswith(f":log-group:{created.id}")
    assert provider.read(urn(GROUP), created.id, inputs).inputs == inputs
    _, outputs = change(provider, GROUP, inputs, created.id, retentionInDays=None, tags={"b": "2"})
    assert (outputs["retentionInDays"], outputs["tags"]) == (0, {"b": "2"})
    assert provider.find(urn(GROUP), inputs) == created.id
    provider.delete(urn(GROUP), created.id, inputs)
    assert provider.read(urn(GROUP), created.id, inputs) is None


# Archives


def test_an_archives_hash_follows_its_content_alone(tmp_path):
    (tmp_path / "app.py").write_text("x = 1\n")
    directory = Archive("", str(tmp_path))
    given = Archive("", None, (("app.py", Asset("x = 1\n")),))
    by_path = Archive("", None, (("app.py", Asset(None, str(tmp_path / "app.py"))),))
    assert content_hash(directory) == content_hash(given) == content_hash(by_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "app.pyc").write_bytes(b"0")
    assert content_hash(directory) == content_hash(given)
    (tmp_path / "app.py").write_text("x = 2\n")
    assert content_hash(directory) != content_hash(given)


def test_the_same_content_is_the_same_zip_file_and_executables_stay_so(tmp_path):
    (tmp_path / "bootstrap").write_text("#!/bin/sh\n")
    before = content_hash(Archive("", str(tmp_path)))
    (tmp_path / "bootstrap").chmod(0o755)
    assert content_hash(Archive("", str(tmp_path))) != before
    data = zip_bytes(Archive("", str(tmp_path)))
    os.utime(tmp_path / "bootstrap", (0, 0))
    assert zip_bytes(Archive("", str(tmp_path))) == data
    (tmp_path / "code.zip").write_bytes(data)
    assert zip_bytes(Archive("", str(tmp_path / "code.zip"))) == data


def test_code_that_is_not_there_is_an_error_that_names_it():
    with pytest.raises(ProviderError, match="There is no code at /nonexistent"):
        content_hash(Archive("", "/nonexistent"))
    with pytest.raises(ProviderError, match=r"/nonexistent/app\.py cannot be read"):
        content_hash(Archive("", None, (("app.py", Asset(None, "/nonexistent/app.py")),)))


def test_an_archive_survives_the_wire_and_the_state_file_and_is_shown_by_its_hash(tmp_path):
    for archive in (code_of(), Archive("abcdefgh", str(tmp_path)), Archive("abcdefgh")):
        assert from_struct(to_struct({"code": archive})) == {"code": archive}
        assert from_json(json.loads(json.dumps(to_json(archive)))) == archive
        assert redact(archive) == f"archive {archive.hash[:7]}"


def test_an_archive_without_a_hash_gets_one_on_the_wire(tmp_path):
    (tmp_path / "app.py").write_text("x = 1\n")
    (code,) = from_struct(to_struct({"code": Archive("", str(tmp_path))})).values()
    assert code.hash == content_hash(code)


def test_unknown_properties_wait_for_the_up(provider):
    inputs = {**BASE, "role": UNKNOWN, "environment": {"variables": {"A": UNKNOWN}}}
    assert provider.check(urn(FUNCTION), {}, inputs, b"seed").failures == ()
    mapping = {"eventSourceArn": UNKNOWN, "functionName": UNKNOWN, "filterCriteria": UNKNOWN}
    assert provider.check(urn(MAPPING), {}, mapping, b"seed").failures == ()
