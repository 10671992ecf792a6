"""Redrives: a moved message is the one that was sent, and nothing that is lost or left behind goes unseen."""

from types import SimpleNamespace

import pytest

from infra.stack.stacks import Stack
from scenarios.catalog.dlq_redrive.checks import (
    find_done_before_the_redrive,
    find_done_by_the_fix,
    find_moved_back,
    left_in_dead_letter_queue,
)
from scenarios.checks.business import done_once, none_left_out
from scenarios.checks.invariants import in_flight_at_the_end, lost
from scenarios.errors import ServiceFailedError, UnsuitableError
from scenarios.lab import redriven
from scenarios.local.move_task import MoveTask, Told
from scenarios.local.stack_resources import StackResources
from scenarios.report.html.curves import curves_of
from scenarios.report.html.rows import fates_of
from services.history import Recorder
from tests.scenarios.recorded import Told as ToldHistory


@pytest.fixture
def told():
    """A message that was sent, failed, dead-lettered and moved back."""
    told = ToldHistory()
    told.send("a", endpoint=True)
    told.receive("broken", "a")
    told.endpoint("dead-lettered", "a", receive_count=1)
    told.redrive("a", "b")
    told.event("lab", "redriven", status="COMPLETED", moved=1)
    return told


def finish(told, key="a"):
    told.receive("fixed", "b")
    told.effect("fixed", "b", key=key)
    told.delete("fixed", "b")
    told.endpoint("deleted", "b")
    return told.history


def test_a_moved_message_is_the_one_that_was_sent(told):
    history = finish(told)
    assert history.messages["m-b"].key == history.messages["m-a"].key == "a"
    assert history.latest("m-a") == history.latest("m-b") == "m-b"
    assert history.name("m-b") == "message #0 (redriven)"
    assert len(history.sends) == 1
    assert lost(history) == in_flight_at_the_end(history) == left_in_dead_letter_queue(history) == []


def test_a_moved_message_can_be_moved_again(told):
    told.receive("fixed", "b")
    told.endpoint("dead-lettered", "b", receive_count=1)
    told.redrive("b", "c")
    assert told.history.latest("m-a") == "m-c"
    assert told.history.messages["m-c"].sequence == 0


def test_a_moved_message_that_waits_is_in_flight_and_not_lost(told):
    assert [found.message_ids for found in in_flight_at_the_end(told.history)] == [("m-b",)]
    assert lost(told.history) == []


def test_a_moved_message_that_is_deleted_undone_is_lost(told):
    told.receive("fixed", "b")
    told.delete("fixed", "b")
    told.endpoint("deleted", "b")
    assert [found.message_ids for found in lost(told.history)] == [("m-a",)]


def test_a_moved_message_comes_to_the_queue_when_it_is_moved(told):
    history = finish(told)
    moved = history.redriven["m-b"]["time"]
    assert history.arrived(history.messages["m-b"]) == moved
    assert history.arrived(history.messages["m-a"]) < moved
    end = history.records[-1]["time"]
    assert max(curves_of(history, 0.0, end, fates_of(history))["waiting"]) == 1, "a redriven message is no second one"


def test_what_is_dead_lettered_and_not_moved_back_is_a_violation(told):
    told.receive("fixed", "b")
    told.endpoint("dead-lettered", "b", receive_count=1)
    (found,) = left_in_dead_letter_queue(told.history)
    assert found.summary == "message #0 (redriven) is in the dead-letter queue at the end."


def test_a_payment_before_and_after_the_redrive_is_paid_twice_whatever_the_keys(told):
    told.effect("broken", "a", key="m-a")
    history = finish(told, key="m-b")
    (found,) = done_once("id").check(history)
    assert found.summary == "a was paid 2 times, for message #0, message #0 (redriven)."
    assert none_left_out("id").check(history) == []


def test_a_redrive_is_seen_when_its_task_completed_and_a_moved_message_was_received(told):
    assert find_moved_back(told.history) is None
    told.receive("fixed", "b")
    assert find_moved_back(told.history).count == 1


def test_what_was_done_before_is_told_from_what_the_fix_did(told):
    history = finish(told)
    assert find_done_before_the_redrive(history) is None
    assert find_done_by_the_fix(history).count == 1


