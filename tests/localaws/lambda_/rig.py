"""A mapping, a queue and a handler in virtual time, for the tests of the state machine."""

import heapq
import itertools
import json
import math
from dataclasses import dataclass, field
from random import Random

from infra.localaws.lambda_ import source
from infra.localaws.lambda_.actions import Delete, Invoke, Receive, Result, StopReceiving
from infra.localaws.lambda_.concurrency import Concurrency
from infra.localaws.lambda_.mapping import EventSourceMapping
from infra.localaws.lambda_.settings import MappingSettings
from tests.localaws.lab import Lab

FUNCTION = "worker"


@dataclass
class Invocation:
    """What reached the function: when, the records, and the attempt."""

    time: float
    records: list
    attempt: int

    @property
    def bodies(self):
        return [record["body"] for record in self.records]


@dataclass
class Rig:
    """Performs what a mapping asks for, on a model of SQS whose clock it moves.

    Attributes:
        handler: is handed an invocation, and returns what the function returns, or a Result.
        seconds: how long the function takes.
        delete_faults: outcomes of the next deletes: a set of the positions that fail.
    """

    settings: MappingSettings = field(default_factory=MappingSettings)
    fifo: bool = False
    visibility: int = 30
    handler: object = lambda invocation: None
    seconds: float = 0.1
    reserved: int | None = None
    max_receive_count: int | None = None
    message_limit: int = 0
    delete_faults: list = field(default_factory=list)

    def __post_init__(self):
        self.lab = Lab()
        self.name = "source.fifo" if self.fifo else "source"
        attributes = {"VisibilityTimeout": str(self.visibility)}
        if self.fifo:
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        if self.max_receive_count:
            self.lab.model.create_queue("dead")
            policy = {"deadLetterTargetArn": self.lab.model.arn("dead"), "maxReceiveCount": self.max_receive_count}
            attributes["RedrivePolicy"] = json.dumps(policy)
        self.lab.model.create_queue(self.name, attributes)
        self.events = []
        self.mapping = EventSourceMapping(
            self.settings,
            source.source_queue(self.lab.model, self.name),
            clock=lambda: self.lab.time,
            rng=Random(1),
            observer=lambda event, queue, fields: self.events.append((event, fields)),
            message_limit=self.message_limit,
        )
        self.concurrency = Concurrency()
        if self.reserved is not None:
            self.concurrency.reserve(FUNCTION, self.reserved)
        self.start = self.lab.time
        self.invocations = []
        self.deletes = []
        self.running = 0
        self.most_running = 0
        self._waiting = {}
        self._due = []
        self._order = itertools.count()

    @property
    def now(self):
        return self.lab.time - self.start

    def send(self, *bodies, **options):
        return [self.lab.send(self.name, body, **options) for body in bodies]

    def send_group(self, group, *bodies):
        return [self.lab.send(self.name, body, group=group) for body in bodies]

    def named(self, event):
        return [fields for name, fields in self.events if name == event]

    def left(self):
        """Return how many messages the queue still has, in whatever state."""
        counts = self.lab.model.queue(self.name).counts(self.lab.time)
        return counts.visible + counts.in_flight + counts.delayed

    def dead(self):
        return self.lab.model.queue("dead").counts(self.lab.time).visible

    def run(self, seconds):
        """Let so many seconds pass."""
        end = self.lab.time + seconds
        while True:
            self._act()
            due = self._next()
            if due > end:
                self.lab.time = end
                return
            self.lab.time = max(due, self.lab.time)
            while self._due and self._due[0][0] <= self.lab.time:
                heapq.heappop(self._due)[2]()

    # Within

    def _next(self):
        moments = [deadline for _, deadline in self._waiting.values()]
        moments += [self._due[0][0]] if self._due else []
        moments += [at for at in (self.mapping.next_at(),) if at is not None]
        if self._waiting:
            visible = self.lab.model.next_visible_at(self.name)
            moments += [] if visible is None else [visible]
        return min(moments, default=math.inf)

    def _act(self):
        while True:
            actions = self.mapping.actions()
            for action in actions:
                self._perform(action)
            if not self._serve() and not actions:
                return

    def _perform(self, action):
        match action:
            case Receive():
                assert action.poller not in self._waiting
                self._waiting[action.poller] = (action, self.lab.time + action.wait)
            case StopReceiving():
                self._waiting.pop(action.poller)
                self.mapping.received(action.poller, [], 0)
            case Invoke():
                self._invoke(action)
            case Delete():
                self._delete(action)

    def _serve(self):
        served = False
        for poller, (action, deadline) in list(self._waiting.items()):
            deliveries = source.receive(self.lab.model, self.name, action)
            if deliveries or deadline <= self.lab.time:
                del self._waiting[poller]
                self.mapping.received(poller, deliveries, source.visible_at(self.lab.model, self.name))
                served = True
        return served

    def _invoke(self, action):
        if not self.concurrency.acquire(FUNCTION):
            self._later(0, lambda: self.mapping.throttled(action.batch))
            return
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        invocation = Invocation(self.now, json.loads(action.payload)["Records"], action.attempt)
        assert [record["messageId"] for record in invocation.records] == list(action.message_ids)
        self.invocations.append(invocation)
        answer = self.handler(invocation)
        result = answer if isinstance(answer, Result) else Result(json.dumps(answer).encode())
        self._later(self.seconds, lambda: self._answer(action.batch, result))

    def _answer(self, batch, result):
        self.running -= 1
        self.concurrency.release(FUNCTION)
        self.mapping.answered(batch, result)

    def _delete(self, action):
        self.deletes.append((self.now, [entry.message_id for entry in action.entries]))
        failing = self.delete_faults.pop(0) if self.delete_faults else set()
        kept = [entry for at, entry in enumerate(action.entries) if at not in failing]
        failed = {entry.entry_id: True for at, entry in enumerate(action.entries) if at in failing}
        failed |= source.delete(self.lab.model, self.name, Delete(action.number, tuple(kept), action.attempt))
        self._later(0.001, lambda: self.mapping.deleted(action.number, failed))

    def _later(self, seconds, report):
        heapq.heappush(self._due, (self.lab.time + seconds, next(self._order), report))


def failing(*messages):
    """Return the answer that names messages as failed."""
    return {"batchItemFailures": [{"itemIdentifier": message} for message in messages]}
