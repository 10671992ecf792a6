"""Message move tasks: the messages of a dead-letter queue go back to where they came from, or elsewhere.

A task's life::

    start ──▶ RUNNING ──▶ COMPLETED     nothing visible is left in the source
                 │  └───▶ FAILED        a message has nowhere to go
                 │ cancel
                 ▼
            CANCELLING ──▶ CANCELLED    at the moment of what would have been the next move

Like the queues, tasks neither read a clock nor sleep. ``advance(now)`` lets happen what is due, and ``next_at()``
tells when there is something to do next. The i-th move of a task (from 0) is due ``i / rate`` seconds after its start.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from infra.localaws.sqs.errors import InvalidParameterValue, ResourceNotFound
from infra.localaws.sqs.limits import (
    MAX_LISTED_MOVE_TASKS,
    MAX_MOVE_TASK_SECONDS,
    MAX_MOVE_TASKS,
    MAX_MOVES_PER_SECOND,
)
from infra.localaws.sqs.queue import Queue

NO_QUEUE: Final = "AWS.SimpleQueueService.NonExistentQueue"
NO_SOURCE: Final = "CouldNotDetermineMessageSource"
TOO_LONG: Final = "MessageMoveTaskTimedOut"


class Status(Enum):
    """Where a task is in its life."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


@dataclass(slots=True, eq=False)
class MoveTask:
    """One task. Times are seconds of the model's clock.

    Attributes:
        task_id: in the form of a message id.
        source_arn: the dead-letter queue.
        destination_arn: None: each message goes back to the queue that it was dead-lettered from.
        most_per_second: what the caller asked for, 1 to 500; None leaves the rate to SQS (500 here).
        started_at: when the first message may move.
        to_move: the visible messages of the source at the start.
        moved: messages moved so far.
        failure: why it failed.
    """

    task_id: str
    source_arn: str
    destination_arn: str | None
    most_per_second: int | None
    started_at: float
    to_move: int
    status: Status = Status.RUNNING
    moved: int = 0
    failure: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it runs or is being cancelled."""
        return self.status is Status.RUNNING or self.status is Status.CANCELLING

    @property
    def next_at(self) -> float:
        """When its next move is due."""
        return self.started_at + self.moved / (self.most_per_second or MAX_MOVES_PER_SECOND)

    @property
    def handle(self) -> str:
        """The TaskHandle that cancels it."""
        document = json.dumps({"taskId": self.task_id, "sourceArn": self.source_arn}, separators=(",", ":"))
        return base64.b64encode(document.encode()).decode()


class MoveTasks:
    """All tasks of one account.

    Args:
        find: returns the queue of an ARN, None if there is none.
    """

    def __init__(self, find: Callable[[str], Queue | None]) -> None:
        self._find = find
        self._by_source: dict[str, list[MoveTask]] = {}
        self._active: dict[str, MoveTask] = {}

    def start(self, task: MoveTask) -> MoveTask:
        """Begin to move.

        Raises:
            InvalidParameterValue: a task of this source is active, or 100 tasks are.
        """
        if task.source_arn in self._active:
            raise InvalidParameterValue(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given "
                "time."
            )
        if len(self._active) >= MAX_MOVE_TASKS:
            raise InvalidParameterValue(f"At most {MAX_MOVE_TASKS} message move tasks can be active at a given time.")
        self._active[task.source_arn] = task
        earlier = self._by_source.setdefault(task.source_arn, [])
        earlier.append(task)
        del earlier[:-MAX_LISTED_MOVE_TASKS]
        return task

    def latest(self, source_arn: str, most: int) -> list[MoveTask]:
        """Return the latest tasks of a source, the latest first; 10 at most are remembered."""
        return self._by_source.get(source_arn, [])[::-1][:most]

    def cancel(self, handle: str) -> MoveTask:
        """Stop a task; what it has moved stays moved.

        Raises:
            InvalidParameterValue: the handle is malformed.
            ResourceNotFound: there is no such task, or it is not running.
        """
        task_id, source_arn = _parse(handle)
        if self._find(source_arn) is None:
            raise ResourceNotFound("The resource that you specified for the SourceArn parameter doesn't exist.")
        task = self._active.get(source_arn)
        if task is None or task.task_id != task_id or task.status is not Status.RUNNING:
            raise ResourceNotFound("Task does not exist.")
        task.status = Status.CANCELLING
        return task

    def forget(self, source_arn: str) -> None:
        """Forget the tasks of a queue that is deleted."""
        self._by_source.pop(source_arn, None)
        task = self._active.pop(source_arn, None)
        if task is not None:
            task.status, task.failure = Status.FAILED, NO_QUEUE

    @property
    def any_active(self) -> bool:
        """Whether there is a task that has something to do."""
        return bool(self._active)

    def next_at(self) -> float | None:
        """Return when a task has something to do next, in seconds of the model's clock; None if none is active."""
        return min(map(_next_at, self._active.values())) if self._active else None

    def advance(self, now: float) -> None:
        """Move what is due by ``now``, each message at its own moment, in the order of the moments."""
        while self._active:
            task = min(self._active.values(), key=_next_at)
            if task.next_at > now:
                return
            self._step(task)
            if not task.is_active:
                del self._active[task.source_arn]

    def _step(self, task: MoveTask) -> None:
        if task.status is Status.CANCELLING:
            task.status = Status.CANCELLED
            return
        at = task.next_at
        source = self._find(task.source_arn)
        if source is None:
            _fail(task, NO_QUEUE)
            return
        source.advance(at)
        message = source.first_visible()
        if message is None:
            task.status = Status.COMPLETED
        elif at >= task.started_at + MAX_MOVE_TASK_SECONDS:
            _fail(task, TOO_LONG)
        else:
            arn = task.destination_arn or message.dead_letter_source
            target = self._find(arn) if arn else None
            if target is None or target.attributes.fifo is not source.attributes.fifo:
                _fail(task, NO_QUEUE if task.destination_arn else NO_SOURCE)
            else:
                source.move(message, target, at)
                task.moved += 1


def _next_at(task: MoveTask) -> float:
    return task.next_at


def _fail(task: MoveTask, reason: str) -> None:
    task.status, task.failure = Status.FAILED, reason


def _parse(handle: str) -> tuple[str, str]:
    """Return the task's id and its source that a handle names."""
    try:
        document = json.loads(base64.b64decode(handle, validate=True))
        task_id, source_arn = document["taskId"], document["sourceArn"]
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        raise InvalidParameterValue("Value for parameter TaskHandle is invalid.") from None
    return str(task_id), str(source_arn)
