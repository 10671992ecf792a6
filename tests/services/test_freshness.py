"""A freshness rule: what is too old is acknowledged, noted and kept as expired; nothing else changes."""

import pytest

from services.consumer.freshness import FreshnessConsumer
from services.payload import created_of
from tests.services.test_consumer import UNAVAILABLE, consume, op
from tests.services.world import World, message

NOW = 1000.0


def drain(world, **options):
    return consume(world, FreshnessConsumer, **{"max_age_seconds": 10.0, **options})


def test_what_is_too_old_is_deleted_and_completed_as_expired_and_has_no_side_effect():
    world = World([message(1, created_at=NOW - 10.5)])
    assert drain(world) == 0
    assert (world.ledger, world.deleted, world.outcomes()) == ({}, ["m-1"], ["expired"])
    assert [call.outcome for call in world.asked if isinstance(call, op.Complete)] == ["expired"]
    (note,) = [note for note in world.notes if note.event == "expired"]
    assert note.details == {"key": "key-1", "message_id": "m-1", "age": 10.5, "max_age": 10.0}


def test_what_is_just_fresh_is_done():
    world = World([message(1, created_at=NOW - 10)])
    assert drain(world) == 1
    assert (world.ledger, world.outcomes()) == ({"key-1": 1}, ["done"])


@pytest.mark.parametrize("created", [{}, {"created_at": "yesterday"}, {"created_at": True}, {"created_at": None}])
def test_what_does_not_say_when_it_was_made_is_done(created):
    world = World([message(1, **created)])
    assert drain(world) == 1


def test_a_time_that_is_no_number_is_no_time():
    assert created_of({"created_at": float("nan")}, "created_at") is None
    assert created_of({"created_at": 10**400}, "created_at") is None
    assert created_of({"created_at": 5}, "created_at") == 5.0


def test_without_a_limit_nothing_is_too_old():
    world = World([message(1, created_at=0)])
    assert drain(world, max_age_seconds=0.0) == 1


def test_the_field_can_have_another_name():
    world = World([message(1, made=NOW - 11)])
    drain(world, timestamp_field="made")
    assert world.outcomes() == ["expired"]


def test_work_that_a_dead_consumer_did_in_time_is_done_and_not_expired():
    world = World([message(1, created_at=NOW - 11, receive_count=2)])
    world.claims["key-1"] = (1, "STARTED", False)
    world.ledger["key-1"] = 1
    drain(world)
    assert (world.ledger, world.outcomes()) == ({"key-1": 1}, ["done"])


def test_what_expired_once_is_a_duplicate_the_next_time():
    late = message(1, created_at=NOW - 11)
    world = World([late], [late])
    drain(world)
    assert world.outcomes() == ["expired", "duplicate"]


def test_an_expiry_that_cannot_be_written_down_leaves_the_message_in_the_queue():
    world = World([message(1, created_at=NOW - 11)])
    world.answer(op.Complete, UNAVAILABLE)
    drain(world)
    assert (world.deleted, world.outcomes()) == ([], ["failed"])
