"""The judge of updates: the state is read from the table, the updates from the messages."""

import pytest

from scenarios.catalog.out_of_order.checks import (
    find_overtaken,
    find_overtaken_write,
    find_raced,
    find_superseded,
    stale_state,
    update_dropped,
)
from scenarios.exploration.targets import make_target
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.run import simulate
from tests.scenarios.recorded import Told


def two_versions(*order):
    told = Told()
    for version in (1, 2):
        told.send(f"v{version}", entity="e0", version=version)
    for version in order:
        told.receive("c", f"v{version}")
    return told


def write(told, version, there=None, *, delete=True):
    """Write a version; ``there`` is the newer one that is found."""
    result = {"took": there is None, "version": there or version}
    arguments = {"entity": "e0", "version": version, "key": f"v{version}", "message_id": f"m-v{version}"}
    told.do("c", "WriteState", result, **arguments, only_if_newer=True)
    if delete:
        told.delete("c", f"v{version}")


def states(told, **versions):
    told.event("lab", "states", versions=versions)


def test_the_highest_version_is_accepted():
    told = two_versions(2, 1)
    write(told, 2)
    write(told, 1, there=2)
    states(told, e0=2)
    assert stale_state(told.history) == update_dropped(told.history) == []


@pytest.mark.parametrize("read", [True, False], ids=["by the table", "by the last write"])
def test_an_older_version_that_overwrote_a_newer_one_is_a_violation(read):
    told = two_versions(2, 1)
    write(told, 2)
    write(told, 1)
    if read:
        states(told, e0=1)
    (found,) = stale_state(told.history)
    assert found.summary == "e0 is at version 1, and version 2 was sent."
    assert found.message_ids == ("m-v2",)


def test_an_entity_that_has_no_state_is_a_violation():
    told = two_versions(1, 2)
    told.delete("c", "v1", "v2")
    states(told)
    assert [found.summary for found in stale_state(told.history)] == ["e0 is at version none, and version 2 was sent."]


def test_a_newer_version_that_was_written_and_still_waits_is_accepted_and_one_that_nobody_sent_is_not():
    told = two_versions(1, 2)
    write(told, 1)
    write(told, 2, delete=False)
    states(told, e0=2)
    assert stale_state(told.history) == []
    states(told, e0=3)
    (found,) = stale_state(told.history)
    assert found.summary == "e0 is at version 3, and version 1 was sent."


def test_what_still_waits_cannot_be_missed_in_the_state():
    told = two_versions(1)
    write(told, 1)
    states(told, e0=1)
    assert stale_state(told.history) == []


def test_an_update_that_left_the_queue_unwritten_is_a_violation():
    told = two_versions(1, 2)
    write(told, 1)
    told.delete("c", "v2")
    states(told, e0=1)
    (found,) = update_dropped(told.history)
    assert found.message_ids == ("m-v2",)
    assert found.summary == "message #1 left the queue before any write had found e0 at version 2 or newer."


@pytest.mark.parametrize("by", ["c", "d"], ids=["by the same consumer", "by another one"])
def test_an_older_update_needs_no_write_of_its_own_once_a_newer_one_is_written(by):
    told = two_versions(2)
    write(told, 2)
    told.receive(by, "v1")
    told.delete(by, "v1")
    assert update_dropped(told.history) == []
    assert find_superseded(told.history).summary == "once, e.g. e0: version 1, when version 2 was there"


def test_an_older_update_that_is_deleted_before_the_newer_one_is_written_is_a_violation():
    told = two_versions(2, 1)
    told.delete("c", "v1")
    write(told, 2)
    assert [found.message_ids for found in update_dropped(told.history)] == [("m-v1",)]
    assert find_superseded(told.history) is None


def test_a_delete_that_failed_is_none():
    told = two_versions(2, 1)
    told.delete("c", "v1", refused=(0,))
    write(told, 2)
    told.delete("c", "v1")
    assert update_dropped(told.history) == []


def test_a_write_of_unknown_outcome_is_no_write():
    told = two_versions(1, 2)
    write(told, 1)
    told.begin("c", "WriteState", entity="e0", version=2, key="v2", message_id="m-v2", only_if_newer=True)
    told.receive("d", "v2", count=2)
    told.delete("d", "v2")
    assert [found.message_ids for found in update_dropped(told.history)] == [("m-v2",)]


