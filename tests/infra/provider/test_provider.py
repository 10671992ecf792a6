import itertools
import json

import pulumi_aws
import pytest

from infra.errors import EndpointError, ProviderError
from infra.provider.aws import (
    HANDLERS,
    PROVIDER_SCHEMA,
    AwsProvider,
    check_provider_config,
    diff_provider_config,
)
from infra.provider.schema import DEFAULTS_KEY
from infra.provider.values import UNKNOWN
from tests.infra.conftest import REGION

QUEUE, POLICY, ALLOW, TABLE, BUCKET = (
    "aws:sqs/queue:Queue",
    "aws:sqs/redrivePolicy:RedrivePolicy",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
    "aws:dynamodb/table:Table",
    "aws:s3/bucket:Bucket",
)
KEYS = {"hashKey": "id", "attributes": [{"name": "id", "type": "S"}], "billingMode": "PAY_PER_REQUEST"}
SEED = b"seed"
SEEDS = itertools.count()
"""No name twice: SQS keeps one back for 60 s after its queue's delete."""


def urn(kind, name="thing"):
    return f"urn:pulumi:dev::queue-fundamentals::queueFundamentals:infra:ScenarioResources${kind}::{name}"


@pytest.fixture
def provider(endpoint):
    provider = AwsProvider(REGION, endpoint_url=endpoint.url)
    yield provider
    provider.close()


@pytest.fixture
def make(provider):
    """Check and create, delete at the end."""
    made = []

    def make(kind, inputs, name="thing"):
        checked = provider.check(urn(kind, name), {}, inputs, str(next(SEEDS)).encode())
        assert checked.failures == ()
        created = provider.create(urn(kind, name), checked.inputs)
        made.append((kind, name, created.id, checked.inputs))
        return checked.inputs, created

    yield make
    for kind, name, identity, inputs in reversed(made):
        provider.delete(urn(kind, name), identity, inputs)


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        (QUEUE, pulumi_aws.sqs.Queue),
        (POLICY, pulumi_aws.sqs.RedrivePolicy),
        (ALLOW, pulumi_aws.sqs.RedriveAllowPolicy),
        (TABLE, pulumi_aws.dynamodb.Table),
        (BUCKET, pulumi_aws.s3.Bucket),
        ("pulumi:providers:aws", pulumi_aws.Provider),
    ],
)
def test_every_property_that_the_provider_knows_is_one_of_pulumi_aws(kind, cls):
    from pulumi._types import input_type_py_to_pulumi_names, resource_pulumi_to_py_names  # noqa: PLC0415

    arguments = {
        QUEUE: pulumi_aws.sqs.QueueArgs,
        POLICY: pulumi_aws.sqs.RedrivePolicyArgs,
        ALLOW: pulumi_aws.sqs.RedriveAllowPolicyArgs,
        TABLE: pulumi_aws.dynamodb.TableArgs,
        BUCKET: pulumi_aws.s3.BucketArgs,
    }.get(kind, pulumi_aws.ProviderArgs)
    inputs = set(input_type_py_to_pulumi_names(arguments).values())
    if kind not in HANDLERS:
        assert set(PROVIDER_SCHEMA) - {"version"} <= inputs
        return
    handler = HANDLERS[kind]
    assert set(handler.schema) <= inputs
    assert set(handler.computed) <= set(resource_pulumi_to_py_names(cls))


def test_an_unknown_type_is_an_error_that_names_it(provider):
    with pytest.raises(ProviderError, match="aws:sns/topic:Topic"):
        provider.check(urn("aws:sns/topic:Topic"), {}, {}, SEED)


