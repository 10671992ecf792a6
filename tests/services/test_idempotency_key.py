"""A consumer of an API that honours idempotency keys: every attempt at the same work has the same key."""

import pytest

from scenarios.catalog.idempotency_key.naive import NewKeyForEachAttempt
from services import operations as op
from services.consumer.idempotency_key import CALL_ATTEMPTS, IdempotencyKeyConsumer
from tests.services.test_consumer import consume
from tests.services.world import World, message

TIMEOUT = op.OperationFailed("ReadTimeoutError", "the reply was lost", transient=True)
REFUSALS = [
    op.OperationFailed("AccessDenied", "never", transient=False),
    op.OperationFailed(op.KEY_REUSED, "other contents", transient=False),
]


def keys_of(world):
    return [operation.idempotency_key for operation in world.asked if isinstance(operation, op.CallApi)]


def test_a_call_without_an_answer_is_made_again_under_the_same_key():
    world = World([message(1)])
    world.answer(op.CallApi, TIMEOUT)
    assert consume(world, IdempotencyKeyConsumer) == 1
    assert keys_of(world) == ["charge-key-1", "charge-key-1"]
    assert world.deleted == ["m-1"]


def test_after_a_few_calls_the_message_is_left_to_come_again():
    world = World([message(1)])
    world.answer(op.CallApi, *[TIMEOUT] * CALL_ATTEMPTS)
    assert consume(world, IdempotencyKeyConsumer) == 0
    assert len(keys_of(world)) == CALL_ATTEMPTS
    assert (world.outcomes(), world.deleted) == (["failed"], [])


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_what_the_api_refuses_for_good_is_not_asked_again_at_once_and_its_message_stays(refusal):
    world = World([message(1)])
    world.answer(op.CallApi, refusal)
    assert consume(world, IdempotencyKeyConsumer) == 0
    assert len(keys_of(world)) == 1
    assert (world.outcomes(), world.deleted) == (["failed"], [])


@pytest.mark.parametrize("receive_count", [1, 2])
def test_another_consumer_has_the_same_key_after_a_redelivery_and_looks_nothing_up(receive_count):
    world = World([message(1, receive_count=receive_count)])
    if receive_count == 2:
        world.claims["key-1"] = (1, "STARTED", False)
    consume(world, IdempotencyKeyConsumer, owner=f"consumer-{receive_count}")
    assert keys_of(world) == ["charge-key-1"]
    assert "LookUpSideEffect" not in world.kinds()


def test_the_naive_twin_has_a_key_for_each_call_and_each_delivery():
    world = World([message(1)], [message(1, receive_count=2)])
    world.answer(op.CallApi, *[TIMEOUT] * CALL_ATTEMPTS)
    consume(world, NewKeyForEachAttempt)
    assert len(set(keys_of(world))) == CALL_ATTEMPTS + 1
