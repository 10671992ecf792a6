"""The lab's work on a stack elsewhere: it takes and deletes what is its own, and gives up where that takes too long."""

from types import SimpleNamespace

import pytest

from infra.stack.stacks import Stack
from scenarios.errors import UnsuitableError
from scenarios.local.stack_resources import CLEAR_DEADLINE, StackResources
from scenarios.model import DeliveryRates

REGION = "us-west-1"


@pytest.fixture
def resources(sqs, request):
    """Two queues; the endpoint is ours, and counts as another one."""
    urls = [
        sqs.create_queue(QueueName=f"{request.node.name[:40]}-{kind}", Attributes={"VisibilityTimeout": "1"})[
            "QueueUrl"
        ]
        for kind in ("work", "dlq")
    ]
    return SimpleNamespace(queue_url=urls[0], dead_letter_queue_url=urls[1], bucket="", status_table="s")


def hands(endpoint, resources, **options):
    return StackResources(Stack("far", REGION, endpoint.url, None, {}), resources, lambda _: None, **options)


def bodies(sqs, url):
    return [item["Body"] for item in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ())]


def test_what_is_left_is_taken_and_deleted_also_what_was_in_flight(endpoint, resources, sqs):
    sent = {sqs.send_message(QueueUrl=resources.queue_url, MessageBody=body)["MessageId"] for body in "ab"}
    assert len(bodies(sqs, resources.queue_url)) >= 1  # a consumer that died holds it
    taken, held = hands(endpoint, resources).take_what_is_left(lambda _: True)
    assert (set(taken), held) == (sent, 0)
    assert hands(endpoint, resources).counts().total == 0


def test_another_producers_message_is_refused_and_stays_visible(endpoint, resources, sqs):
    sqs.send_message(QueueUrl=resources.queue_url, MessageBody="theirs")
    with pytest.raises(UnsuitableError, match="which no process of this run sent, so nothing can be judged"):
        hands(endpoint, resources).take_what_is_left(lambda message: message.body == "ours")
    assert bodies(sqs, resources.queue_url) == ["theirs"]


def test_dead_letters_of_another_run_stay_as_well(endpoint, resources, sqs):
    sqs.send_message(QueueUrl=resources.dead_letter_queue_url, MessageBody="theirs")
    with pytest.raises(UnsuitableError, match="which no process of this run sent"):
        hands(endpoint, resources).take_dead_letters(lambda _: False)
    assert bodies(sqs, resources.dead_letter_queue_url) == ["theirs"]


class Unwilling:
    """Tables that hold an item for ever, and no queue."""

    def __init__(self):
        self.now, self.asked = 0.0, 0

    def get(self, _service, _region):
        return self

    def get_queue_attributes(self, QueueUrl, AttributeNames):  # noqa: N803 - boto3's names
        return {"Attributes": dict.fromkeys(AttributeNames, "0")}

    def receive_message(self, **_options):
        self.now += 1
        return {}

    def scan(self, TableName, **_options):  # noqa: N803
        return {"Items": [{"message_id": {"S": "a"}}]}

    def batch_write_item(self, RequestItems):  # noqa: N803
        self.now += 10
        self.asked += 1
        return {"UnprocessedItems": RequestItems}


def test_a_table_that_does_not_get_empty_ends_the_reset(monkeypatch):
    tables = Unwilling()
    monkeypatch.setattr("scenarios.local.foreign_queue.DATE_STEP", 0.0)
    names = SimpleNamespace(
        queue_url="http://127.0.0.1:1/0/q",
        dead_letter_queue_url="http://127.0.0.1:1/0/d",
        bucket="",
        status_table="mine",
        side_effects_table="other",
    )
    stack = SimpleNamespace(clients=tables, region=REGION, endpoint_history=None, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(UnsuitableError, match=f"The table mine was not empty within {CLEAR_DEADLINE:g} s; empty it"):
        StackResources(stack, names, lambda _: None, clock=lambda: tables.now).reset(1, DeliveryRates(), fresh=False)
    assert tables.asked == 13