@pytest.mark.parametrize(
    ("kind", "inputs", "named"),
    [
        (QUEUE, {"policy": "{}"}, "policy"),
        (QUEUE, {"visibilityTimeoutSeconds": 43201}, "43200"),
        (QUEUE, {"visibilityTimeoutSeconds": "10"}, "whole number"),
        (QUEUE, {"visibilityTimeoutSeconds": True}, "whole number"),
        (QUEUE, {"fifoQueue": "yes"}, "true or false"),
        (QUEUE, {"tags": {"a": 1}}, "mapping of texts"),
        (QUEUE, {"name": "a" * 81}, "80"),
        (QUEUE, {"name": "a.fifo"}, ".fifo"),
        (QUEUE, {"name": "a", "fifoQueue": True}, ".fifo"),
        (QUEUE, {"contentBasedDeduplication": True}, "FIFO queue only"),
        (QUEUE, {"deduplicationScope": "galaxy", "fifoQueue": True}, "messageGroup"),
        (POLICY, {"queueUrl": "http://x/y"}, "redrivePolicy has to be set"),
        (POLICY, {"queueUrl": "http://x/y", "redrivePolicy": "not json"}, "JSON object"),
        (ALLOW, {"queueUrl": "http://x/y", "redriveAllowPolicy": "[]"}, "JSON object"),
        (TABLE, {**KEYS, "billingMode": "PROVISIONED"}, "PAY_PER_REQUEST"),
        (TABLE, {**KEYS, "rangeKey": "other"}, "attributes"),
        (TABLE, {**KEYS, "attributes": [{"name": "id", "type": "Q"}]}, "name and type"),
        (TABLE, {**KEYS, "ttl": {}}, "ttl"),
        (TABLE, {**KEYS, "name": "ab"}, "3 to 255"),
        (BUCKET, {"bucket": "Loud"}, "lower-case"),
        (BUCKET, {"forceDestroy": "yes"}, "true or false"),
        (BUCKET, {"versioning": {}}, "versioning"),
    ],
)
def test_a_bad_property_is_a_failure_that_says_why(provider, kind, inputs, named):
    failures = provider.check(urn(kind), {}, inputs, SEED).failures
    assert any(named in failure.reason for failure in failures)


def test_a_chosen_name_has_seven_hexadecimal_digits_and_fifo_stays_last(provider):
    standard = provider.check(urn(QUEUE, "orders"), {}, {}, SEED).inputs
    fifo = provider.check(urn(QUEUE, "orders"), {}, {"fifoQueue": True}, SEED).inputs
    assert standard["name"].startswith("orders-")
    assert len(standard["name"]) == len("orders-") + 7
    assert int(standard["name"].removeprefix("orders-"), 16) >= 0
    assert fifo["name"] == f"{standard['name']}.fifo"
    assert standard[DEFAULTS_KEY] == ["name"]


def test_a_chosen_name_stays_and_another_seed_chooses_another(provider):
    first = provider.check(urn(TABLE), {}, KEYS, b"a").inputs
    assert provider.check(urn(TABLE), first, KEYS, b"b").inputs["name"] == first["name"]
    assert provider.check(urn(TABLE), {}, KEYS, b"b").inputs["name"] != first["name"]


