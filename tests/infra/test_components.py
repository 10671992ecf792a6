"""The settings of the components reach what is really made, change in place, and can be taken back."""

import pulumi
import pulumi_aws as aws_sdk
import pytest

from infra.components import IdempotencyTables, IdempotencyTablesArgs, QueueWithDeadLetters, QueueWithDeadLettersArgs
from infra.errors import DeploymentError
from tests.infra.conftest import REGION

TAGS = {"team": "payments"}


def program(*, fifo=False, tables=None, **queue):
    def declare():
        options = pulumi.ResourceOptions(provider=aws_sdk.Provider("aws", region=REGION))
        name = f"sqs-demo-{pulumi.get_stack()}-orders"
        made = QueueWithDeadLetters(
            name,
            QueueWithDeadLettersArgs(
                fifo=fifo, visibility_timeout=5, receive_wait=1, max_receive_count=3, tags=TAGS, **queue
            ),
            opts=options,
        )
        kept = IdempotencyTables(name, IdempotencyTablesArgs(tags=TAGS, **(tables or {})), opts=options)
        pulumi.export("urls", [made.queue.url, made.dead_letter_queue.url])
        pulumi.export("tables", [kept.status.name, kept.side_effects.name])

    return declare


def test_the_settings_of_a_queue_reach_it_change_in_place_and_can_be_taken_back(lab):
    settings = {
        "retention": 3600,
        "dead_letter_retention": 7200,
        "delivery_delay": 7,
        "max_message_size": 2048,
        "content_based_deduplication": True,
        "kms_key": "alias/orders",
        "kms_data_key_reuse": 120,
    }
    outputs = lab.engine(program(fifo=True, **settings)).up().outputs
    queue, dead = (lab.attributes(url) for url in outputs["urls"])
    assert queue == queue | {
        "MessageRetentionPeriod": "3600",
        "DelaySeconds": "7",
        "MaximumMessageSize": "2048",
        "ContentBasedDeduplication": "true",
        "KmsMasterKeyId": "alias/orders",
        "KmsDataKeyReusePeriodSeconds": "120",
    }
    assert (dead["MessageRetentionPeriod"], dead["KmsMasterKeyId"]) == ("7200", "alias/orders")
    assert lab.aws.sqs.list_queue_tags(QueueUrl=outputs["urls"][0])["Tags"] == TAGS
    assert lab.engine(program(fifo=True, **settings)).up().changes == []
    assert lab.engine(program(fifo=True, **settings)).refresh().changes == []

    plan = lab.engine(program(fifo=True)).up()
    assert {step.operation.value for step in plan.changes if step.type == "aws:sqs/queue:Queue"} == {"update"}
    queue = lab.attributes(outputs["urls"][0])
    assert (queue["DelaySeconds"], queue["ContentBasedDeduplication"]) == ("0", "false")
    assert not queue.get("KmsMasterKeyId")
    assert lab.engine(program(fifo=True)).up().changes == []


def test_items_of_the_status_table_expire_where_that_is_asked_for_and_the_ledgers_never(lab):
    with_ttl = program(tables={"time_to_live": "expires_at"})
    status, ledger = lab.engine(with_ttl).up().outputs["tables"]

    def ttl(table):
        return lab.aws.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]

    assert ttl(status) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    assert ttl(ledger)["TimeToLiveStatus"] == "DISABLED"
    assert lab.engine(with_ttl).up().changes == []
    (step,) = [step for step in lab.engine(program()).up().changes if step.type == "aws:dynamodb/table:Table"]
    assert (step.operation.value, step.changes) == ("update", ("ttl",))
    assert ttl(status)["TimeToLiveStatus"] == "DISABLED"
    assert lab.engine(program()).up().changes == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tables": {"kms_key": "arn:aws:kms:us-west-1:1:key/k"}}, "serverSideEncryption"),
        ({"retention": 59}, "messageRetentionSeconds must be from 60 to 1209600"),
        ({"delivery_delay": 901}, "delaySeconds must be from 0 to 900"),
        ({"content_based_deduplication": True}, "contentBasedDeduplication can be set on a FIFO queue only"),
        ({"kms_key": "k", "kms_data_key_reuse": 59}, "kmsDataKeyReusePeriodSeconds must be from 60"),
    ],
)
def test_what_the_local_provider_does_not_have_or_takes_is_refused_by_name(lab, settings, named):
    with pytest.raises(DeploymentError, match=named):
        lab.engine(program(**settings)).up()
