"""What holds of a mapping whatever the function, the deletes and the throttles do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.localaws.lambda_.actions import Failure, Result
from infra.localaws.lambda_.mapping import EventSourceMapping
from infra.localaws.lambda_.settings import MappingSettings
from tests.localaws.lambda_.rig import Rig, failing

VISIBILITY = 20
OUTCOMES = st.sampled_from(["fine", "fine", "some", "garbage", *Failure])
FIFO_OUTCOMES = st.sampled_from(["fine", "fine", "some", Failure.ERROR])


class Scripted:
    """A handler that does what a list says, and then succeeds; it notes what it acknowledged, in order."""

    def __init__(self, outcomes):
        self.outcomes = list(outcomes)
        self.acknowledged = []

    def __call__(self, invocation):
        outcome = self.outcomes.pop(0) if self.outcomes else "fine"
        records = invocation.records
        if isinstance(outcome, Failure):
            return Result(b"{}", outcome)
        if outcome == "garbage":
            return failing("nobody")
        failed = self.failures(records) if outcome == "some" else []
        self.acknowledged += [record for record in records if record["messageId"] not in failed]
        return failing(*failed)

    def failures(self, records):
        return [record["messageId"] for record in records[::2]]


class StopsAtTheFirstFailure(Scripted):
    """As AWS advises for FIFO queues: the first failure and everything after it are returned."""

    def failures(self, records):
        return [record["messageId"] for record in records[len(records) // 2 :]]


class ReturnsOnlyTheFailure(Scripted):
    """The mistake: what comes after the failure is acknowledged."""

    def failures(self, records):
        return [records[len(records) // 2]["messageId"]]


def deleted(rig):
    return {fields["message_id"] for fields in rig.lab.named("deleted")}


def check_standard(rig, handler, cap):
    acknowledged = {record["messageId"] for record in handler.acknowledged}
    assert deleted(rig) <= acknowledged
    assert rig.most_running <= cap
    assert rig.lab.named("visibility-changed") == []
    assert rig.left() == 0
    assert rig.mapping.in_hand == ()


def orders(handler):
    """Return each group's bodies in the order in which they were first acknowledged."""
    seen = {}
    for record in handler.acknowledged:
        bodies = seen.setdefault(record["attributes"]["MessageGroupId"], [])
        if record["body"] not in bodies:
            bodies.append(record["body"])
    return seen


@settings(max_examples=60)
@given(
    outcomes=st.lists(OUTCOMES, max_size=12),
    faults=st.lists(st.sets(st.integers(0, 9)), max_size=6),
    batch_size=st.integers(1, 12),
    window=st.integers(1, 5),
    cap=st.integers(2, 6),
    reserved=st.integers(1, 6),
    count=st.integers(1, 30),
    seconds=st.sampled_from([0.1, 3, 11]),
)
def test_only_what_was_acknowledged_is_deleted_and_nothing_is_lost(
    *, outcomes, faults, batch_size, window, cap, reserved, count, seconds
):
    handler = Scripted(outcomes)
    rig = Rig(
        MappingSettings(batch_size=batch_size, window=window, report_item_failures=True, maximum_concurrency=cap),
        handler=handler,
        reserved=reserved,
        visibility=VISIBILITY,
        seconds=seconds,
        delete_faults=faults,
    )
    rig.send(*map(str, range(count)))
    rig.run(2_000)
    check_standard(rig, handler, min(cap, reserved))


def fifo_rig(handler, batch_size, groups, reserved=None):
    settings = MappingSettings(batch_size=batch_size, report_item_failures=True)
    rig = Rig(settings, fifo=True, handler=handler, reserved=reserved, visibility=VISIBILITY, seconds=1)
    for number, group in enumerate(groups):
        rig.send_group(group, f"{group}{number:03d}")
    rig.run(1_500)
    return rig


@settings(max_examples=60)
@given(
    outcomes=st.lists(FIFO_OUTCOMES, max_size=12),
    batch_size=st.integers(1, 10),
    groups=st.lists(st.sampled_from("abc"), min_size=1, max_size=25),
    reserved=st.none() | st.integers(1, 2),
)
def test_a_function_that_stops_at_the_first_failure_keeps_the_order_of_every_group(
    outcomes, batch_size, groups, reserved
):
    handler = StopsAtTheFirstFailure(outcomes)
    rig = fifo_rig(handler, batch_size, groups, reserved)
    assert rig.left() == 0
    for bodies in orders(handler).values():
        assert bodies == sorted(bodies)


def test_a_function_that_returns_only_its_failure_breaks_the_order():
    handler = ReturnsOnlyTheFailure(["some"])
    fifo_rig(handler, 10, "aaaaa")
    assert orders(handler)["a"] == ["a000", "a001", "a003", "a004", "a002"]


class DeletesWhatFailed(EventSourceMapping):
    """A broken mapping: to it a function error is a success."""

    def answered(self, batch, result):
        super().answered(batch, Result())


def test_the_check_finds_a_mapping_that_deletes_what_failed(monkeypatch):
    monkeypatch.setattr("tests.localaws.lambda_.rig.EventSourceMapping", DeletesWhatFailed)
    handler = Scripted([Failure.ERROR])
    rig = Rig(MappingSettings(report_item_failures=True), handler=handler)
    rig.send("a")
    rig.run(60)
    with pytest.raises(AssertionError):
        check_standard(rig, handler, 5)