def test_a_name_of_ones_own_is_not_kept_once_it_is_taken_back(provider):
    own = provider.check(urn(TABLE), {}, {**KEYS, "name": "mine"}, SEED).inputs
    fresh = provider.check(urn(TABLE), own, KEYS, SEED).inputs
    assert fresh["name"] != "mine"
    assert provider.diff(urn(TABLE), own, fresh).replaces == ("name",)


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        (QUEUE, {}, {}, ((), ())),
        (QUEUE, {"visibilityTimeoutSeconds": 5}, {"visibilityTimeoutSeconds": 6}, (("visibilityTimeoutSeconds",), ())),
        (QUEUE, {"visibilityTimeoutSeconds": 30}, {}, ((), ())),
        (QUEUE, {"tags": {"a": "1"}}, {"tags": {"a": "2"}}, (("tags",), ())),
        (QUEUE, {"fifoQueue": False}, {"fifoQueue": True}, (("fifoQueue",), ("fifoQueue",))),
        (QUEUE, {"name": "a"}, {"name": "b"}, (("name",), ("name",))),
        (QUEUE, {"delaySeconds": 1}, {"delaySeconds": UNKNOWN}, (("delaySeconds",), ())),
        (POLICY, {"queueUrl": "a"}, {"queueUrl": UNKNOWN}, (("queueUrl",), ("queueUrl",))),
        (POLICY, {"redrivePolicy": '{"a": 1, "b": "2"}'}, {"redrivePolicy": '{"b":"2","a":"1"}'}, ((), ())),
        (ALLOW, {"redriveAllowPolicy": '{"q": ["x", "y"]}'}, {"redriveAllowPolicy": '{"q": ["y", "x"]}'}, ((), ())),
        (
            ALLOW,
            {"redriveAllowPolicy": '{"q": "x"}'},
            {"redriveAllowPolicy": '{"q": "z"}'},
            (("redriveAllowPolicy",), ()),
        ),
        (TABLE, {"hashKey": "a"}, {"hashKey": "b"}, (("hashKey",), ("hashKey",))),
        (TABLE, {"tags": {"a": "1"}}, {}, (("tags",), ())),
        (BUCKET, {"bucket": "a"}, {"bucket": "b"}, (("bucket",), ("bucket",))),
        (BUCKET, {"forceDestroy": True}, {}, (("forceDestroy",), ())),
        (BUCKET, {}, {"forceDestroy": False}, ((), ())),
    ],
)
def test_which_changes_update_and_which_replace(provider, kind, old, new, expected):
    diff = provider.diff(urn(kind), old, new)
    assert (diff.changes, diff.replaces) == expected


def test_a_name_of_ones_own_would_have_to_be_deleted_before_its_replacement(provider):
    assert provider.diff(urn(TABLE), {"name": "n", "hashKey": "a"}, {"name": "n", "hashKey": "b"}).delete_before_replace


def test_a_queue_goes_through_its_whole_life(provider, make, aws):
    inputs, created = make(QUEUE, {"visibilityTimeoutSeconds": 7, "tags": {"a": "1", "b": "2"}})
    url = created.id
    assert created.outputs["url"] == url
    assert created.outputs["arn"].endswith(inputs["name"])
    assert created.outputs["visibilityTimeoutSeconds"] == 7
    assert created.outputs["messageRetentionSeconds"] == 345_600
    assert created.outputs["region"] == REGION
    assert provider.find(urn(QUEUE), inputs) == url

    changed = {**inputs, "visibilityTimeoutSeconds": 8, "tags": {"b": "3"}}
    outputs = provider.update(urn(QUEUE), url, inputs, changed)
    assert (outputs["visibilityTimeoutSeconds"], outputs["tags"], outputs["tagsAll"]) == (8, {"b": "3"}, {"b": "3"})
    assert provider.read(urn(QUEUE), url, changed).inputs == changed

    unset = {key: value for key, value in changed.items() if key not in ("visibilityTimeoutSeconds", "tags")}
    outputs = provider.update(urn(QUEUE), url, changed, unset)
    assert (outputs["visibilityTimeoutSeconds"], outputs["tags"]) == (30, {})

    provider.delete(urn(QUEUE), url, unset)
    provider.delete(urn(QUEUE), url, unset)
    assert provider.read(urn(QUEUE), url, unset) is None
    assert provider.find(urn(QUEUE), unset) is None


def test_a_fifo_queue_has_its_own_properties(make):
    fifo = {"fifoQueue": True, "contentBasedDeduplication": True, "deduplicationScope": "messageGroup"}
    _, created = make(QUEUE, fifo)
    assert created.id.endswith(".fifo")
    assert {key: created.outputs[key] for key in fifo} == fifo