def test_what_was_done_before_the_redrive_is_not_the_fixs_doing():
    told = ToldHistory()
    told.send("a", endpoint=True)
    told.receive("broken", "a")
    told.effect("broken", "a")
    told.endpoint("dead-lettered", "a", receive_count=1)
    told.redrive("a", "b")
    assert find_done_before_the_redrive(told.history).count == 1
    told.effect("fixed", "b", executions=2)
    assert find_done_by_the_fix(told.history) is None


class Sqs:
    """A client that knows one dead-letter queue, and a task that fails."""

    def __init__(self):
        self.started = []

    def get_queue_attributes(self, **_arguments):
        return {"Attributes": {"QueueArn": "arn:dlq"}}

    def start_message_move_task(self, **arguments):
        self.started.append(arguments)

    def list_message_move_tasks(self, **_arguments):
        return {"Results": [{"Status": "FAILED", "FailureReason": "CouldNotDetermineMessageSource"}]}


def test_a_task_goes_back_to_each_messages_own_source_and_tells_its_own_status():
    sqs = Sqs()
    task = MoveTask(lambda method, **arguments: method(**arguments), sqs, "http://dlq")
    assert sqs.started == [{"SourceArn": "arn:dlq"}]
    told = task.told()
    assert told == Told("FAILED", 0, "CouldNotDetermineMessageSource")
    assert not told.running
    assert Told("RUNNING", 3, None).running


def test_a_task_that_did_not_complete_is_a_sentence_and_in_the_history():
    records = []
    recorder = Recorder(records.append, "lab", lambda: 1.0)
    assert redriven(recorder, "COMPLETED", 3, None) == 3
    with pytest.raises(ServiceFailedError, match=r"ended as FAILED \(NoQueue\), after 1 messages."):
        redriven(recorder, "FAILED", 1, "NoQueue")
    assert [(record["status"], record["moved"]) for record in records] == [("COMPLETED", 3), ("FAILED", 1)]


def test_an_endpoint_without_move_tasks_is_a_sentence():
    stack = Stack("elsewhere", "us-west-1", "http://127.0.0.1:1", None, {})
    resources = SimpleNamespace(
        queue_url="http://127.0.0.1:1/0/q", dead_letter_queue_url="http://127.0.0.1:1/0/dlq", bucket=""
    )
    hands = StackResources(stack, resources, [].append)
    with pytest.raises(UnsuitableError, match="No dead letter can be moved back by a message move task: Nothing answ"):
        hands.start_redrive()


# --- at an endpoint that does not tell which message became which --------------------------------------------------


def elsewhere(*, body_of="a", process="fixed", after=True):
    """A message that was paid, dead-lettered unseen, moved back and received under another MessageId."""
    told = ToldHistory()
    told.send("a", "z")
    told.receive("broken", "a")
    told.effect("broken", "a")
    told.handle("broken", "z")
    if after:
        told.event("lab", "redriving")
    told._bodies["new"], told._groups["new"] = told._bodies[body_of], None
    told.receive(process, "new")
    told.event("lab", "redriven", status="COMPLETED", moved=1)
    return told


def test_elsewhere_a_moved_message_is_known_by_its_payload():
    told = elsewhere()
    told.delete("fixed", "new")
    history = told.history
    assert history.latest("m-a") == "m-new"
    assert history.messages["m-new"].key == "a"
    assert not history.unsettled
    assert find_moved_back(history).count == find_done_before_the_redrive(history).count == 1


def test_elsewhere_a_moved_message_that_no_consumer_received_is_known_when_the_lab_finds_it():
    told = elsewhere(process="lab-queue")
    told.event("lab", "left-in-queue", message_ids=["m-new"])
    assert [message.message_id for message in told.history.unsettled] == ["m-new"]


def test_elsewhere_a_copy_is_another_message_unless_a_redrive_has_begun():
    assert elsewhere(after=False).history.redriven == {}
    told = ToldHistory()
    told.send("a")
    told.event("lab", "redriving")
    told.receive("fixed", "a", count=2)
    assert told.history.redriven == {}, "an endpoint that keeps the MessageId"
    assert told.history.latest("m-a") == "m-a"
