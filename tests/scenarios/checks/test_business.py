"""Orders are judged by what the customer sees, whatever a consumer keys by."""

import pytest

from scenarios.checks.business import done_once, messages_by, none_left_out, nothing_else
from tests.scenarios.recorded import Told

ONCE, ALL, ELSE = (each("order_id").check for each in (done_once, none_left_out, nothing_else))


def two_clicks():
    told = Told()
    told.send("a", "b", order_id="order-1")
    told.receive("c1", "a")
    told.receive("c2", "b")
    return told


def test_two_messages_and_one_payment_are_accepted():
    told = two_clicks()
    told.effect("c1", "a", key="order-1")
    assert ONCE(told.history) == ALL(told.history) == []
    assert messages_by(told.history, "order_id") == {"order-1": ["m-a", "m-b"]}


@pytest.mark.parametrize("keys", [("a", "b"), ("order-1", "order-1")], ids=["keyed by message", "keyed by order"])
def test_an_order_that_is_paid_twice_is_a_violation_whatever_it_was_keyed_by(keys):
    told = two_clicks()
    told.effect("c1", "a", key=keys[0])
    told.effect("c2", "b", key=keys[1])
    (found,) = ONCE(told.history)
    assert found.summary == "order-1 was paid 2 times, for message #0, message #1."
    assert found.message_ids == ("m-a", "m-b")


def test_two_orders_that_are_each_paid_once_are_no_violation():
    told = Told()
    told.send("a", order_id="order-1")
    told.send("b", order_id="order-2")
    told.effect("c", "a", key="order-1")
    told.effect("c", "b", key="order-2")
    assert ONCE(told.history) == ALL(told.history) == []


def test_an_unpaid_order_is_a_violation():
    told = two_clicks()
    told.fail(
        "c1", told.begin("c1", "PerformSideEffect", **told.about("a", "order-1")), "PerformSideEffect", transient=False
    )
    (found,) = ALL(told.history)
    assert found.summary == "order-1 was ordered and never paid."


def test_a_payment_of_unknown_outcome_is_neither_twice_nor_never():
    told = two_clicks()
    told.begin("c1", "PerformSideEffect", **told.about("a", "order-1"))
    told.effect("c2", "b", key="order-1")
    assert ONCE(told.history) == ALL(told.history) == []


def repeats_an_unclear_payment(*keys):
    told = two_clicks()
    told.fail("c1", told.begin("c1", "PerformSideEffect", **told.about("a", keys[0])), "PerformSideEffect")
    told.effect("c1", "a", key=keys[-1])
    return told


@pytest.mark.parametrize(
    ("keys", "ledger"),
    [(["order-1"], {"order-1": 2}), (["a", "order-1"], {"a": 1, "order-1": 1})],
    ids=["one key", "two keys"],
)
def test_a_payment_whose_reply_was_lost_counts_if_the_ledger_has_it(keys, ledger):
    told = repeats_an_unclear_payment(*keys)
    told.ledger(**ledger)
    (found,) = ONCE(told.history)
    assert found.summary == "order-1 was paid 2 times, for message #0."


def test_a_payment_that_was_not_made_counts_nothing_however_unclear_it_was():
    told = repeats_an_unclear_payment("order-1")
    told.ledger(**{"order-1": 1})
    assert ONCE(told.history) == ALL(told.history) == []


def test_an_unclear_payment_that_the_ledger_does_not_have_leaves_an_order_unpaid():
    told = two_clicks()
    told.begin("c1", "PerformSideEffect", **told.about("a", "order-1"))
    told.ledger()
    assert [found.keys for found in ALL(told.history)] == [("order-1",)]


def test_orders_that_share_a_key_are_each_paid_as_often_as_their_consumers_saw():
    told = Told()
    told.send("a", order_id="order-1")
    told.send("b", order_id="order-2")
    told.effect("c", "a", key="charge")
    told.effect("c", "b", key="charge", executions=2)
    told.ledger(charge=2)
    assert ONCE(told.history) == []


def test_a_payment_for_what_names_no_order_is_a_violation_and_one_under_another_key_is_none():
    told = two_clicks()
    told.send("x")
    told.effect("c1", "a", key="a")
    assert ELSE(told.history) == []
    told.effect("c1", "x", key="order-1")
    assert ELSE(told.history) == []
    told.effect("c1", "x", key="x")
    assert [found.summary for found in ELSE(told.history)] == ["c1 paid under the key x, and no order asked for it."]


def test_a_message_whose_send_lost_its_reply_counts_once_it_is_received():
    told = Told()
    told.send("a", acknowledged=False, order_id="order-1")
    assert ALL(told.history) == []
    told.receive("c", "a")
    assert [found.keys for found in ALL(told.history)] == [("order-1",)]