def test_policies_tie_two_queues_together_and_are_taken_off_again(provider, make):
    _, queue = make(QUEUE, {}, "main")
    _, dead = make(QUEUE, {}, "dead")
    allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue.outputs["arn"]]})
    make(ALLOW, {"queueUrl": dead.id, "redriveAllowPolicy": allow})
    policy = {"deadLetterTargetArn": dead.outputs["arn"], "maxReceiveCount": 3}
    inputs, created = make(POLICY, {"queueUrl": queue.id, "redrivePolicy": json.dumps(policy)})
    assert created.id == queue.id
    assert json.loads(created.outputs["redrivePolicy"]) == policy

    changed = {**inputs, "redrivePolicy": json.dumps({**policy, "maxReceiveCount": 4})}
    provider.update(urn(POLICY), created.id, inputs, changed)
    read = provider.read(urn(POLICY), created.id, changed)
    assert read.inputs == changed
    provider.delete(urn(POLICY), created.id, changed)
    assert provider.read(urn(POLICY), created.id, changed) is None


def test_a_table_goes_through_its_whole_life(provider, make, aws):
    inputs, created = make(
        TABLE,
        {
            **KEYS,
            "rangeKey": "at",
            "attributes": [{"name": "at", "type": "N"}, {"name": "id", "type": "S"}],
            "tags": {"a": "1"},
        },
    )
    assert created.id == inputs["name"] == created.outputs["name"]
    assert (created.outputs["hashKey"], created.outputs["rangeKey"]) == ("id", "at")
    assert aws.dynamodb.describe_table(TableName=created.id)["Table"]["TableStatus"] == "ACTIVE"
    assert provider.read(urn(TABLE), created.id, inputs).inputs == inputs
    changed = {**inputs, "tags": {"b": "2"}}
    assert provider.update(urn(TABLE), created.id, inputs, changed)["tags"] == {"b": "2"}
    provider.delete(urn(TABLE), created.id, changed)
    provider.delete(urn(TABLE), created.id, changed)
    assert provider.read(urn(TABLE), created.id, changed) is None
    assert provider.find(urn(TABLE), changed) is None


def test_a_bucket_goes_through_its_whole_life(provider, make, aws):
    inputs, created = make(BUCKET, {"forceDestroy": True, "tags": {"a": "1"}}, "sqs-demo-Orders")
    name = inputs["bucket"]
    assert created.id == name == created.outputs["bucket"]
    assert name.startswith("sqs-demo-orders-")
    assert len(name) == len("sqs-demo-orders-") + 7
    assert inputs[DEFAULTS_KEY] == ["bucket"]
    assert provider.check(urn(BUCKET), inputs, {}, b"other").inputs["bucket"] == name
    assert (created.outputs["arn"], created.outputs["bucketRegion"]) == (f"arn:aws:s3:::{name}", REGION)
    assert created.outputs["forceDestroy"] is True
    assert provider.find(urn(BUCKET), inputs) == name
    assert provider.read(urn(BUCKET), name, inputs).inputs == inputs

    changed = {**inputs, "tags": {"b": "2"}}
    assert provider.update(urn(BUCKET), name, inputs, changed)["tags"] == {"b": "2"}
    bare = {key: value for key, value in changed.items() if key != "tags"}
    assert provider.update(urn(BUCKET), name, changed, bare)["tags"] == {}

    aws.s3.put_object(Bucket=name, Key="left/behind", Body=b"x")
    with pytest.raises(ProviderError, match="could not be deleted: BucketNotEmpty"):
        provider.delete(urn(BUCKET), name, {**bare, "forceDestroy": False})
    provider.delete(urn(BUCKET), name, bare)
    provider.delete(urn(BUCKET), name, bare)
    assert provider.read(urn(BUCKET), name, bare) is None
    assert provider.find(urn(BUCKET), bare) is None


def test_reading_finds_drift_also_in_what_was_never_set(provider, make, aws):
    inputs, created = make(QUEUE, {"visibilityTimeoutSeconds": 7})
    aws.sqs.set_queue_attributes(QueueUrl=created.id, Attributes={"VisibilityTimeout": "9", "DelaySeconds": "4"})
    read = provider.read(urn(QUEUE), created.id, inputs)
    assert read.inputs == {**inputs, "visibilityTimeoutSeconds": 9, "delaySeconds": 4}
    assert provider.diff(urn(QUEUE), read.inputs, inputs).changes == ("delaySeconds", "visibilityTimeoutSeconds")


