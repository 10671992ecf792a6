"""FIFO throughput: 300 calls a second and action, more in high throughput, counted by call and not by message."""

import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.errors import RequestThrottled
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.throughput import CALLS_A_SECOND, HIGH_ELSEWHERE
from tests.localaws.lab import Lab, client_of

FIFO = {"FifoQueue": "true"}
HIGH = {**FIFO, "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}


class Limited(Lab):
    def __post_init__(self):
        super().__post_init__()
        region = getattr(self, "region", "us-west-1")
        self.model = SqsModel(clock=lambda: self.time, rng=self.model._rng, region=region, limits_fifo=True)
        self.model.create_queue("q.fifo", FIFO)

    def calls(self, action="SendMessage", name="q.fifo"):
        """Call until the queue refuses; return how many calls it took."""
        for taken in range(100_000):
            try:
                self.model.admit(name, action)
            except RequestThrottled:
                return taken
        return None


@pytest.fixture
def lab():
    return Limited()


def test_a_fifo_queue_takes_300_calls_of_an_action_in_a_second(lab):
    assert lab.calls() == CALLS_A_SECOND == 300
    lab.wait(0.5)
    assert lab.calls() == 150
    lab.wait(60)
    assert lab.calls() == 300, "what is not used in one second cannot be used in a later one"


def test_each_action_and_each_queue_has_a_limit_of_its_own(lab):
    lab.model.create_queue("other.fifo", FIFO)
    assert lab.calls() == lab.calls("SendMessageBatch") == lab.calls("ReceiveMessage") == lab.calls(name="other.fifo")
    assert lab.calls() == 0


def test_actions_on_queues_themselves_and_standard_queues_have_no_such_limit(lab):
    lab.model.create_queue("q")
    assert lab.calls("GetQueueAttributes") is None
    assert lab.calls(name="q") is None


@pytest.mark.parametrize(("region", "most"), [("us-west-1", HIGH_ELSEWHERE), ("eu-west-1", 70_000)])
def test_high_throughput_is_the_regions(region, most):
    model = SqsModel(clock=lambda: 1.0, rng=Lab().model._rng, region=region, limits_fifo=True)
    model.create_queue("q.fifo", HIGH)
    for _ in range(most):
        model.admit("q.fifo", "SendMessage")
    with pytest.raises(RequestThrottled):
        model.admit("q.fifo", "SendMessage")


def test_a_queue_that_is_made_anew_has_all_of_its_calls(lab):
    lab.calls()
    lab.model.delete_queue("q.fifo")
    lab.wait(60.5)
    lab.model.create_queue("q.fifo", FIFO)
    assert lab.calls() == 300


def test_without_the_limit_no_call_is_counted():
    lab = Lab()
    lab.model.create_queue("q.fifo", FIFO)
    for _ in range(1_000):
        lab.model.admit("q.fifo", "SendMessage")


def test_a_client_sees_the_throttle_by_its_code_and_a_batch_is_one_call():
    # A slow clock: the whole test is within a second of it.
    with running_endpoint(EndpointConfig(limits_fifo=True, speed=0.001)) as endpoint:
        sqs = client_of(endpoint, "sqs")
        url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        entries = [{"Id": str(n), "MessageBody": "x", "MessageGroupId": "g"} for n in range(10)]
        for call in range(30):
            named = [{**entry, "MessageDeduplicationId": f"{call}-{entry['Id']}"} for entry in entries]
            assert len(sqs.send_message_batch(QueueUrl=url, Entries=named)["Successful"]) == 10
        message = {"MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
        for _ in range(300):
            sqs.send_message(QueueUrl=url, **message)
        with pytest.raises(sqs.exceptions.RequestThrottled) as refused:
            sqs.send_message(QueueUrl=url, **message)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        sqs.close()