def test_a_newer_version_before_an_older_one_is_seen():
    assert find_overtaken(two_versions(1, 2).history) is None
    found = find_overtaken(two_versions(2, 1).history)
    assert found.summary == "once, 1 of them at the first receive, e.g. e0: version 1 after version 2"


def test_the_same_update_received_again_overtakes_nothing():
    assert find_overtaken(two_versions(1, 2, 2).history) is None


def test_a_write_that_finds_a_newer_version_is_seen_and_one_that_finds_its_own_is_not():
    told = two_versions(2, 1)
    write(told, 2)
    write(told, 2, there=2)
    assert find_superseded(told.history) is None
    write(told, 1, there=2)
    assert find_superseded(told.history).summary == "once, e.g. e0: version 1, when version 2 was there"


def test_an_older_version_that_was_written_first_was_not_superseded():
    told = two_versions(1, 2)
    write(told, 1, delete=False)
    write(told, 2)
    told.delete("c", "v1")
    assert find_superseded(told.history) is None


@pytest.mark.parametrize(
    ("by", "version", "there", "found"),
    [("d", 1, True, True), ("c", 1, True, False), ("d", 2, True, False), ("d", 1, False, False)],
    ids=["two at once", "one consumer", "the same version", "one after the other"],
)
def test_two_consumers_race_if_they_write_an_entity_at_the_same_time(by, version, there, found):
    told = two_versions(2, 1)
    about = {"entity": "e0", "key": "v2", "message_id": "m-v2", "only_if_newer": True}
    took = {"took": True, "version": 2}
    first = told.begin("c", "WriteState", version=2, **about)
    if not there:
        told.end("c", first, "WriteState", took)
    second = told.begin(by, "WriteState", version=version, **about)
    if there:
        told.end("c", first, "WriteState", took)
    told.end(by, second, "WriteState", {"took": False, "version": 2})
    said = find_raced(told.history)
    assert (said is not None) is found
    if found:
        assert said.summary == "once, e.g. e0: version 2 by c and version 1 by d"


@pytest.mark.parametrize(
    ("newer", "by", "ended", "found"),
    [(3, "d", True, True), (2, "d", True, False), (3, "c", True, False), (3, "d", False, False)],
    ids=["the newest", "a newer one", "one consumer", "one after the other"],
)
def test_a_write_is_overtaken_where_another_consumer_writes_the_newest_version_meanwhile(newer, by, ended, found):
    told = Told()
    for version in (1, 2, 3):
        told.send(f"v{version}", entity="e0", version=version)
    about = {"entity": "e0", "message_id": "m", "only_if_newer": True}
    older = told.begin("c", "WriteState", version=1, key="v1", **about)
    second = told.begin(by, "WriteState", version=newer, key=f"v{newer}", **about)
    first, last = ((by, second), ("c", older)) if ended else (("c", older), (by, second))
    for process, call in (first, last):
        told.end(process, call, "WriteState", {"took": True, "version": newer})
    assert (find_overtaken_write(told.history) is not None) is found


@pytest.mark.parametrize(("there", "dropped", "superseded"), [(2, 0, True), (1, 0, False), (None, 1, False)])
def test_a_program_that_reads_of_a_version_may_drop_an_update_to_it_or_to_an_older_one(there, dropped, superseded):
    told = two_versions(1)
    told.do("c", "ReadState", there, entity="e0")
    told.delete("c", "v1")
    assert len(update_dropped(told.history)) == dropped
    assert (find_superseded(told.history) is not None) is superseded


@pytest.mark.parametrize("count", [6, 12, 25, 60])
def test_the_race_is_staged_however_many_messages_there_are(count):
    careful = simulate(make_target("out-of-order", count=count).plan(1), SeededChoices(1), NoFaults())
    assert (str(careful.verdict.outcome), careful.verdict.reason) == ("pass", careful.verdict.reason)
    naive = simulate(make_target("out-of-order", count=count, naive=True).plan(1), SeededChoices(1), NoFaults())
    assert [name for name, found in naive.verdict.violations.items() if found] == ["stale-state"]
