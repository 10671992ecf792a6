"""A producer with an outbox: whatever it dies of, what it committed is sent in the end, and nothing else is."""

import contextlib
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.catalog.outbox.naive import DualWrite
from services import operations as op
from services.errors import ConfigurationError
from services.producer.__main__ import main
from services.producer.messages import plan_messages
from services.producer.options import MessagePlan
from services.producer.outbox import OutboxProducer, key_of_order
from services.producer.producer import SEND_ATTEMPTS
from services.runtime import step

UNAVAILABLE = op.OperationFailed("ServiceUnavailable", "later", transient=True)
DENIED = op.OperationFailed("AccessDenied", "never", transient=False)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the process runs after it."""


class Database:
    """A table with orders and an outbox, and a queue; a process dies at the operation that it is told."""

    def __init__(self, *answers):
        self.answers = deque(answers)  # errors, or None, that come before an operation is done
        self.orders = {}
        self.outbox = {}
        self.sent = []
        self.asked = []
        self.lives = None
        self.answer = {
            op.CommitChange: self.commit, op.ReadOutbox: self.read, op.MarkSent: self.mark, op.Send: self.send,
        }  # fmt: skip

    def perform(self, operation):
        if isinstance(operation, op.ReadClock):
            return 0.0
        if isinstance(operation, op.Sleep | op.Note):
            return True
        self.asked.append(type(operation).__name__)
        if self.answers and (answer := self.answers.popleft()):
            raise answer
        result = self.answer[type(operation)](operation)
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                raise Killed  # the operation is done, and nobody heard
        return result

    def commit(self, operation):
        if operation.key in self.orders:
            return False
        self.orders[operation.key] = operation.change
        if operation.message is not None:
            self.outbox[operation.key] = operation.message
        return True

    def read(self, operation):
        return tuple(op.OutboxEntry(key, body) for key, body in list(self.outbox.items())[: operation.limit])

    def mark(self, operation):
        for key in operation.keys:
            self.outbox.pop(key, None)

    def send(self, operation):
        self.sent += [message.body for message in operation.messages]
        return op.SendResult(tuple(op.SentEntry(entry, f"m-{entry}") for entry in range(len(operation.messages))))


def produce(database, count, kind=OutboxProducer, batch_size=3, seed=1):
    messages = plan_messages(MessagePlan(count=count), random.Random(seed))
    return step(kind(messages, batch_size, 0.0).run(), database)


def test_an_order_is_committed_with_its_message_then_sent_then_marked():
    database = Database()
    report = produce(database, 2)
    assert database.asked == [
        "ReadOutbox", "CommitChange", "CommitChange", "ReadOutbox", "Send", "MarkSent", "ReadOutbox",
    ]  # fmt: skip
    assert (report.sent, report.unsent, database.outbox) == (2, 0, {})
    assert sorted(database.sent) == sorted(database.orders.values())


@given(lives=st.lists(st.integers(0, 12), max_size=4))
def test_whatever_died_on_the_way_each_order_is_told_and_nothing_else_is(lives):
    database = Database()
    for seed, life in enumerate(lives):
        database.lives = life
        with contextlib.suppress(Killed):
            produce(database, 4, seed=seed)
    database.lives = None
    produce(database, 0)  # a relay
    assert set(database.sent) == set(database.orders.values())
    assert database.outbox == {}


def test_what_was_sent_and_not_marked_is_sent_again():
    database = Database()
    database.lives = 4
    with pytest.raises(Killed):
        produce(database, 2)
    assert (len(database.sent), len(database.outbox)) == (2, 2)
    database.lives = None
    produce(database, 0)
    assert (len(database.sent), len(set(database.sent))) == (4, 2)


def test_a_commit_whose_reply_was_lost_is_made_once():
    database = Database()
    (message,) = plan_messages(MessagePlan(count=1), random.Random(1))
    committed = op.CommitChange(key_of_order(message), message.body, message.body)
    assert database.perform(committed) is True
    assert produce(database, 1).sent == 1
    assert (len(database.orders), len(database.sent)) == (1, 1)


def test_what_the_queue_never_takes_stays_in_the_outbox_and_is_counted():
    database = Database()
    database.answer[op.Send] = lambda _: op.SendResult((), (op.EntryFailure(0, "X", "", sender_fault=True),))
    report = produce(database, 1)
    assert (report.sent, report.unsent, len(database.outbox)) == (0, 1, 1)


def test_what_the_outbox_holds_goes_out_in_batches_that_sqs_takes():
    database, batches = Database(), []
    send = database.send
    database.answer[op.Send] = lambda operation: batches.append(len(operation.messages)) or send(operation)
    database.outbox = {str(number): "x" * 390_000 for number in range(5)}
    assert produce(database, 0, batch_size=10).unsent == 0
    assert (batches, database.outbox) == ([2, 2, 1], {})


def test_a_database_that_stays_away_or_refuses_is_an_error():
    with pytest.raises(op.OperationFailed, match="ServiceUnavailable"):
        produce(Database(*[UNAVAILABLE] * SEND_ATTEMPTS), 1)
    with pytest.raises(op.OperationFailed, match="AccessDenied"):
        produce(Database(DENIED), 1)
    assert produce(Database(*[UNAVAILABLE] * (SEND_ATTEMPTS - 1)), 1).sent == 1


def test_the_naive_twin_commits_and_dies_and_sends_no_message():
    database = Database()
    database.lives = 0
    with pytest.raises(Killed):
        produce(database, 1, DualWrite)
    database.lives = None
    produce(database, 1, DualWrite, seed=2)
    assert (len(database.orders), len(database.sent)) == (2, 1)


def test_a_producer_with_an_outbox_and_no_table_is_one_sentence(monkeypatch):
    monkeypatch.setenv("QUEUE_URL", "http://127.0.0.1:1/000000000000/q")
    monkeypatch.setenv("PRODUCER", "services.producer.outbox:OutboxProducer")
    monkeypatch.delenv("MESSAGE_STATUS_TABLE", raising=False)
    with pytest.raises(ConfigurationError, match="MESSAGE_STATUS_TABLE is not set, and OutboxProducer"):
        main(["--n", "1"])
