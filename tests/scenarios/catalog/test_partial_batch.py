"""Batches: what the queue did not do is offered again before the next receive, and nothing else is."""

import pytest

from scenarios.catalog.partial_batch.checks import deleted_again, refused_and_forgotten
from tests.scenarios.recorded import Told


def received(*ids):
    told = Told()
    told.send(*ids)
    told.receive("c", *ids)
    return told


def fail_to_delete(told, *ids, transient=True):
    messages = [f"m-{identity}" for identity in ids]
    told.fail("c", told.begin("c", "Delete", messages=messages), "Delete", transient=transient)


@pytest.mark.parametrize(
    ("again", "found"), [((), 1), (("a",), 1), (("b",), 0), (("a", "b"), 0)], ids=["none", "another", "it", "all"]
)
def test_an_entry_that_failed_is_forgotten_unless_it_is_asked_for_again(again, found):
    told = received("a", "b")
    told.delete("c", "a", "b", failed=(1,))
    if again:
        told.delete("c", *again)
    assert len(refused_and_forgotten(told.history)) == found


def test_a_call_that_failed_as_a_whole_is_forgotten_unless_it_is_repeated():
    told = received("a", "b")
    fail_to_delete(told, "a", "b")
    (violation,) = refused_and_forgotten(told.history)
    assert violation.summary == "c had an entry of a Delete refused for a while, and did not offer it again."
    told.delete("c", "a", "b")
    assert refused_and_forgotten(told.history) == []


def test_a_delete_after_the_next_receive_is_no_second_try():
    told = received("a")
    fail_to_delete(told, "a")
    told.receive("c", "a", count=2)
    told.delete("c", "a")
    assert len(refused_and_forgotten(told.history)) == 1


def test_what_was_refused_for_good_is_not_asked_for_again():
    told = received("a", "b")
    told.delete("c", "a", "b", refused=(1,))
    fail_to_delete(told, "b", transient=False)
    assert refused_and_forgotten(told.history) == []


def test_one_that_has_tried_three_times_may_give_up():
    told = received("a")
    for _ in range(2):
        fail_to_delete(told, "a")
    assert len(refused_and_forgotten(told.history)) == 1
    told.delete("c", "a", failed=(0,))
    assert refused_and_forgotten(told.history) == []


def test_one_that_died_had_no_chance_to():
    told = received("a")
    fail_to_delete(told, "a")
    told.exit("c", -9)
    assert refused_and_forgotten(told.history) == []


def test_what_a_producer_could_not_send_is_forgotten_unless_it_is_sent_again():
    told = Told()
    outgoing = {"body": "{}", "group": None, "deduplication_id": None}
    told.fail("producer", told.begin("producer", "Send", messages=[outgoing]), "Send")
    assert len(refused_and_forgotten(told.history)) == 1
    sent = {"sent": [{"entry": 0, "message_id": "m-a", "sequence_number": None}], "failed": []}
    told.do("producer", "Send", sent, messages=[outgoing])
    assert refused_and_forgotten(told.history) == []


def test_what_is_deleted_and_asked_for_again_is_found():
    told = received("a", "b")
    told.delete("c", "a", "b", failed=(1,))
    told.delete("c", "a", "b")
    (violation,) = deleted_again(told.history)
    assert violation.summary == "c had deleted message #0, and asked for it again."


def test_each_delivery_may_be_deleted_and_what_failed_asked_for_again():
    told = received("a", "a", "b")
    told.delete("c", "a", "a", "b", failed=(1, 2))
    told.delete("c", "a", "b")
    told.receive("c", "a", count=3)
    fail_to_delete(told, "a")
    told.delete("c", "a")
    assert deleted_again(told.history) == []
