"""How many messages are not done at a moment, and how old the oldest is: exactly, from the history.

SQS's own counts tell of a minute ago at best. A history tells when each message was acknowledged and when it left the
queue; where the endpoint recorded its side, by the endpoint's word. What a consumer holds is not done either,
as in CloudWatch's ApproximateAgeOfOldestMessage:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from scenarios.history.history import History
from scenarios.history.records import SentMessage


@dataclass(frozen=True, slots=True)
class Load:
    """The work that waits at a moment.

    Attributes:
        messages: how many wait, or are in flight.
        oldest: the age of the oldest, in seconds; 0 where there is none.
    """

    messages: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Life:
    """How long a message was in the queue.

    Attributes:
        since: when its send was acknowledged.
        until: when it left the queue; infinite where it has not.
    """

    message: SentMessage
    since: float
    until: float


def load_at(history: History, moment: float) -> Load:
    """Return the load at a moment, in seconds of the history's clock."""
    since = [life.since for life in lives(history) if life.since <= moment < life.until]
    return Load(len(since), moment - min(since) if since else 0.0)


def lives(history: History) -> Sequence[Life]:
    """Return the lives of the messages whose sends were acknowledged, in the order of sends."""
    left = _left(history)
    return [Life(message, message.call.ended, left.get(message.message_id, inf)) for message in history.sends]


def _left(history: History) -> Mapping[str, float]:
    """Return when each message left the queue under study, that has."""
    found: dict[str, float] = {}
    if history.has_endpoint:
        for event in ("deleted", "expired", "dead-lettered"):
            for record in history.endpoint(event):
                if record.get("queue") != history.facts.dead_letter_queue:
                    found[record["message_id"]] = record.time
        return {**found, **{message_id: record.time for message_id, record in history.purged.items()}}
    for deletion in history.deletions:
        if deletion.status == "ok" and deletion.message_id in history.gone:
            found.setdefault(deletion.message_id, deletion.call.ended)
    return {**history.dead_lettered_at, **found}
