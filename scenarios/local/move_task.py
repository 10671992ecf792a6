"""A redrive through the AWS API: start a message move task, and ask it how far it is.

Its own status says when it has ended; the approximate numbers beside it say how much it moved, once it has.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasks.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ACTIVE = frozenset({"RUNNING", "CANCELLING"})


@dataclass(frozen=True, slots=True)
class Told:
    """What a move task says of itself: its status, how many messages it has moved, and why it failed."""

    status: str
    moved: int
    failure: str | None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status in _ACTIVE


class MoveTask:
    """A task that moves what is in a dead-letter queue back to the queues that it came from; it runs from now on.

    Args:
        ask: makes a call, and turns its failure into a sentence.
        sqs: a boto3 client.
        url: the dead-letter queue's.
    """

    def __init__(self, ask: Callable[..., Any], sqs: Any, url: str) -> None:
        self._ask = ask
        self._sqs = sqs
        answer = ask(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"])
        self._source = answer["Attributes"]["QueueArn"]
        ask(sqs.start_message_move_task, SourceArn=self._source)

    def told(self) -> Told:
        """Ask the task; no other of this queue can have begun since, for only one at a time may be active."""
        answer = self._ask(self._sqs.list_message_move_tasks, SourceArn=self._source, MaxResults=1)
        latest = answer["Results"][0]
        return Told(latest["Status"], latest.get("ApproximateNumberOfMessagesMoved", 0), latest.get("FailureReason"))
