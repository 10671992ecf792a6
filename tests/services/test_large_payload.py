"""Payloads that a message refers to: what producer and consumer do with the object, and in which order."""

import json

import pytest

from scenarios.catalog.large_payload.naive import RemovesFirst
from services import operations as op
from services.consumer.large_payload import LargePayloadConsumer
from services.consumer.options import ConsumerOptions
from services.producer.large_payload import LargePayloadProducer
from services.producer.producer import SEND_ATTEMPTS
from services.runtime import step
from tests.services.world import World, message

UNAVAILABLE = op.OperationFailed("ServiceUnavailable", "later", transient=True)
DENIED = op.OperationFailed("AccessDenied", "never", transient=False)


def stored(*messages):
    """A world with these messages, and the payload that they refer to."""
    world = World(messages)
    world.objects["payloads/a"] = "text"
    return world


def consume(world, kind=LargePayloadConsumer):
    options = ConsumerOptions(
        owner="me", max_messages=10, wait_time_seconds=1, idle_timeout_seconds=1.0, idempotency_cache_size=0
    )
    return step(kind(options).poll(), world)


def produce(world, *bodies, payload_bytes=5):
    messages = [op.OutgoingMessage(json.dumps(body)) for body in bodies]
    return step(LargePayloadProducer(messages, 10, 0.0, payload_bytes=payload_bytes).run(), world)


REFERRING = {"payload_key": "payloads/a"}


def test_a_payload_is_fetched_before_the_side_effect_and_removed_after_the_delete():
    world = stored(message(1, **REFERRING))
    assert consume(world) == 1
    assert world.kinds()[3:-1] == [
        "Claim", "FetchObject", "PerformSideEffect", "Complete", "Delete", "RemoveObject",
    ]  # fmt: skip
    assert world.objects == {}


def test_a_message_that_refers_to_nothing_is_as_always():
    world = World([message(1)])
    assert consume(world) == 1
    assert not {"FetchObject", "RemoveObject"} & set(world.kinds())


def test_a_message_whose_payload_is_gone_is_rejected_and_its_claim_released():
    world = World([message(1, **REFERRING), message(2)])
    assert consume(world) == 1
    assert world.outcomes() == ["rejected", "done"]
    assert (world.ledger, world.deleted) == ({"key-2": 1}, ["m-2"])
    assert world.claims["key-1"] == (1, "STARTED", False)
    [why] = [note.details["why"] for note in world.notes if note.details.get("outcome") == "rejected"]
    assert why == "its payload payloads/a is gone"


def test_what_was_done_before_needs_no_payload_any_more():
    world = World([message(1, receive_count=2, **REFERRING)])
    world.claims["key-1"] = (1, "STARTED", False)
    world.ledger["key-1"] = 1
    assert consume(world) == 1
    assert "FetchObject" not in world.kinds()
    assert world.deleted == ["m-1"]


def test_a_bucket_that_does_not_answer_costs_a_try_and_not_the_message():
    world = stored(message(1, **REFERRING))
    world.answer(op.FetchObject, UNAVAILABLE)
    assert consume(world) == 0
    assert (world.outcomes(), world.ledger, world.deleted) == (["failed"], {}, [])


def test_a_payload_that_cannot_be_removed_is_an_orphan_and_no_failure():
    world = stored(message(1, **REFERRING))
    world.answer(op.RemoveObject, UNAVAILABLE)
    assert consume(world) == 1
    assert (world.deleted, list(world.objects)) == (["m-1"], ["payloads/a"])
    assert "payload-left" in [note.event for note in world.notes]


def test_the_naive_twin_has_removed_the_payload_before_its_work():
    world = stored(message(1, **REFERRING))
    consume(world, RemovesFirst)
    kinds = world.kinds()
    assert kinds.index("RemoveObject") < kinds.index("PerformSideEffect")
    assert kinds.count("RemoveObject") == 1


def test_a_producer_uploads_first_and_sends_a_reference():
    world = World()
    report = produce(world, {"id": "a", "sequence": 0}, {"id": "b", "sequence": 1})
    assert (report.sent, report.unsent) == (2, 0)
    assert world.kinds() == ["PutObject", "PutObject", "Send"]
    assert world.sent == [{"id": it, "sequence": at, "payload_key": f"payloads/{it}"} for at, it in enumerate("ab")]
    assert json.loads(world.objects["payloads/a"]) == {"id": "a", "sequence": 0, "content": "xxxxx"}


def test_an_upload_is_tried_again_and_what_was_never_uploaded_is_never_sent():
    world = World()
    world.answer(op.PutObject, UNAVAILABLE)
    assert produce(world, {"id": "a"}).sent == 1

    world = World()
    world.answer(op.PutObject, *[UNAVAILABLE] * SEND_ATTEMPTS)
    report = produce(world, {"id": "a"}, {"id": "b"})
    assert (report.sent, report.unsent) == (1, 1)
    assert [item["id"] for item in world.sent] == ["b"]

    world = World()
    world.answer(op.PutObject, *[UNAVAILABLE] * SEND_ATTEMPTS)
    assert produce(world, {"id": "a"}).unsent == 1
    assert "Send" not in world.kinds()


def test_an_upload_that_is_refused_for_good_ends_the_producer():
    world = World()
    world.answer(op.PutObject, DENIED)
    with pytest.raises(op.OperationFailed, match="AccessDenied"):
        produce(world, {"id": "a"})


def test_the_history_keeps_a_payloads_length_and_not_the_payload():
    assert op.PutObject("k", "xyz").arguments() == {"key": "k", "characters": 3}
    assert op.FetchObject("k").kept_result("xyz") == {"characters": 3}
    assert op.FetchObject("k").kept_result(None) is None
