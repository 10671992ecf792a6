"""Backpressure in a history: the load at a moment, what is too old, what flaps, and what is evidence."""

import pytest

from scenarios.catalog.backpressure.checks import find_outrun, find_scaled_in, find_steady_state, steady, younger_than
from scenarios.history.backlog import Load, load_at
from tests.scenarios.recorded import TICK, Told


def scaled(told, consumers, *, after=0.0):
    told.now += after
    told.event("lab", "scaled", consumers=consumers, why="it is told so")


def test_the_load_is_what_was_acknowledged_and_has_not_left_the_queue():
    told = Told()
    told.send("a", "b")
    sent = told.now
    told.receive("c", "a")
    assert load_at(told.history, told.now) == Load(2, pytest.approx(told.now - (sent - 2 * TICK)))
    told.delete("c", "a")
    assert load_at(told.history, told.now) == Load(1, pytest.approx(told.now - sent))
    assert load_at(told.history, sent).messages == 2
    assert load_at(told.history, 0.0) == Load(0, 0.0)


@pytest.mark.parametrize("event", ["deleted", "expired", "dead-lettered"])
def test_where_the_endpoint_tells_its_word_counts(event):
    told = Told()
    told.send("a", endpoint=True)
    told.endpoint(event, "a")
    assert load_at(told.history, told.now).messages == 0


def test_what_was_purged_is_nothing_to_do():
    told = Told()
    told.send("a", "b", endpoint=True)
    told.event("endpoint", "purged", queue="work", count=1, message_ids=["m-a"])
    assert load_at(told.history, told.now).messages == 1


@pytest.mark.parametrize(("seconds", "deleted", "found"), [(5, True, 0), (11, True, 1), (11, False, 1)])
def test_a_message_is_too_old_if_it_was_in_the_queue_for_too_long_also_if_it_still_is(seconds, deleted, found):
    told = Told()
    told.send("a")
    told.now += seconds
    if deleted:
        told.delete("c", "a")
    else:
        told.receive("c")
    violations = younger_than(10).check(told.history)
    assert len(violations) == found
    assert all(item.summary == "message #0 was in the queue for 11 s." for item in violations)


@pytest.mark.parametrize(
    ("numbers", "after", "found"),
    [
        ((1, 2, 4, 2, 1), 5.0, 1),
        ((1, 2, 1, 2), 5.0, 2),
        ((1, 2, 1), 20.0, 0),
        ((1, 2, 4, 8), 5.0, 0),
        ((1,), 5.0, 0),
    ],
    ids=["taken back once", "taken back twice", "taken back late", "one way", "nothing"],
)
def test_it_flaps_if_a_change_is_taken_back_too_soon(numbers, after, found):
    told = Told()
    for number in numbers:
        scaled(told, number, after=after)
    violations = steady(10).check(told.history)
    assert len(violations) == found
    if found:
        assert violations[0].summary.startswith(f"scaling out to {max(numbers)} consumers was taken back 5.1 s later")


def flood(*, ends=1, done=3, rest=12.0, reaction=2):
    """Three messages for one consumer, a decision, a rest in which some are done and one more comes, and the end."""
    told = Told()
    scaled(told, 1)
    told.send("a", "b", "c")
    scaled(told, reaction)
    told.delete("c", *"abc"[:done])
    told.now += rest
    told.send("d")
    scaled(told, ends)
    return told.history


def test_the_producer_outruns_the_consumers_if_more_is_to_be_done_than_there_are_when_they_become_more():
    evidence = find_outrun(flood())
    assert evidence.summary.startswith("3 messages for 1 consumer, the oldest of them ")
    assert find_outrun(flood(reaction=1)) is None


@pytest.mark.parametrize(
    ("how", "found"), [({}, True), ({"rest": 5.0}, False), ({"done": 0}, False), ({"reaction": 1}, False)]
)
def test_it_is_an_equilibrium_if_more_consumers_rest_and_what_is_to_be_done_does_not_grow(how, found):
    evidence = find_steady_state(flood(**how))
    assert (evidence is not None) is found
    if evidence is not None:
        assert evidence.summary.startswith("2 consumers for 12 s and 1 more messages: 3 messages to do")


@pytest.mark.parametrize(("how", "found"), [({}, True), ({"ends": 2}, False), ({"reaction": 1}, False)])
def test_it_is_scaled_in_if_there_are_as_few_as_in_the_beginning_after_there_were_more(how, found):
    assert (find_scaled_in(flood(**how)) is not None) is found
