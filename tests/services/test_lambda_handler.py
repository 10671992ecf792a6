"""Our consumer as a Lambda handler: what it answers, how long it claims, and how little it needs."""

import json
import os
import subprocess
import sys

import pytest

from services import operations as op
from services import runtime
from services.consumer.lambda_handler import HandlerOptions, LambdaConsumer, make_consumer, message_of
from services.consumer.patterns import Pattern
from services.errors import ConfigurationError
from tests.services.world import World, message

LOST = op.OperationFailed("ServiceUnavailable", "for a moment", transient=True)


def answer_of(world, *messages, remaining=3.0, fifo=False, consumer=None, **options):
    handler = consumer or make_consumer(HandlerOptions("me", **options))
    return runtime.step(handler.handle_event(messages, remaining=remaining, fifo=fifo), world)


def failing(*messages):
    return {"batchItemFailures": [{"itemIdentifier": item.message_id} for item in messages]}


def test_a_batch_is_done_and_nothing_is_named():
    world = World()
    assert answer_of(world, message(0), message(1)) == failing()
    assert world.ledger == {"key-0": 1, "key-1": 1}
    assert world.kinds() == ["Claim", "PerformSideEffect", "Complete"] * 2


def test_what_fails_is_named_and_the_others_are_not():
    world = World()
    world.answer(op.PerformSideEffect, LOST)
    bad, good = message(0), message(1)
    assert answer_of(world, bad, good) == failing(bad)
    assert world.ledger == {"key-1": 1}


def test_poison_and_what_another_holds_are_named():
    world = World()
    world.claims["key-1"] = (1, "STARTED", True)
    poison, held, good = message(0, body="no JSON"), message(1), message(2)
    assert answer_of(world, poison, held, good) == failing(poison, held)


def test_a_message_group_stops_at_its_first_failure_and_the_others_go_on():
    world = World(fifo=True)
    world.answer(op.PerformSideEffect, LOST)
    first, second, other = message(0, group="a"), message(1, group="a"), message(2, group="b")
    assert answer_of(world, first, second, other, fifo=True) == failing(first, second)
    assert world.ledger == {"key-2": 1}


def test_on_a_standard_queue_nothing_stops():
    world = World()
    world.answer(op.PerformSideEffect, LOST)
    first, second = message(0), message(1)
    assert answer_of(world, first, second) == failing(first)


def test_a_claim_holds_until_the_deadline_and_no_longer():
    world = World()
    world.on[op.PerformSideEffect] = lambda _: setattr(world, "clock", world.clock + 1.0)
    answer_of(world, message(0), message(1), remaining=3.0)
    assert [each.lease_seconds for each in world.asked if isinstance(each, op.Claim)] == [3.0, 2.0]


def test_nothing_is_begun_after_the_deadline():
    world = World()
    world.on[op.PerformSideEffect] = lambda _: setattr(world, "clock", world.clock + 4.0)
    first, late = message(0), message(1)
    assert answer_of(world, first, late, remaining=3.0) == failing(late)
    assert world.ledger == {"key-0": 1}


def test_a_retry_after_a_death_at_the_deadline_asks_the_ledger():
    world = World()
    world.claims["key-0"] = (1, "STARTED", False)
    world.ledger["key-0"] = 1
    assert answer_of(world, message(0, receive_count=2)) == failing()
    assert world.ledger == {"key-0": 1}
    assert world.kinds() == ["Claim", "LookUpSideEffect", "Complete"]


def test_an_environment_that_is_used_again_remembers_what_is_done():
    world, consumer = World(), make_consumer(HandlerOptions("me"))
    answer_of(world, message(0), consumer=consumer)
    assert answer_of(world, message(0, receive_count=2), consumer=consumer) == failing()
    assert world.kinds() == ["Claim", "PerformSideEffect", "Complete"]


def test_a_record_becomes_the_message_that_it_is():
    record = {
        "messageId": "m-1",
        "receiptHandle": "handle",
        "body": "{}",
        "attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "a", "SequenceNumber": "18"},
    }
    assert message_of(record) == op.Message("m-1", "handle", "{}", 3, "a", "18")


def test_environment_variables_are_the_consumers():
    options = HandlerOptions.of_environment(
        {"MESSAGE_STATUS_TABLE": "status", "BUSINESS_IDEMPOTENCY_FIELD": "order", "CLAIM_LEASE_SECONDS": "2.5"}
    )
    assert (options.claims, options.ledger, options.business_idempotency_field) == (True, False, "order")
    assert options.claim_lease_seconds == 2.5
    with pytest.raises(ConfigurationError, match="CLAIM_LEASE_SECONDS is 'long'"):
        HandlerOptions.of_environment({"CLAIM_LEASE_SECONDS": "long"})
    with pytest.raises(ConfigurationError, match="are two tables"):
        HandlerOptions.of_environment({"MESSAGE_STATUS_TABLE": "one", "MESSAGE_SIDE_EFFECTS_TABLE": "one"})


def test_a_handler_promises_nothing_of_the_poller():
    of_the_poller = {Pattern.GRACEFUL_SHUTDOWN, Pattern.RETRIED_ENTRIES, Pattern.HEARTBEAT, Pattern.BACKOFF}
    assert not LambdaConsumer.follows & of_the_poller


ALONE = """
import sys

class OnlyBoto3:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pydantic", "pydantic_settings", "msgspec", "infra", "scenarios", "moto", "psutil"}:
            raise ModuleNotFoundError(f"{name} is not on AWS")

sys.meta_path.insert(0, OnlyBoto3())
from services.consumer import lambda_handler
context = type("Context", (), {"get_remaining_time_in_millis": lambda self: 3000})()
print(lambda_handler.handler({"Records": []}, context))
"""


@pytest.mark.processes
def test_the_handler_needs_nothing_but_boto3():
    variables = {**os.environ, "AWS_REGION": "us-west-1", "AWS_DEFAULT_REGION": "us-west-1"}
    variables |= {"MESSAGE_STATUS_TABLE": "status", "MESSAGE_SIDE_EFFECTS_TABLE": "ledger"}
    ran = subprocess.run([sys.executable, "-c", ALONE], env=variables, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.replace("'", '"')) == {"batchItemFailures": []}
