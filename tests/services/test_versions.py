"""A consumer of updates: what it writes, what it leaves, and what it rejects."""

import pytest

from scenarios.catalog.out_of_order.naive import LastWriteWins
from services.consumer.versions import ReconcilingConsumer
from tests.services.test_consumer import UNAVAILABLE, consume, op
from tests.services.world import World, message


def update(sequence, version, entity="e0", **options):
    return message(sequence, entity=entity, version=version, **options)


def test_an_update_is_written_and_deleted():
    world = World([update(1, 1), update(2, 2), update(3, 1, entity="e1")])
    assert consume(world, ReconcilingConsumer) == 3
    assert world.states == {"e0": 2, "e1": 1}
    assert world.deleted == ["m-1", "m-2", "m-3"]


def test_an_older_update_is_noted_as_superseded_deleted_and_not_written():
    world = World([update(2, 2)], [update(1, 1)])
    consume(world, ReconcilingConsumer)
    assert world.states == {"e0": 2}
    assert world.deleted == ["m-2", "m-1"]
    (note,) = [note for note in world.notes if note.event == "superseded"]
    assert note.details == {"key": "key-1", "entity": "e0", "version": 1, "by": 2}
    assert [call.outcome for call in world.asked if isinstance(call, op.Complete)] == ["done", "superseded"]
    assert world.outcomes() == ["done", "superseded"]


def test_an_update_that_died_after_its_write_is_no_news_and_no_conflict():
    world = World([update(1, 1)])
    world.states["e0"] = 1
    consume(world, ReconcilingConsumer)
    assert (world.states, world.deleted) == ({"e0": 1}, ["m-1"])
    assert "superseded" not in [note.event for note in world.notes]


def test_a_store_that_does_not_answer_leaves_the_update_in_the_queue():
    world = World([update(1, 1)])
    world.answer(op.WriteState, UNAVAILABLE)
    assert consume(world, ReconcilingConsumer) == 0
    assert world.deleted == []


@pytest.mark.parametrize(
    "payload",
    [{}, {"entity": "e0"}, {"entity": "", "version": 1}, {"entity": "e0", "version": "1"}, {"entity": 1, "version": 1}],
)
def test_what_names_no_entity_and_version_is_rejected(payload):
    world = World([message(1, **payload)])
    consume(world, ReconcilingConsumer)
    assert (world.outcomes(), world.deleted) == (["rejected"], [])


def test_the_twin_writes_whatever_comes_last():
    world = World([update(2, 2)], [update(1, 1)])
    consume(world, LastWriteWins)
    assert world.states == {"e0": 1}
