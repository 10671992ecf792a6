"""Who is a stranger, and who only died."""

import pytest

from scenarios.checks.other_consumers import taken_by_others
from tests.scenarios.recorded import DLQ, Told


@pytest.fixture
def told():
    told = Told()
    told.send("a", endpoint=True)
    told.endpoint("delivered", "a", receive_count=1)
    return told


def test_a_message_that_vanished_unreceived_and_undeleted_is_gone_all_the_same(told):
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history).message_ids == ["m-a"]


def test_another_consumer_may_receive_what_a_consumer_has_received_before(told):
    told.receive("c", "a")
    told.endpoint("delivered", "a", receive_count=2)
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history).message_ids == ["m-a"]


def test_a_delivery_alone_shows_no_other_consumer_since_its_receiver_may_have_died(told):
    told.receive("b", "a")
    told.begin("c", "Receive", max_messages=1, wait_seconds=1)
    told.endpoint("delivered", "a", receive_count=2)
    told.receive("d", "a", count=3)
    told.delete("d", "a")
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history).message_ids == []


def test_a_consumer_that_died_in_a_delete_has_asked_for_it(told):
    told.receive("c", "a")
    told.begin("c", "Delete", messages=["m-a"])
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history).message_ids == []


def test_a_consumer_that_deletes_without_a_record_is_not_taken_for_one_of_another_run(told):
    told.receive("c", "a")
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history).message_ids == []


def test_a_delivery_after_the_delete_does_not_explain_it(told):
    told.receive("c", "a")
    told.endpoint("deleted", "a")
    told.begin("d", "Receive", max_messages=1, wait_seconds=1)
    told.endpoint("delivered", "a", receive_count=2)
    assert taken_by_others(told.history).message_ids == []


def test_another_consumer_that_only_receives_shows_by_a_delivery_that_no_receive_can_have_got(told):
    told.receive("c", "a")
    told.endpoint("delivered", "a", receive_count=2)
    told.begin("d", "Receive", max_messages=1, wait_seconds=1)
    told.handle("e", "a", count=3)
    taken = taken_by_others(told.history)
    assert taken.message_ids == ["m-a"]
    assert "which no consumer of this run got" in taken.what


# --- where no endpoint tells of its side ---------------------------------------------------------------------------


@pytest.fixture
def untold():
    told = Told()
    told.send("a", "b")
    told.handle("c", "b")
    return told


def left(told, *ids, in_flight=0):
    told.event("lab", "left-in-queue", message_ids=[f"m-{identity}" for identity in ids], in_flight=in_flight)
    return taken_by_others(told.history).message_ids


def test_what_is_in_no_queue_and_no_process_asked_to_delete_another_consumer_deleted(untold):
    assert left(untold) == ["m-a"]
    assert "or the endpoint lost them" in taken_by_others(untold.history).what


def test_what_a_consumer_received_and_never_deleted_is_gone_by_anothers_hand_as_well(untold):
    untold.receive("c", "a")
    assert left(untold) == ["m-a"]


def test_what_is_left_in_the_queue_was_not_taken(untold):
    assert left(untold, "a") == []


def test_what_is_still_in_flight_was_not_taken_for_sure(untold):
    assert left(untold, in_flight=1) == []


def test_a_consumer_that_died_in_a_delete_has_asked_for_it_elsewhere_too(untold):
    untold.begin("c", "Delete", messages=["m-a"])
    assert left(untold) == []


def test_a_dead_letter_was_not_taken(untold):
    untold.receive("lab-dead-letters", "a", count=3, queue=DLQ)
    assert left(untold) == []


def test_a_purge_explains_what_was_sent_before_and_within_a_minute_of_it():
    told = Told()
    told.send("a")
    told.do("producer", "Purge")
    told.send("b")
    told.now += 61
    told.send("c")
    assert left(told) == ["m-c"]


def test_a_receive_count_that_no_receive_of_the_run_explains_is_another_consumers(untold):
    untold.handle("c", "a", count=3)
    taken = taken_by_others(untold.history)
    assert taken.message_ids == ["m-a"]
    assert "by their receive counts" in taken.what


@pytest.mark.parametrize("received", [0, 1], ids=["the reply was lost", "another consumer of the run has it, too"])
def test_a_receive_count_that_the_runs_own_receives_explain_shows_no_other_consumer(untold, received):
    if received:
        untold.receive("d", "a", count=1)
    else:
        untold.begin("d", "Receive", max_messages=1, wait_seconds=1)
    untold.handle("c", "a", count=2)
    assert taken_by_others(untold.history).message_ids == []
