"""A queue at an endpoint that is not ours: what its attributes tell, and how the lab empties it.

Nothing but the AWS API tells of such a queue, so the lab is careful:

    before a run   messages in flight that do not come back within the visibility timeout: another consumer has them
                   a message that was sent after the emptying began: another producer sends; the message stays
    after a run    it takes what is left until the queue was quiet for a whole visibility timeout, and nothing in flight

The three counts are approximate on AWS. So they refuse a run or say how long to wait, and convict no consumer.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from scenarios.errors import UnsuitableError
from services.batches import MAX_ENTRIES

#: Seconds. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MAX_WAIT = 20
#: Seconds beyond a visibility timeout in which a message has surely come back.
MARGIN = 1.0
#: Seconds between two looks at a queue's counts.
LOOK_EVERY = 0.25
#: Seconds that emptying may take, beside the waits for the visibility timeout, and for each message that is there.
EMPTY_DEADLINE = (30.0, 0.1)
#: Seconds. An HTTP date has no parts of a second.
DATE_STEP = 1.0

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages a queue has, as it says itself: about, and on AWS as of some time ago."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """How many there are in all."""
        return self.visible + self.in_flight + self.delayed


class ForeignQueue:
    """A queue of which only the AWS API tells.

    Args:
        ask: makes a call, and turns its failure into a sentence.
        sqs: a boto3 client.
        url: the queue's.
        clock: monotonic seconds.
        sleep: waits for some seconds.
        wall_clock: seconds since the epoch, for an endpoint that does not tell its time.
    """

    def __init__(
        self,
        ask: Callable[..., Any],
        sqs: Any,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._ask, self._sqs, self.url = ask, sqs, url
        self._clock, self._sleep, self._wall_clock = clock, sleep, wall_clock

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.url.rpartition("/")[2]

    @cached_property
    def quiet(self) -> float:
        """Seconds after which whatever was in flight at their beginning has come back, or was deleted."""
        answer = self._ask(self._sqs.get_queue_attributes, QueueUrl=self.url, AttributeNames=["VisibilityTimeout"])
        return int(answer["Attributes"]["VisibilityTimeout"]) + MARGIN

    def counts(self) -> Counts:
        """Ask for the three approximate counts."""
        return _counts(self._attributes())

    def _attributes(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._ask(
            self._sqs.get_queue_attributes, QueueUrl=self.url, AttributeNames=list(_COUNTS)
        )
        return answer

    def empty(self, *, trusts_counts: bool = False) -> None:
        """Receive and delete what is there now, and nothing that is sent from now on.

        Args:
            trusts_counts: believe a queue that says it is empty, and wait no visibility timeout for what may be in
                flight: of a dead-letter queue, whose timeout is long, and at which no run receives but at its end.

        Raises:
            UnsuitableError: another consumer or producer uses the queue, or it was not empty in time.
        """
        self._refuse_held_messages()
        began, found = self._begin()
        quiet = self.quiet if found or not trusts_counts else MARGIN
        seconds, per_message = EMPTY_DEADLINE
        allowed = seconds + per_message * found + 2 * self.quiet
        quiet_since = started = self._clock()
        while (left := quiet_since + quiet - self._clock()) > 0:
            messages = self._receive(left)
            if messages:
                self._delete(messages, began)
                quiet, quiet_since = self.quiet, self._clock()
            if self._clock() > started + allowed:
                raise UnsuitableError(
                    f"The queue {self.name} was not empty after {allowed:.0f} s of receives and deletes; "
                    "empty it, or let the run have a stack of its own."
                )

    def _refuse_held_messages(self) -> None:
        """Refuse a queue with messages in flight that do not come back: what died long ago holds none."""
        end = self._clock() + self.quiet
        while held := self.counts().in_flight:
            if self._clock() > end:
                raise UnsuitableError(
                    f"Another consumer has {held} messages of the queue {self.name} in flight, and would take the "
                    "run's messages; end that consumer first, or let the run have a stack of its own."
                )
            self._sleep(LOOK_EVERY)

    def _begin(self) -> tuple[float, int]:
        """Return the moment from which on a sent message is another producer's, in seconds, and how many are there.

        The moment is the endpoint's, to the second, and past when this returns.
        """
        answer = self._attributes()
        told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        try:
            now = parsedate_to_datetime(told).timestamp()
        except (TypeError, ValueError):
            now = self._wall_clock()
        self._sleep(DATE_STEP)
        return now + DATE_STEP, _counts(answer).total

    def _receive(self, seconds: float) -> Sequence[Mapping[str, Any]]:
        answer = self._ask(
            self._sqs.receive_message,
            QueueUrl=self.url,
            MaxNumberOfMessages=MAX_ENTRIES,
            WaitTimeSeconds=long_poll(seconds),
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        found: Sequence[Mapping[str, Any]] = answer.get("Messages", ())
        return found

    def _delete(self, messages: Sequence[Mapping[str, Any]], began: float) -> None:
        """Delete what was there at a moment; give back what came later, and refuse the queue."""
        sent = {item["MessageId"]: int(item.get("Attributes", {}).get("SentTimestamp", 0)) / 1000 for item in messages}
        later = [item for item in messages if sent[item["MessageId"]] > began]
        mine = [item for item in messages if sent[item["MessageId"]] <= began]
        if mine:
            self._ask(self._sqs.delete_message_batch, QueueUrl=self.url, Entries=_entries(mine))
        if later:
            self.give_back([item["ReceiptHandle"] for item in later])
            raise UnsuitableError(
                f"Another producer is sending to the queue {self.name}, and the message {later[0]['MessageId']} came "
                "while the lab emptied it; end that producer first, or let the run have a stack of its own."
            )

    def give_back(self, receipt_handles: Collection[str]) -> None:
        """Make messages visible again at once."""
        entries = [
            {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for at, handle in enumerate(receipt_handles)
        ]
        self._ask(self._sqs.change_message_visibility_batch, QueueUrl=self.url, Entries=entries)

    def wait_until_nothing_is_in_flight(self, deadline: float) -> int:
        """Wait until no message is in flight any more; return how many are when the deadline comes, in seconds."""
        end = self._clock() + deadline
        while (held := self.counts().in_flight) and self._clock() < end:
            self._sleep(LOOK_EVERY)
        return held


class Emptied:
    """Tells from a queue's counts whether it has been empty for long enough to be believed.

    Args:
        seconds: for how long its counts must all have been 0.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def for_long(self, total: int, now: float) -> bool:
        """Take in the queue's present total, and return whether it has been 0 for long enough."""
        if total:
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= self._seconds

    def __bool__(self) -> bool:
        """Return whether it was empty at the last look."""
        return self._since is not None


def long_poll(seconds: float) -> int:
    """Return for how long a receive waits of some seconds that are left, in whole seconds."""
    return min(MAX_WAIT, max(1, round(seconds)))


def _counts(answer: Mapping[str, Any]) -> Counts:
    told = answer.get("Attributes", {})
    return Counts(*(int(told.get(name, 0)) for name in _COUNTS))


def _entries(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{"Id": str(at), "ReceiptHandle": item["ReceiptHandle"]} for at, item in enumerate(messages)]
