"""What a message means and what was charged for it, as the judge sees them."""

import pytest

from scenarios.catalog.schema_evolution.checks import (
    find_newer_version_kept,
    find_side_by_side,
    find_upcast,
    ignored,
    misread,
)
from tests.scenarios.recorded import Told

V1, V2, V3 = {"amount": 12}, {"schema": 2, "amount_cents": 1250, "currency": "SEK"}, {"schema": 3, "lines": []}


def charge(told, process, identity, **how):
    about = {"key": identity, "message_id": f"m-{identity}"}
    told.event(process, "charges", **about, **{"cents": 1200, "currency": "EUR", "knows": 2, **how})


def charged(fields, **how):
    told = Told()
    told.send("a", **fields)
    told.receive("c", "a")
    charge(told, "c", "a", **how)
    return told


@pytest.mark.parametrize(("fields", "cents", "currency"), [(V1, 1200, "EUR"), (V2, 1250, "SEK")])
def test_what_is_charged_as_it_was_meant_is_no_violation(fields, cents, currency):
    assert misread(charged(fields, cents=cents, currency=currency).history) == []


@pytest.mark.parametrize(
    ("fields", "cents", "currency", "said"),
    [
        (V1, 12, "EUR", "c charged 12 cents EUR for message #0, which means 1200 cents EUR."),
        (V2, 1250, "EUR", "c charged 1250 cents EUR for message #0, which means 1250 cents SEK."),
        (V3, 0, "EUR", "c charged 0 cents EUR for message #0, of which it could know nothing."),
        ({**V2, "schema": 3}, 1250, "SEK", "c charged 1250 cents SEK for message #0, of which it could know nothing."),
    ],
    ids=["euros taken for cents", "another currency", "half understood", "looks familiar"],
)
def test_what_is_charged_otherwise_is_misread(fields, cents, currency, said):
    assert [found.summary for found in misread(charged(fields, cents=cents, currency=currency).history)] == [said]


@pytest.mark.parametrize(("fields", "knows", "found"), [(V1, 2, True), (V1, 1, False), (V2, 2, False)])
def test_a_message_of_an_older_version_is_upcast_or_it_is_not(fields, knows, found):
    assert (find_upcast(charged(fields, knows=knows).history) is not None) is found


def test_an_unknown_field_is_ignored_if_its_message_is_charged():
    witness = ignored("gift_note")
    assert witness.find(charged({**V1, "gift_note": ""}, knows=1).history).summary == (
        "1 messages, e.g. message #0 has a 'gift_note' of which c knows nothing"
    )
    assert witness.find(charged(V1).history) is None


@pytest.mark.parametrize(
    ("first", "second", "gone", "found"),
    [(1, 2, False, True), (2, 2, False, False), (2, 1, False, False), (1, 2, True, False)],
)
def test_two_versions_are_side_by_side_if_the_older_one_still_runs(first, second, gone, found):
    told = Told()
    told.send("a", "b", **V1)
    for process, identity, knows in (("c", "a", first), ("d", "b", second)):
        told.receive(process, identity)
        charge(told, process, identity, knows=knows)
        if gone:
            told.exit(process, 0)
    assert (find_side_by_side(told.history) is not None) is found


@pytest.mark.parametrize("charge_it", [False, True])
@pytest.mark.parametrize(("fields", "found"), [(V3, True), (V1, False)])
def test_a_message_of_a_newer_version_is_kept_if_it_is_dead_lettered_and_not_charged(fields, found, charge_it):
    told = Told()
    told.send("a", poison=True, **fields)
    told.receive("c", "a")
    if charge_it:
        charge(told, "c", "a")
    told.dead_letter("a")
    assert (find_newer_version_kept(told.history) is not None) is (found and not charge_it)


def test_a_message_from_the_future_that_was_rewritten_on_its_way_was_not_kept():
    told = Told()
    told.send("a", poison=True, **V3)
    told._bodies["a"] = told._bodies["a"].replace("lines", "items")
    told.dead_letter("a")
    assert find_newer_version_kept(told.history) is None