def test_a_preview_makes_nothing_and_leaves_open_what_only_aws_can_tell(provider):
    inputs = provider.check(urn(QUEUE), {}, {"delaySeconds": 1}, SEED).inputs
    created = provider.create(urn(QUEUE), inputs, preview=True)
    assert created.id == ""
    assert (created.outputs["url"], created.outputs["arn"], created.outputs["delaySeconds"]) == (UNKNOWN, UNKNOWN, 1)
    assert provider.find(urn(QUEUE), inputs) is None


def test_what_aws_refuses_is_a_sentence_with_its_code(provider, make):
    _, queue = make(QUEUE, {}, "lonely")
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-west-1:000000000000:nowhere", "maxReceiveCount": 1})
    with pytest.raises(ProviderError, match=r"RedrivePolicy lonely could not be created: \S+: "):
        provider.create(urn(POLICY, "lonely"), {"queueUrl": queue.id, "redrivePolicy": policy})


def test_an_update_of_what_is_gone_says_so(provider, make, aws):
    inputs, created = make(QUEUE, {})
    aws.sqs.delete_queue(QueueUrl=created.id)
    with pytest.raises(ProviderError, match="could not be updated"):
        provider.update(urn(QUEUE), created.id, inputs, {**inputs, "delaySeconds": 3})


def test_a_queue_name_that_was_deleted_just_now_is_waited_for(endpoint, aws, monkeypatch):
    waits = []
    provider = AwsProvider(REGION, endpoint_url=endpoint.url, sleep=waits.append)
    inputs = {"name": "again"}
    url = provider.create(urn(QUEUE), inputs).id
    provider.delete(urn(QUEUE), url, inputs)
    with pytest.raises(ProviderError, match="QueueDeletedRecently"):
        provider.create(urn(QUEUE), inputs)
    provider.close()
    assert 60 <= sum(waits) <= 65


def test_an_endpoint_that_is_not_there_is_a_sentence_that_names_it():
    provider = AwsProvider(REGION, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(EndpointError, match=r"http://127\.0\.0\.1:9 does not answer"):
        provider.create(urn(QUEUE), {"name": "a"})
    provider.close()


def test_the_providers_own_configuration_is_checked_and_a_region_replaces_it():
    assert check_provider_config({"region": "us-west-1", "skipRegionValidation": "true"}).failures == ()
    assert [failure.property for failure in check_provider_config({"assumeRoles": "[]"}).failures] == [
        "assumeRoles",
        "region",
    ]
    diff = diff_provider_config({"region": "us-west-1"}, {"region": "eu-west-1"})
    assert diff.replaces == ("region",)


@pytest.mark.parametrize("kind", [TABLE, BUCKET])
def test_a_create_that_is_repeated_after_a_lost_answer_takes_what_the_first_has_made(provider, monkeypatch, kind):
    description = {"hashKey": "k", "attributes": [{"name": "k", "type": "S"}], "billingMode": "PAY_PER_REQUEST"}
    inputs = provider.check(urn(kind), {}, {} if kind == BUCKET else description, SEED).inputs
    handler = HANDLERS[kind]
    create = type(handler).create
    monkeypatch.setattr(
        type(handler), "create", lambda self, *arguments: create(self, *arguments) and create(self, *arguments)
    )
    created = provider.create(urn(kind), inputs)
    assert provider.read(urn(kind), created.id, inputs) is not None
    # A name of the user's own may well be somebody else's.
    own = {key: value for key, value in inputs.items() if key != "__defaults"}
    with pytest.raises(ProviderError, match=r"ResourceInUse|BucketAlready"):
        provider.create(urn(kind), own)
    monkeypatch.undo()
    provider.delete(urn(kind), created.id, inputs)
