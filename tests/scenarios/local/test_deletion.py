"""What a fault deletes for good is gone for all, and is made again as it was once the run is over."""

import contextlib
import json
from types import SimpleNamespace

import pytest

from infra.clients import aws_client
from infra.stack.stacks import Stack
from scenarios.errors import UnsuitableError
from scenarios.local.lab import SubprocessLab
from scenarios.local.stack_resources import StackResources
from services.faults import Fault

REGION = "us-west-1"
TABLE = "deletion-status"
#: What tells when something was made, and so differs.
TIMES = ("CreatedTimestamp", "LastModifiedTimestamp")


@pytest.fixture
def dynamodb(endpoint):
    with contextlib.closing(aws_client("dynamodb", endpoint_url=endpoint.url, region=REGION)) as client:
        yield client


@pytest.fixture
def hands(endpoint, sqs, dynamodb, tmp_path, request):
    name = request.node.name[:40]
    target = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=target, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})
    url = sqs.create_queue(
        QueueName=name, Attributes={"VisibilityTimeout": "7", "RedrivePolicy": redrive}, tags={"of": "the lab"}
    )["QueueUrl"]
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "message_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "message_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "of", "Value": "the lab"}],
    )
    dynamodb.update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True}
    )
    resources = SimpleNamespace(
        queue_url=url, queue_name=name, dead_letter_queue_url=target, bucket="", status_table=TABLE
    )
    yield StackResources(Stack("mine", REGION, endpoint.url, tmp_path / "history", {}), resources, lambda _: None)
    dynamodb.delete_table(TableName=TABLE)


def of_queue(sqs, url):
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {name: value for name, value in told.items() if name not in TIMES}, sqs.list_queue_tags(QueueUrl=url)["Tags"]


def of_table(dynamodb):
    table = dynamodb.describe_table(TableName=TABLE)["Table"]
    tags = dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    lives = dynamodb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    return table["KeySchema"], table["BillingModeSummary"]["BillingMode"], tags, lives


def test_a_deleted_queue_is_gone_and_is_made_again_as_it_was_and_empty(hands, sqs):
    url = hands._resources.queue_url
    sqs.send_message(QueueUrl=url, MessageBody="lost with its queue")
    sqs.receive_message(QueueUrl=url)
    before = of_queue(sqs, url)
    hands.deletion.delete("queue")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.receive_message(QueueUrl=url)
    hands.give_back()
    hands.give_back()
    attributes, tags = of_queue(sqs, url)
    assert (attributes | {"ApproximateNumberOfMessagesNotVisible": "1"}, tags) == before
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_deleted_table_is_gone_and_is_made_again_as_it_was_and_empty(hands, dynamodb):
    dynamodb.put_item(TableName=TABLE, Item={"message_id": {"S": "a"}})
    before = of_table(dynamodb)
    hands.deletion.delete("store")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.scan(TableName=TABLE)
    hands.give_back()
    assert of_table(dynamodb) == before
    assert dynamodb.scan(TableName=TABLE)["Count"] == 0


def lab(*, embedded=True, functions=None):
    return SimpleNamespace(
        _stack_resources=SimpleNamespace(embedded=embedded),
        _setup=SimpleNamespace(stack=SimpleNamespace(name="mine")),
        _functions=functions,
        _to_delete=set(),
    )


@pytest.mark.parametrize(
    ("where", "reach", "sentence"),
    [
        ({"embedded": False}, "store", "is deleted at the embedded endpoint alone, and the stack mine has another one"),
        ({"functions": ()}, "queue", "The queue of a Lambda handler cannot be deleted while its event source mapping"),
    ],
)
def test_what_could_not_be_deleted_is_refused_before_a_consumer_starts(where, reach, sentence):
    with pytest.raises(UnsuitableError, match=sentence):
        SubprocessLab._expect_deletion(lab(**where), [Fault("deleted-resource", "Claim", reach=reach)])


def test_what_can_be_deleted_is_expected_and_nothing_else():
    here = lab(functions=())
    SubprocessLab._expect_deletion(here, [Fault("deleted-resource", "Claim", reach="store"), Fault("crash", "Claim")])
    assert here._to_delete == {"store"}
