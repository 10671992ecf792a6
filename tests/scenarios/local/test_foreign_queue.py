"""A queue of which only the AWS API tells: refused where others use it, and emptied of what was there alone."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from scenarios.errors import UnsuitableError
from scenarios.local.foreign_queue import DATE_STEP, Emptied, ForeignQueue, long_poll

NOON = datetime(2025, 1, 2, 12, 0, 0, tzinfo=UTC).timestamp()


class Queue:
    """A queue in virtual time: a receive takes as long as it waits, and each call a tenth of a second."""

    def __init__(self, *bodies, timeout=2, tells_the_time=True, sends_at=(), held=0):
        self.now, self.timeout, self.held = 0.0, timeout, held
        self.date = tells_the_time
        self.messages = {body: {"sent": -1.0, "visible": 0.0} for body in bodies}
        self.later = {f"later-{at}": at for at in sends_at}
        self.deleted = []
        self.waits = []

    def queue(self):
        return ForeignQueue(
            lambda method, **arguments: method(**arguments),
            self,
            "http://127.0.0.1:1/0/work",
            clock=lambda: self.now,
            sleep=self.pass_time,
            wall_clock=lambda: NOON + self.now,
        )

    def pass_time(self, seconds):
        self.now += seconds
        for body, at in list(self.later.items()):
            if at <= self.now:
                self.messages[body] = {"sent": at, "visible": at}
                del self.later[body]

    def get_queue_attributes(self, QueueUrl, AttributeNames):  # noqa: N803 - boto3's names
        self.pass_time(0.1)
        seen = [it["visible"] <= self.now for it in self.messages.values()]
        told = {
            "VisibilityTimeout": self.timeout,
            "ApproximateNumberOfMessages": sum(seen),
            "ApproximateNumberOfMessagesNotVisible": len(seen) - sum(seen) + self.held,
            "ApproximateNumberOfMessagesDelayed": 0,
        }
        date = {"date": format_datetime(datetime.fromtimestamp(int(NOON + self.now), UTC), usegmt=True)}
        return {
            "Attributes": {name: str(told[name]) for name in AttributeNames},
            "ResponseMetadata": {"HTTPHeaders": date if self.date else {}},
        }

    def receive_message(self, QueueUrl, MaxNumberOfMessages, WaitTimeSeconds, MessageSystemAttributeNames):  # noqa: N803
        self.waits.append(WaitTimeSeconds)
        end = self.now + WaitTimeSeconds
        self.pass_time(0.1)
        while not (found := [body for body, it in self.messages.items() if it["visible"] <= self.now]):
            if self.now >= end:
                return {}
            self.pass_time(0.1)
        for body in found[:MaxNumberOfMessages]:
            self.messages[body]["visible"] = self.now + self.timeout
        return {
            "Messages": [
                {
                    "MessageId": body,
                    "ReceiptHandle": body,
                    "Attributes": {"SentTimestamp": str(int((NOON + self.messages[body]["sent"]) * 1000))},
                }
                for body in found[:MaxNumberOfMessages]
            ]
        }

    def delete_message_batch(self, QueueUrl, Entries):  # noqa: N803
        for entry in Entries:
            self.deleted.append(entry["ReceiptHandle"])
            del self.messages[entry["ReceiptHandle"]]

    def change_message_visibility_batch(self, QueueUrl, Entries):  # noqa: N803
        for entry in Entries:
            self.messages[entry["ReceiptHandle"]]["visible"] = self.now + entry["VisibilityTimeout"]


def test_what_is_there_is_deleted_and_a_whole_visibility_timeout_passes_after_the_last_message():
    there = Queue("a", "b", timeout=45)
    there.queue().empty()
    assert there.deleted == ["a", "b"]
    assert there.now >= 46
    assert max(there.waits) == 20


def test_what_is_in_flight_is_waited_for_as_long_as_the_queues_own_timeout():
    there = Queue("a", timeout=45)
    there.messages["a"]["visible"] = 40.0  # a consumer that died holds it
    there.queue().empty()
    assert there.deleted == ["a"]


def test_messages_in_flight_that_do_not_come_back_are_another_consumers():
    with pytest.raises(UnsuitableError, match="Another consumer has 3 messages of the queue work in flight"):
        Queue(held=3).queue().empty()


@pytest.mark.parametrize("tells", [True, False], ids=["by its date", "by our clock"])
def test_what_another_producer_sends_meanwhile_is_not_deleted_and_refused(tells):
    there = Queue("a", timeout=30, sends_at=(4.0,), tells_the_time=tells)
    with pytest.raises(UnsuitableError, match="Another producer is sending to the queue work, and the message later-4"):
        there.queue().empty()
    assert there.deleted == ["a"]
    assert there.messages["later-4.0"]["visible"] <= there.now, "it is given back at once"


def test_what_is_sent_just_before_the_emptying_begins_is_there_at_the_start():
    there = Queue(sends_at=(0.5,))
    there.queue().empty()
    assert there.deleted == ["later-0.5"]
    assert DATE_STEP == 1.0


def test_emptying_has_a_deadline():
    there = Queue("a")
    there.delete_message_batch = lambda **_: None  # it never gets empty
    with pytest.raises(UnsuitableError, match="The queue work was not empty after 36 s of receives and deletes;"):
        there.queue().empty()


def test_a_dead_letter_queue_that_says_it_is_empty_is_believed():
    there = Queue(timeout=45)
    there.queue().empty(trusts_counts=True)
    assert there.now < 4
    found = Queue("a", timeout=45)
    found.queue().empty(trusts_counts=True)
    assert found.deleted == ["a"]


def test_the_end_of_a_run_waits_for_messages_in_flight_and_tells_of_those_that_stay():
    there = Queue("a")
    there.messages["a"]["visible"] = 5.0
    assert there.queue().wait_until_nothing_is_in_flight(30) == 0
    assert 5 <= there.now < 6
    assert Queue(held=2).queue().wait_until_nothing_is_in_flight(30) == 2


def test_a_queue_is_believed_empty_when_it_has_said_so_for_long_enough():
    emptied = Emptied(3.0)
    said = [emptied.for_long(total, now) for now, total in enumerate([0, 0, 1, 0, 0, 0, 0])]
    assert said == [False, False, False, False, False, False, True]
    assert emptied
    assert not emptied.for_long(1, 9.0)
    assert not emptied


def test_a_long_poll_is_of_whole_seconds_and_no_longer_than_sqs_takes():
    assert [long_poll(seconds) for seconds in (0.2, 3.4, 45.0)] == [1, 3, 20]
