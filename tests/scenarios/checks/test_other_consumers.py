"""Who is a stranger, and who only died."""

import pytest

from scenarios.checks.other_consumers import taken_by_others
from tests.scenarios.recorded import Told


@pytest.fixture
def told():
    told = Told()
    told.send("a", endpoint=True)
    told.endpoint("delivered", "a", receive_count=1)
    return told


def test_what_nobody_of_the_run_received_and_nobody_deleted_is_gone_all_the_same(told):
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history) == ["m-a"]


def test_a_stranger_may_receive_what_a_consumer_has_received_before(told):
    told.receive("c", "a")
    told.endpoint("delivered", "a", receive_count=2)
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history) == ["m-a"]


def test_nobody_is_a_stranger_for_a_delivery_alone_since_its_receiver_may_have_died(told):
    told.begin("c", "Receive", max_messages=1, wait_seconds=1)
    told.endpoint("delivered", "a", receive_count=2)
    told.receive("d", "a", count=3)
    told.delete("d", "a")
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history) == []


def test_who_died_in_a_delete_has_asked_for_it(told):
    told.begin("c", "Delete", messages=["m-a"])
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history) == []


def test_a_consumer_that_deletes_what_it_received_without_a_record_is_not_taken_for_a_stranger(told):
    told.receive("c", "a")
    told.endpoint("deleted", "a")
    assert taken_by_others(told.history) == []


def test_a_delivery_after_the_delete_explains_nothing(told):
    told.receive("c", "a")
    told.endpoint("deleted", "a")
    told.endpoint("delivered", "a", receive_count=2)
    assert taken_by_others(told.history) == []
