"""Calls with an idempotency key, as the judge sees them."""

import pytest

from scenarios.catalog.idempotency_key.checks import find_recognised_after_a_lost_reply
from scenarios.checks.invariants import deleted_before_done, duplicated_side_effect, endpoint_mismatch, lost
from tests.scenarios.recorded import Told


def call(told, process, identity, *, key="k", executions=1, recognised=False, reply_lost=False):
    at = told.begin(process, "CallApi", **told.about(identity), idempotency_key=key)
    if reply_lost:
        told.fault(process, at, "CallApi", "reply-lost")
        told.fail(process, at, "CallApi")
    else:
        told.end(process, at, "CallApi", {"executions": executions, "recognised": recognised})


def called_twice(*, reply_lost=True, key="k", recognised=True):
    told = Told()
    told.send("a")
    told.receive("c", "a")
    call(told, "c", "a", reply_lost=reply_lost)
    call(told, "c", "a", key=key, recognised=recognised, executions=1 if recognised else 2)
    told.delete("c", "a")
    return told


def test_a_repeat_that_the_api_knows_is_evidence():
    assert find_recognised_after_a_lost_reply(called_twice().history).summary == (
        "once, e.g. message #0: c heard of a timeout, c called again 0.10 s later, and the API knew the key"
    )


@pytest.mark.parametrize("near", [{"reply_lost": False}, {"key": "another"}, {"recognised": False}])
def test_a_repeat_that_proves_nothing_is_no_evidence(near):
    assert find_recognised_after_a_lost_reply(called_twice(**near).history) is None


def test_a_call_that_was_done_unheard_and_then_recognised_is_one_execution():
    told = called_twice()
    told.ledger(a=1)
    for check in (lost, duplicated_side_effect, deleted_before_done, endpoint_mismatch):
        assert check(told.history) == [], check


def test_a_recognised_call_counts_as_done_where_the_ledger_was_not_read():
    assert called_twice().history.executions == {"a": 1}
    assert called_twice(reply_lost=False).history.executions == {"a": 1}


def test_a_call_that_the_api_did_not_know_is_a_second_execution():
    told = called_twice(reply_lost=False, key="another", recognised=False)
    told.ledger(a=2)
    assert [found.keys for found in duplicated_side_effect(told.history)] == [("a",)]
    assert endpoint_mismatch(told.history) == []


def test_a_ledger_that_counts_a_recognised_call_disagrees_with_its_clients():
    told = called_twice(reply_lost=False)
    told.ledger(a=2)
    (found,) = endpoint_mismatch(told.history)
    assert "the ledger holds 2 executions" in found.summary
