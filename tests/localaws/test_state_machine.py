"""Whatever is done to the queues, no message is lost, doubled or out of its group's order.

A second, naive book-keeping follows the observed events and is compared with the state machine after each step.
"""

from dataclasses import dataclass
from itertools import count
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from infra.localaws.sqs import tenants
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.message import State
from infra.localaws.sqs.moves import Status
from infra.localaws.sqs.rates import DeliveryRates
from tests.localaws.lab import Lab

SOURCES = ("standard", "ordered.fifo")
QUEUES = (*SOURCES, "dead", "dead.fifo")
MAX_RECEIVE_COUNT = 3
RETENTION = 60


@dataclass
class Followed:
    """One live message, as the events tell of it."""

    queue: str
    group: str | None
    number: int
    enqueued_at: float
    hidden_until: float
    receives: int = 0
    repeated: bool = False


class Queues(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 2**32),
        rates=st.builds(DeliveryRates, *[st.sampled_from([0, 0.3, 0.9])] * 3),
        delay=st.sampled_from(["0", "3"]),
    )
    def start(self, seed, rates, delay):
        # Few messages are in flight here, and a tenant has to be noisy with those.
        self.noise = mock.patch.object(tenants, "NOISY_MINIMUM", 2)
        self.noise.start()
        self.lab = Lab(rates, seed=seed)
        self.live = {}
        self.ended = {}
        self.handles = []
        self.sends = 0
        self.numbers = count()
        self.tasks = []
        self.pending_send = None
        fifo = {"FifoQueue": "true"}
        self.lab.model.create_queue("dead")
        self.lab.model.create_queue("dead.fifo", fifo)
        for name, target, extra in (
            ("standard", "dead", {}),
            ("ordered.fifo", "dead.fifo", fifo | {"DelaySeconds": delay}),
        ):
            policy = f'{{"deadLetterTargetArn":"{self.lab.model.arn(target)}","maxReceiveCount":{MAX_RECEIVE_COUNT}}}'
            self.lab.model.create_queue(
                name,
                {"RedrivePolicy": policy, "MessageRetentionPeriod": str(RETENTION), "VisibilityTimeout": "5", **extra},
            )
        self.lab.model._surroundings.observer = self.observe

    # What happens

    @rule(
        delay=st.sampled_from([None, 0, 2]),
        group=st.sampled_from("ab"),
        queue=st.sampled_from(SOURCES),
        tenant=st.sampled_from([None, "a", "a", "b"]),
    )
    def send(self, delay, group, queue, tenant):
        self.sends += 1
        fifo = queue.endswith(".fifo")
        self.pending_send = (group, None) if fifo else (None, delay)
        options = {"group": group, "deduplication_id": str(self.sends)} if fifo else {"delay": delay, "group": tenant}
        self.lab.send(queue, f"body {self.sends}", **options)

    @rule(group=st.sampled_from("ab"))
    def send_again(self, group):
        if self.sends:
            before = len(self.lab.model.queue("ordered.fifo")._messages)
            self.pending_send = (group, None)
            try:
                self.lab.send("ordered.fifo", "again", group=group, deduplication_id=str(self.sends))
            finally:
                self.pending_send = None
            assert len(self.lab.model.queue("ordered.fifo")._messages) <= before + 1

    @rule(
        queue=st.sampled_from((*SOURCES, *SOURCES, *QUEUES)),
        most=st.integers(1, 10),
        timeout=st.sampled_from([None, 0, 1, 30]),
        long_poll=st.booleans(),
    )
    def receive(self, queue, most, timeout, long_poll):
        due = self.lab.model.next_visible_at(queue)
        self.taken_groups = set()
        self.moved = 0
        deliveries = self.lab.receive(queue, most, visibility_timeout=timeout, long_poll=long_poll)
        assert len(deliveries) <= most
        self.handles += [(queue, delivery.receipt_handle) for delivery in deliveries]
        if due != self.lab.time:
            assert not deliveries
        elif long_poll and not self.moved and queue.endswith(".fifo"):
            assert deliveries

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def delete(self, data):
        queue, handle = data.draw(st.sampled_from(self.handles))
        try:
            self.lab.model.delete(queue, handle)
        except SqsError:
            # Only a FIFO queue refuses a stale handle.
            assert queue.endswith(".fifo")

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), timeout=st.sampled_from([0, 2, 20]))
    def change_visibility(self, data, timeout):
        queue, handle = data.draw(st.sampled_from(self.handles))
        try:
            self.lab.model.change_visibility(queue, handle, timeout)
        except SqsError:
            return

    @rule(queue=st.sampled_from(["dead", "dead.fifo"]), rate=st.sampled_from([None, 1, 3]), home=st.booleans())
    def move(self, queue, rate, home):
        destination = self.lab.model.arn("ordered.fifo" if queue.endswith(".fifo") else "standard")
        try:
            task = self.lab.model.start_move_task(self.lab.model.arn(queue), None if home else destination, rate)
        except SqsError:
            return
        self.tasks.append(task)
        self.lab.model.advance()

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data):
        task = data.draw(st.sampled_from(self.tasks))
        try:
            self.lab.model.cancel_move_task(task.handle)
        except SqsError:
            assert task.status is not Status.RUNNING

    @rule(seconds=st.sampled_from([0.5, 1, 5, 30]))
    def wait(self, seconds):
        until = self.lab.time + seconds
        while (due := self.lab.model.next_move_at()) is not None and due <= until:
            self.lab.time = max(self.lab.time, due)
            self.lab.model.advance()
        self.lab.time = until

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue):
        try:
            self.lab.model.purge(queue)
        except SqsError:
            return

    # What the events tell

    def observe(self, event, queue, fields):
        now = self.lab.time
        message_id = fields.get("message_id")
        match event:
            case "sent" if not fields.get("deduplicated"):
                group, delay = self.pending_send
                own = self.lab.model.queue(queue).attributes.delay if delay is None else delay
                assert message_id not in self.live
                assert message_id not in self.ended
                self.live[message_id] = Followed(queue, group, self.next_number(), now, now + own)
            case "delivered":
                self.check_delivery(queue, message_id, fields)
            case "visibility-changed":
                self.live[message_id].hidden_until = now + fields["timeout"]
            case "dead-lettered":
                message = self.live[message_id]
                self.moved += 1
                assert message.receives == fields["receive_count"] >= MAX_RECEIVE_COUNT
                message.queue = fields["to"]
                message.hidden_until = now
                message.number = self.next_number()
            case "moved":
                message = self.live[message_id]
                delay = self.lab.model.queue(fields["to"]).attributes.delay
                self.end(message_id, queue, event)
                new_id = fields["new_message_id"]
                assert new_id not in self.live
                assert new_id not in self.ended
                assert message.hidden_until <= now
                self.live[new_id] = Followed(fields["to"], message.group, self.next_number(), now, now + delay)
            case "deleted" | "expired":
                if event == "expired":
                    assert now >= self.live[message_id].enqueued_at + RETENTION
                self.end(message_id, queue, event)
            case "purged":
                gone = [message_id for message_id, message in self.live.items() if message.queue == queue]
                assert (len(gone), set(gone)) == (fields["count"], set(fields["message_ids"]))
                for message_id in gone:
                    self.end(message_id, queue, event)

    def next_number(self):
        return next(self.numbers)

    def check_delivery(self, queue, message_id, fields):
        message = self.live[message_id]
        now = self.lab.time
        assert message.queue == queue
        message.receives += 1
        assert fields["receive_count"] == message.receives
        duplicate = "duplicate" in fields.get("chaos", ())
        assert duplicate is (message.hidden_until > now)
        assert not (duplicate and message.repeated)
        message.repeated = duplicate
        until = now + fields["visible_until_in"]
        if message.group is not None:
            self.check_group(message)
            self.taken_groups.add(message.group)
        message.hidden_until = max(until, message.hidden_until) if duplicate else until
        if until == now:
            # Visible again at once, but not within this receive.
            message.repeated = False

    def check_group(self, message):
        others = [
            other
            for other in self.live.values()
            if other is not message and (other.queue, other.group) == (message.queue, message.group)
        ]
        if message.group not in self.taken_groups:
            self.batch = []
        before = [other for other in others if other.number < message.number]
        assert [id(other) for other in sorted(before, key=lambda other: other.number)] == self.batch
        self.batch.append(id(message))

    def end(self, message_id, queue, how):
        message = self.live.pop(message_id)
        assert message.queue == queue
        assert message_id not in self.ended
        self.ended[message_id] = how

    # What must hold

    @invariant()
    def every_message_is_in_exactly_one_place(self):
        if not hasattr(self, "lab"):
            return
        for name in QUEUES:
            queue = self.lab.model.queue(name)
            queue.advance(self.lab.time)
            states = [message.state for message in queue._messages.values()]
            assert queue.visible == states.count(State.VISIBLE)
            assert queue.delayed == states.count(State.DELAYED)
            assert queue.in_flight == states.count(State.IN_FLIGHT)
            followed = {message_id for message_id, message in self.live.items() if message.queue == name}
            assert queue._messages.keys() == followed
            hidden = {message_id for message_id in followed if self.live[message_id].hidden_until > self.lab.time}
            assert hidden == {key for key, m in queue._messages.items() if m.state is not State.VISIBLE}
            if not name.endswith(".fifo"):
                places = (*queue._line, *queue._tenants.set_aside_now())
                in_line = [message.message_id for message in places if message.state is State.VISIBLE]
                assert sorted(in_line) == sorted(followed - hidden)
        assert not self.live.keys() & self.ended.keys()
        for message in self.live.values():
            if message.hidden_until <= self.lab.time:
                message.repeated = False

    def teardown(self):
        """Whatever is left can be received, in the end, and nothing else."""
        if not hasattr(self, "lab"):
            return
        self.noise.stop()
        left = set(self.live)
        self.lab.wait(30)
        for name in QUEUES:
            queue = self.lab.model.queue(name)
            queue.rates = DeliveryRates(0, 0, 0)
        found = set()
        for name in QUEUES:
            self.taken_groups, self.moved = set(), 0
            while self.lab.model.next_visible_at(name) == self.lab.time:
                self.taken_groups = set()
                for delivery in self.lab.receive(name):
                    found.add(delivery.message_id)
                    self.lab.model.delete(name, delivery.receipt_handle)
        assert found == left - {message_id for message_id, how in self.ended.items() if how == "expired"}
        assert not self.live


TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=100, stateful_step_count=40)


@pytest.mark.thorough
class TestQueuesForLonger(Queues.TestCase):
    settings = settings(max_examples=1_000, stateful_step_count=40)
