"""What SQS refuses as a whole, the simulation refuses too: with the same code and the same words, and for good."""

import boto3
import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from scenarios.lab import QueueInfo
from scenarios.simulation.choices import DrawnChoices
from scenarios.simulation.world import Setting, World, names_for
from services.batches import MAX_BYTES, MAX_ENTRIES
from services.drivers.aws import AwsDriver
from services.drivers.queue import Queue
from services.operations import ChangeVisibility, Delete, OperationFailed, OutgoingMessage, Receive, Send

#: The longest visibility timeout, and the longest long poll, in seconds.
MAX_TIMEOUT, MAX_WAIT = 43_200, 20


@pytest.fixture
def simulated():
    world = World(
        Setting(
            QueueInfo(visibility_timeout=30, max_receive_count=5, fifo=False), names_for("test", fifo=False), STRICT
        ),
        DrawnChoices(lambda bound: 0),
        seed=0,
    )

    def perform(operation):
        return world.receive(operation) if isinstance(operation, Receive) else world.perform(operation, lambda: 0.0)

    return perform


@pytest.fixture
def real():
    access = {"region_name": "us-west-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    with running_endpoint(EndpointConfig(rates=STRICT)) as endpoint:
        client = boto3.client("sqs", endpoint_url=endpoint.url, **access)
        yield AwsDriver(Queue(client, client.create_queue(QueueName="q")["QueueUrl"])).perform
        client.close()


def texts(count, size=1):
    return tuple(OutgoingMessage("x" * size) for _ in range(count))


def received(perform, count):
    """Send messages, and receive them all."""
    for first in range(0, count, MAX_ENTRIES):
        perform(Send(texts(min(MAX_ENTRIES, count - first))))
    messages = ()
    while len(messages) < count:
        messages += perform(Receive(MAX_ENTRIES, 0))
    return messages


def refusal(perform, operation):
    """Return why an operation is refused as a whole; None where it is not."""
    try:
        perform(operation)
    except OperationFailed as error:
        return error.code, error.message, error.transient
    return None


#: By name: the operation for the messages in hand, of which there are eleven, and the code of its refusal.
REFUSED = {
    "11 deletes": (Delete, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    "no delete": (lambda _: Delete(()), "AWS.SimpleQueueService.EmptyBatchRequest"),
    "11 timeouts": (lambda hand: ChangeVisibility(hand, 1), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    "no timeout": (lambda _: ChangeVisibility((), 1), "AWS.SimpleQueueService.EmptyBatchRequest"),
    "half a second": (lambda hand: ChangeVisibility(hand[:1], 0.5), "ParamValidationError"),
    "11 sends": (lambda _: Send(texts(11)), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    "no send": (lambda _: Send(()), "AWS.SimpleQueueService.EmptyBatchRequest"),
    "too much": (lambda _: Send(texts(2, MAX_BYTES // 2 + 1)), "AWS.SimpleQueueService.BatchRequestTooLong"),
    "11 wanted": (lambda _: Receive(11, 0), "InvalidParameterValue"),
    "none wanted": (lambda _: Receive(0, 0), "InvalidParameterValue"),
    "two and a half wanted": (lambda _: Receive(2.5, 0), "ParamValidationError"),
    "too long a poll": (lambda _: Receive(1, MAX_WAIT + 1), "InvalidParameterValue"),
    "a negative poll": (lambda _: Receive(1, -1), "InvalidParameterValue"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_both_tiers_refuse_the_same_requests_in_the_same_words(name, simulated, real):
    make, code = REFUSED[name]
    refusals = [refusal(perform, make(received(perform, 11))) for perform in (simulated, real)]

    assert refusals[0] == refusals[1]
    assert refusals[0][0] == code
    assert refusals[0][2] is False


#: The nearest that both take.
TAKEN = {
    "10 deletes": lambda hand: Delete(hand[:10]),
    "10 timeouts": lambda hand: ChangeVisibility(hand[:10], 1),
    "10 sends": lambda _: Send(texts(10)),
    "just enough": lambda _: Send(texts(2, MAX_BYTES // 2)),
    "10 wanted": lambda _: Receive(10, 0),
}


@pytest.mark.parametrize("name", TAKEN)
def test_both_tiers_take_as_much_as_sqs_takes(name, simulated, real):
    for perform in (simulated, real):
        assert refusal(perform, TAKEN[name](received(perform, 11))) is None


@pytest.mark.parametrize("timeout", [-1, MAX_TIMEOUT + 1])
def test_a_visibility_timeout_out_of_range_fails_each_entry_of_its_batch(timeout, simulated, real):
    answers = []
    for perform in (simulated, real):
        failures = perform(ChangeVisibility(received(perform, 2), timeout))
        answers.append([(item.entry, item.code, item.message, item.sender_fault) for item in failures])

    assert answers[0] == answers[1]
    assert [(entry, code) for entry, code, *_ in answers[0]] == [
        (0, "InvalidParameterValueException"),
        (1, "InvalidParameterValueException"),
    ]


def test_a_refused_delete_deletes_nothing(simulated):
    hand = received(simulated, 11)
    with pytest.raises(OperationFailed, match="TooManyEntries"):
        simulated(Delete(hand))

    assert simulated(ChangeVisibility(hand[:10], 0)) == ()
    assert len(simulated(Receive(10, 0))) == 10
