"""One contract over both outboxes: the model in memory, and the real one over DynamoDB's protocol."""

import pytest

from scenarios.exploration.campaign import violated_by
from scenarios.simulation.lab import MOST_LIVES_STRUCK
from scenarios.simulation.random_faults import Kind, RandomFault
from services import operations as op
from tests.scenarios.simulation.test_tables import Model, Real, client  # noqa: F401 - a fixture is used by its name


class ModelOutbox:
    def __init__(self):
        self._outbox = Model()._tables.outbox

    def __getattr__(self, name):
        method = getattr(self._outbox, name)
        return lambda operation: method(operation, lambda: 1000.0)


@pytest.fixture(params=["model", "real"])
def outbox(request):
    if request.param == "model":
        yield ModelOutbox()
        return
    real = Real(request.getfixturevalue("client"))
    yield real.outbox
    real.drop()


def test_a_change_and_its_message_are_written_together(outbox):
    assert outbox.commit_change(op.CommitChange("k", "placed", "tell of k")) is True
    assert outbox.read_outbox(op.ReadOutbox(10)) == (op.OutboxEntry("k", "tell of k"),)


def test_a_change_that_was_made_before_writes_nothing(outbox):
    outbox.commit_change(op.CommitChange("k", "placed", "first"))
    outbox.mark_sent(op.MarkSent(("k",)))
    assert outbox.commit_change(op.CommitChange("k", "placed", "second")) is False
    assert outbox.read_outbox(op.ReadOutbox(10)) == ()


def test_a_change_may_send_no_message(outbox):
    assert outbox.commit_change(op.CommitChange("k", "placed")) is True
    assert outbox.commit_change(op.CommitChange("k", "placed", "late")) is False
    assert outbox.read_outbox(op.ReadOutbox(10)) == ()


def test_the_outbox_is_read_up_to_a_limit_and_the_rest_comes_next(outbox):
    for key in "cab":
        outbox.commit_change(op.CommitChange(key, "placed", f"tell of {key}"))
    assert [entry.key for entry in outbox.read_outbox(op.ReadOutbox(2))] == ["a", "b"]
    outbox.mark_sent(op.MarkSent(("a", "b")))
    assert [entry.key for entry in outbox.read_outbox(op.ReadOutbox(2))] == ["c"]


def test_marking_again_what_is_marked_is_the_same_as_once(outbox):
    outbox.commit_change(op.CommitChange("k", "placed", "tell"))
    for _ in range(2):
        assert outbox.mark_sent(op.MarkSent(("k", "never there"))) is None
    assert outbox.read_outbox(op.ReadOutbox(10)) == ()


def test_a_producer_that_a_random_fault_killed_is_restarted_where_it_was(simulated):
    heirs = 0
    for seed in range(40):
        history = simulated("outbox", seed, with_faults=True).history
        for end in list(history.exits.values()):
            if "successor" in end.record:
                heirs += 1
                assert end.code < 0
                assert end.record["successor"] in history.exits
    assert heirs


class DiesAtOnce:
    """A shop that a fault kills at its first operation in each of its lives."""

    def begin(self):
        return self

    def of(self, role, name):
        return (RandomFault(Kind.CRASH_BEFORE, 1),) if role == "stateful producer" else ()


def test_a_process_that_is_killed_in_each_life_is_spared_after_some_so_that_its_story_ends(simulated):
    simulation = simulated("outbox", 1, with_faults=True, schedule=DiesAtOnce())
    assert not violated_by(simulation.verdict)
    assert simulation.verdict.conditions.missed == ""
    killed = [strike.process for strike in simulation.history.faults if strike.kind == "crash" and not strike.planned]
    assert killed.count("shop") == 1
    assert len([name for name in killed if name.startswith("shop")]) == MOST_LIVES_STRUCK
