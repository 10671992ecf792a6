"""The judge of a freshness rule goes by the history's own clock, and leaves to the consumers what lies at the limit."""

import pytest

from scenarios.catalog.backlog_drain.checks import (
    deleted_fresh,
    expired_too_early,
    find_drained_together,
    find_expired,
    find_fresh_done,
    find_piled_up,
    neither_done_nor_expired,
    stale_work,
)
from tests.scenarios.recorded import Told

#: The limit and the visibility timeout of these histories; a tenth of the latter is left to the clocks.
LIMIT, TIMEOUT = 2.0, 1.0


@pytest.fixture
def told():
    told = Told(visibility_timeout=TIMEOUT)
    told.records[0]["parameters"] = {"max_age": LIMIT}
    told.send("a")
    return told


def after(told, seconds):
    """Let time pass since the first message was offered, up to a receive's answer that follows at once."""
    offered = next(record["time"] for record in told.records if record.get("operation") == "Send")
    told.now = offered + seconds - 0.2


def expire(told, identity, process="c"):
    told.event(process, "expired", key=identity, message_id=f"m-{identity}", age=9.9, max_age=LIMIT)


@pytest.mark.parametrize(("age", "stale"), [(1.9, False), (2.1, False), (2.2, True), (5.0, True)])
def test_a_side_effect_is_stale_work_by_the_age_at_its_receive(told, age, stale):
    after(told, age)
    told.receive("c", "a")
    told.now += 9
    told.effect("c", "a")
    assert bool(stale_work(told.history)) is stale


def test_stale_work_says_how_old_it_was(told):
    after(told, 5.0)
    told.receive("c", "a")
    told.effect("c", "a")
    (found,) = stale_work(told.history)
    assert found.summary == "message #0 was 5.0 s old when c received it, and was done; 2 s are the limit."


@pytest.mark.parametrize(("age", "convicts"), [(1.5, True), (5.0, False)], ids=["fresh", "stale"])
def test_a_stale_message_may_go_while_another_consumer_that_found_it_fresh_is_at_work_on_it(told, age, convicts):
    told.receive("c", "a")
    told.receive("d", "a", count=2)
    begun = told.begin("c", "PerformSideEffect", key="a", message_id="m-a", sequence=0, group=None)
    after(told, age)
    told.delete("d", "a")
    told.end("c", begun, "PerformSideEffect", 1)
    told.ledger(a=1)
    assert bool(deleted_fresh(told.history)) is convicts


def test_a_fresh_delivery_does_not_excuse_a_stale_one_in_another_process(told):
    told.receive("died", "a")
    after(told, 5.0)
    told.receive("c", "a", count=2)
    told.effect("c", "a")
    assert stale_work(told.history)


def test_a_side_effect_that_failed_is_no_work(told):
    after(told, 5.0)
    told.receive("c", "a")
    told.fail("c", told.begin("c", "PerformSideEffect", **told.about("a")), "PerformSideEffect", transient=False)
    assert stale_work(told.history) == []


@pytest.mark.parametrize(("age", "early"), [(1.5, True), (2.05, False), (3.0, False)])
def test_a_message_that_expires_while_it_is_fresh_is_a_violation(told, age, early):
    after(told, age + 0.1)
    expire(told, "a")
    assert bool(expired_too_early(told.history)) is early


def test_the_age_counts_from_the_first_offer_of_a_message():
    told = Told(visibility_timeout=TIMEOUT)
    told.records[0]["parameters"] = {"max_age": LIMIT}
    told.send("a", acknowledged=False)
    body, first = told._bodies["a"], told.now
    told.now += 3
    invocation = told.begin("producer", "Send", messages=[{"body": body, "group": None}])
    told.end("producer", invocation, "Send", {"sent": [{"entry": 0, "message_id": "m-a"}], "failed": []})
    told.receive("c", "a")
    told.effect("c", "a")
    assert stale_work(told.history)
    assert told.now - first > LIMIT


def test_a_run_without_a_limit_has_no_stale_work(told):
    del told.records[0]["parameters"]
    told.now += 99
    told.handle("c", "a")
    assert stale_work(told.history) == []


def test_each_message_is_done_or_expired(told):
    told.send("b", "c", "d", "e")
    told.handle("c", "a")
    told.receive("c", "b")
    expire(told, "b")
    told.delete("c", "b")
    told.receive("c", "c")
    told.delete("c", "c")
    assert neither_done_nor_expired(told.history) == [], "who deletes c without a word lets it expire, and d waits"
    told.receive("c", "e")
    told.fail("c", told.begin("c", "Delete", messages=["m-e"]), "Delete")
    told.endpoint("deleted", "e")
    assert neither_done_nor_expired(told.history) == [], "the reply to the delete of e was lost"
    told.endpoint("expired", "d")
    (found,) = neither_done_nor_expired(told.history)
    assert found.message_ids == ("m-d",)


def test_a_backlog_is_seen_when_its_oldest_message_is_stale_at_the_first_receive(told):
    told.receive("c", "a")
    assert find_piled_up(told.history) is None
    told = Told()
    told.records[0]["parameters"] = {"max_age": LIMIT}
    told.send("a", "b")
    told.now += 3
    told.receive("c", "a")
    assert find_piled_up(told.history).summary == "2 messages, the oldest 3.4 s old at the first receive"


def test_consumers_drain_together_when_the_second_begins_before_the_first_has_ended():
    told = Told()
    told.send("a", "b", "c")
    told.handle("c1", "a")
    assert find_drained_together(told.history) is None
    told.handle("c2", "b")
    assert find_drained_together(told.history) is None, "one after the other"
    told.handle("c1", "c")
    assert find_drained_together(told.history).count == 2


def test_what_came_after_the_backlog_is_not_drained():
    told = Told()
    told.send("a")
    told.handle("c1", "a")
    told.send("b", "c")
    told.receive("c2", "b")
    told.handle("c1", "c")
    assert find_drained_together(told.history) is None


def test_expired_is_what_was_deleted_and_not_done(told):
    after(told, 5.0)
    told.receive("c", "a")
    expire(told, "a")
    assert find_expired(told.history) is None
    told.delete("c", "a")
    assert find_expired(told.history).summary.startswith("1 of 1 messages, e.g. message #0, 5.")
    told.effect("c", "a")
    assert find_expired(told.history) is None


def test_fresh_work_is_work_that_began_in_time(told):
    after(told, 5.0)
    told.handle("c", "a")
    assert find_fresh_done(told.history) is None
    told.send("b")
    told.handle("c", "b")
    assert find_fresh_done(told.history).count == 1


@pytest.mark.parametrize(("age", "early"), [(1.2, True), (3.0, False)])
def test_who_deletes_without_a_side_effect_and_a_word_has_let_a_message_expire(told, age, early):
    told.receive("c", "a")
    after(told, age)
    told.delete("c", "a")
    told.ledger()
    assert bool(expired_too_early(told.history)) is early
    assert neither_done_nor_expired(told.history) == []
    assert find_expired(told.history)
