"""Message move tasks on the state machine alone: what moves, how fast, and how a task ends."""

import json

import pytest

from infra.localaws.sqs.errors import InvalidParameterValue, ResourceNotFound
from infra.localaws.sqs.moves import Status


@pytest.fixture(params=["", ".fifo"])
def kind(request):
    return request.param


@pytest.fixture
def dead(lab, kind):
    """Return the ARN of a dead-letter queue with five messages from ``source``, and the queue ``elsewhere``."""
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if kind else {}
    for name in ("dead", "elsewhere"):
        lab.model.create_queue(name + kind, fifo)
    arn = lab.model.arn("dead" + kind)
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    lab.model.create_queue("source" + kind, {"RedrivePolicy": redrive, "VisibilityTimeout": "0", **fifo})
    for number in range(5):
        lab.send("source" + kind, str(number), group="g" if kind else None)
    for _ in range(10):
        lab.receive("source" + kind)
    assert len(lab.named("dead-lettered")) == 5
    return arn


def test_messages_go_back_to_their_source_as_new_ones(lab, kind, dead):
    before = {event["message_id"] for event in lab.named("dead-lettered")}
    lab.wait(100)
    task = lab.model.start_move_task(dead)
    lab.wait(1)
    received = lab.receive("source" + kind)
    assert [delivery.body for delivery in received] == list("01234")
    assert not before & {delivery.message_id for delivery in received}
    assert {delivery.receive_count for delivery in received} == {1}
    assert all(delivery.message.sent_at >= task.started_at for delivery in received)
    assert [event["to"] for event in lab.named("moved")] == ["source" + kind] * 5
    assert {event["new_message_id"] for event in lab.named("moved")} == {each.message_id for each in received}
    assert (task.status, task.moved, task.to_move) == (Status.COMPLETED, 5, 5)


def test_messages_go_where_the_caller_wants_them(lab, kind, dead):
    lab.model.start_move_task(dead, lab.model.arn("elsewhere" + kind))
    lab.wait(1)
    assert lab.bodies("elsewhere" + kind) == list("01234")


def test_a_task_keeps_to_its_rate(lab, kind, dead):
    task = lab.model.start_move_task(dead, None, 2)
    for moved in (1, 2, 3, 4, 5):
        lab.model.advance()
        assert (task.status, task.moved) == (Status.RUNNING, moved)
        due = lab.model.next_move_at()
        assert due == pytest.approx(task.started_at + moved / 2)
        lab.wait(due - lab.time)
    lab.model.advance()
    assert task.status is Status.COMPLETED
    assert lab.model.next_move_at() is None


def test_what_is_in_flight_stays(lab, kind, dead):
    [taken] = lab.receive("dead" + kind, 1)
    task = lab.model.start_move_task(dead)
    lab.wait(1)
    lab.model.advance()
    # A FIFO queue gives out no message of a group of which one is in flight.
    assert (task.status, task.moved) == (Status.COMPLETED, 0 if kind else 4)
    lab.model.delete("dead" + kind, taken.receipt_handle)


def test_a_cancelled_task_leaves_what_it_moved_and_moves_no_more(lab, kind, dead):
    task = lab.model.start_move_task(dead, None, 1)
    lab.wait(1)
    cancelled = lab.model.cancel_move_task(task.handle)
    assert (cancelled.status, cancelled.moved) == (Status.CANCELLING, 2)
    with pytest.raises(InvalidParameterValue, match="already a task running"):
        lab.model.start_move_task(dead)
    with pytest.raises(ResourceNotFound):
        lab.model.cancel_move_task(task.handle)
    lab.wait(10)
    lab.model.advance()
    assert (task.status, task.moved) == (Status.CANCELLED, 2)
    assert len(lab.model.queue("dead" + kind)._messages) == 3
    lab.model.start_move_task(dead)


def test_a_task_fails_when_a_messages_source_is_gone(lab, kind, dead):
    lab.model.create_queue(
        "other" + kind,
        {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})}
        | ({"FifoQueue": "true"} if kind else {}),
    )
    lab.model.delete_queue("source" + kind)
    task = lab.model.start_move_task(dead)
    lab.model.advance()
    assert (task.status, task.failure) == (Status.FAILED, "CouldNotDetermineMessageSource")
    assert len(lab.model.queue("dead" + kind)._messages) == 5


def test_a_task_fails_when_its_destination_is_deleted(lab, kind, dead):
    task = lab.model.start_move_task(dead, lab.model.arn("elsewhere" + kind), 1)
    lab.model.advance()
    lab.model.delete_queue("elsewhere" + kind)
    lab.wait(1)
    lab.model.advance()
    assert (task.status, task.moved) == (Status.FAILED, 1)
    assert task.failure == "AWS.SimpleQueueService.NonExistentQueue"


def test_the_ten_latest_tasks_are_listed_the_latest_first(lab, kind, dead):
    tasks = []
    for _ in range(12):
        tasks.append(lab.model.start_move_task(dead))
        lab.wait(10)
    assert lab.model.move_tasks(dead) == tasks[-1:]
    assert lab.model.move_tasks(dead, 10) == tasks[:1:-1]


def test_what_cannot_be_moved_is_refused(lab, kind, dead):
    with pytest.raises(InvalidParameterValue, match="must be configured as a Dead Letter Queue"):
        lab.model.start_move_task(lab.model.arn("source" + kind))
    with pytest.raises(InvalidParameterValue, match="You must use this format to specify the SourceArn: arn:"):
        lab.model.start_move_task("nonsense")
    with pytest.raises(ResourceNotFound, match="SourceArn"):
        lab.model.start_move_task(lab.model.arn("nowhere"))
    with pytest.raises(ResourceNotFound, match="DestinationArn"):
        lab.model.start_move_task(dead, lab.model.arn("nowhere"))
    for rate in (0, 501):
        with pytest.raises(InvalidParameterValue, match="Must be between 1 and 500"):
            lab.model.start_move_task(dead, None, rate)
    for most in (0, 11):
        with pytest.raises(InvalidParameterValue, match="Must be between 1 and 10"):
            lab.model.move_tasks(dead, most)
    for handle in ("", "?", "e30=", "W10=", "MQ=="):
        with pytest.raises(InvalidParameterValue, match="TaskHandle is invalid"):
            lab.model.cancel_move_task(handle)
