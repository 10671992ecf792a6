"""A consumer of several versions: what it reads, what it ignores, what it leaves alone."""

import pytest

from scenarios.catalog.schema_evolution.naive import StrictReader
from services.consumer.schema import NEWEST, SchemaConsumer
from tests.services.test_consumer import consume
from tests.services.world import World, message

V1 = {"amount": 12, "work": 1}
V2 = {"schema": 2, "amount_cents": 1250, "currency": "SEK", "work": 1}
V3 = {"schema": 3, "lines": []}


def charged(world):
    return [(note.details["cents"], note.details["currency"]) for note in world.notes if note.event == "charges"]


def read(kind=SchemaConsumer, *, knows=0, **payload):
    world = World([message(1, **payload)])
    consume(world, kind, schema_version=knows)
    return world


@pytest.mark.parametrize("knows", [1, 2, 0])
def test_an_older_version_is_read_as_the_newest(knows):
    world = read(knows=knows, **V1)
    assert charged(world) == [(1200, "EUR")]
    assert world.deleted == ["m-1"]


@pytest.mark.parametrize("payload", [V1, V2])
def test_an_unknown_field_is_ignored(payload):
    assert charged(read(**payload, gift_note="for you")) == charged(read(**payload)) != []


@pytest.mark.parametrize(("knows", "payload"), [(1, V2), (1, V3), (2, V3), (0, {"schema": NEWEST + 1, **V1})])
def test_a_version_from_the_future_is_left_alone_even_if_it_looks_familiar(knows, payload):
    world = read(knows=knows, **payload)
    assert charged(world) == []
    assert (world.outcomes(), world.deleted, world.ledger) == (["rejected"], [], {})


@pytest.mark.parametrize(
    "payload",
    [
        {"schema": "2"}, {"schema": 0}, {"schema": True}, {"schema": None}, {"schema": 2.0}, {}, {"amount": "12"},
        {"amount": True}, {"schema": 2, "amount_cents": 1}, {"schema": 2, "amount_cents": "1", "currency": "EUR"},
        {"schema": 2, "amount_cents": 1, "currency": 978},
    ],
)  # fmt: skip
def test_what_breaks_the_promise_of_its_version_is_rejected(payload):
    assert read(**payload).outcomes() == ["rejected"]


@pytest.mark.parametrize(
    ("knows", "payload", "outcome"),
    [(1, V1, "done"), (2, V2, "done"), (2, V1, "rejected"), (1, {**V1, "gift_note": ""}, "rejected")],
)
def test_the_naive_twin_takes_its_own_version_and_no_other(knows, payload, outcome):
    assert read(StrictReader, knows=knows, **payload).outcomes() == [outcome]
