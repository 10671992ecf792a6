"""Changes and the messages that tell of them, as the judge sees them."""

import signal

import pytest

from scenarios.catalog.outbox.checks import (
    change_without_message,
    find_died_before_sending,
    find_left_in_the_outbox,
    find_sent_twice,
    message_without_change,
)
from scenarios.checks.invariants import duplicated_side_effect, lost
from scenarios.lab import ProducerHandle, has_ended
from tests.scenarios.recorded import Told


def commit(told, process, identity, result=True):
    told.do(process, "CommitChange", result, key=identity, message=True)


def send(told, process, identity, message_id=None, crash=""):
    """Send as this process, which may die of it."""
    body = f'{{"id": "{identity}", "sequence": 0}}'
    at = told.begin(process, "Send", messages=[{"body": body, "group": None, "deduplication_id": None}])
    if crash:
        told.fault(process, at, "Send", point=crash)
    else:
        sent = [{"entry": 0, "message_id": message_id or f"m-{identity}", "sequence_number": None}]
        told.end(process, at, "Send", {"sent": sent, "failed": []})


def test_a_change_whose_message_was_sent_is_accepted():
    told = Told()
    commit(told, "shop", "a")
    send(told, "relay", "a")
    assert change_without_message(told.history) == message_without_change(told.history) == []


@pytest.mark.parametrize("result", [True, False], ids=["made now", "made before"])
def test_a_change_that_was_made_and_not_told_of_is_a_violation(result):
    told = Told()
    commit(told, "shop", "a", result)
    (found,) = change_without_message(told.history)
    assert found.summary == "shop committed the order a, and no message tells of it."


def test_a_change_of_unknown_outcome_need_not_be_told_of():
    told = Told()
    told.begin("shop", "CommitChange", key="a", message=True)
    assert change_without_message(told.history) == []


def test_a_message_of_a_change_that_was_never_begun_is_a_violation():
    told = Told()
    send(told, "shop", "a")
    commit(told, "shop", "a")
    (found,) = message_without_change(told.history)
    assert found.summary == "message #0 tells of an order that was never committed."


def test_a_message_of_a_change_of_unknown_outcome_is_founded():
    told = Told()
    told.begin("shop", "CommitChange", key="a", message=True)
    send(told, "relay", "a")
    assert message_without_change(told.history) == []


def left(*, killed=True, by="relay"):
    told = Told()
    commit(told, "shop", "a")
    told.exit("shop", -signal.SIGKILL if killed else 0)
    send(told, by, "a")
    return told.history


def test_what_another_process_sends_for_one_that_died_is_evidence():
    assert find_left_in_the_outbox(left()).summary == "1 messages, e.g. message #0: shop died, relay sent it"


@pytest.mark.parametrize("near", [{"killed": False}, {"by": "shop"}])
def test_a_message_that_no_dead_producer_left_is_no_evidence(near):
    assert find_left_in_the_outbox(left(**near)) is None


def twice(*, killed=True, by="successor", executions=1):
    told = Told()
    commit(told, "shop", "a")
    send(told, "relay", "a", "m-1")
    told.exit("relay", -signal.SIGKILL if killed else 0)
    send(told, by, "a", "m-2")
    told.ledger(a=executions)
    return told.history


def test_what_is_sent_again_for_one_that_died_and_done_once_is_evidence():
    history = twice()
    assert find_sent_twice(history).summary == (
        "1 messages, e.g. message #0: relay sent it and died, successor sent it again, and it was done once"
    )
    assert lost(history) == duplicated_side_effect(history) == []


@pytest.mark.parametrize("near", [{"killed": False}, {"by": "relay"}, {"executions": 2}])
def test_a_second_send_that_proves_nothing_is_no_evidence(near):
    assert find_sent_twice(twice(**near)) is None


@pytest.mark.parametrize(("point", "code", "found"), [("before", -9, True), ("after", -9, False), ("before", 0, False)])
def test_a_relay_dies_before_sending_if_it_was_killed_at_that_point(point, code, found):
    told = Told()
    send(told, "relay", "a", crash=point)
    told.exit("relay", code)
    assert (find_died_before_sending(told.history) is not None) is found


def test_a_producer_has_ended_when_its_successor_has():
    told = Told()
    over = has_ended(ProducerHandle("shop"))
    assert not over(told.history)
    told.event("lab", "exited", exited="shop", code=-9, successor="shop-2")
    assert not over(told.history)
    told.exit("shop-2", 0)
    assert over(told.history)
