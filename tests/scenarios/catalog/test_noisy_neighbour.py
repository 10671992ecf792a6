"""Fairness between tenants: histories in which a quiet one is passed over, and near ones in which it is not."""

import pytest

from scenarios.catalog.noisy_neighbour.checks import MANY, find_long_line, find_overtook, tenant_starved
from tests.scenarios.recorded import QUEUE, Told


def told_flood(*, hands=MANY, fair=False, timeout=100.0, deletes=False, batches=2, there=True):
    """A flood of 40; some are in hand when a quiet message comes, and batches of ten go before it or after it."""
    told = Told(visibility_timeout=timeout)
    noisy = [f"n{number}" for number in range(40)]
    told.send(*noisy, tenant="noisy")
    told.receive("a", *noisy[:hands])
    if deletes:
        told.delete("a", *noisy[:hands])
    if there:
        told.send("q", tenant="quiet")
    if fair:
        told.receive("b", "q")
    for batch in range(batches):
        told.receive("b", *noisy[20 + 10 * batch : 30 + 10 * batch])
    if not there:
        told.send("q", tenant="quiet")
    if not fair:
        told.receive("b", "q")
    return told


def test_a_quiet_tenants_message_that_waits_for_two_batches_of_the_noisy_one_is_passed_over():
    [violation] = tenant_starved(told_flood().history)
    assert violation.summary == (
        "20 messages of the noisy tenant were received before message #40 of quiet, which was there already."
    )
    assert violation.message_ids == ("m-q",)


@pytest.mark.parametrize(
    "near",
    [
        {"fair": True},
        {"batches": 1},
        {"hands": MANY - 1},
        {"deletes": True},
        {"timeout": 0.5},
        {"there": False},
    ],
    ids=["it is next", "one batch", "few in hand", "none in hand", "none surely in hand", "it comes last"],
)
def test_a_message_that_is_next_or_nearly_is_not_passed_over(near):
    assert tenant_starved(told_flood(**near).history) == []


def test_a_message_that_a_lost_reply_took_out_of_the_line_was_not_passed_over_after_that():
    told = Told(visibility_timeout=100.0)
    noisy = [f"n{number}" for number in range(40)]
    told.send(*noisy, tenant="noisy")
    told.receive("a", *noisy[:MANY])
    told.send("q", tenant="quiet")
    invocation = told.begin("c", "Receive", max_messages=10, wait_seconds=1)
    told.event("endpoint", "delivered", queue=QUEUE, message_id="m-q", receive_count=1)
    told.fail("c", invocation, "Receive")
    told.receive("b", *noisy[20:30])
    told.receive("b", *noisy[30:40])
    told.receive("b", "q", count=2)
    assert tenant_starved(told.history) == []


def test_a_long_line_is_evidence_and_so_is_overtaking_it():
    fair, unfair = told_flood(fair=True).history, told_flood().history
    assert find_long_line(fair).summary == (
        "30 messages of the noisy tenant waited when message #40 of quiet was sent; none was preferred to it"
    )
    assert find_long_line(unfair).summary.endswith("; 20 of them were received in its time")
    assert find_overtook(fair).count == 1
    assert find_overtook(unfair) is None


def test_a_short_line_is_no_evidence():
    told = Told()
    told.send("a", "b", "c", tenant="noisy")
    told.send("q", tenant="quiet")
    told.receive("c", "q")
    assert find_long_line(told.history) is find_overtook(told.history) is None
