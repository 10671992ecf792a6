"""A reply is lost and the SDK sends the request again: that is no duplicate, and no claim of another's."""

import json
import time

import pytest

from scenarios.history import History
from services import operations as op
from services.clients import Access, Clients
from services.consumer.consumer import Consumer
from services.consumer.options import ConsumerOptions
from services.drivers.aws import AwsDriver
from services.drivers.outbox import Outbox
from services.drivers.queue import Queue
from services.drivers.recorded import RealFaults, RecordedDriver
from services.drivers.store import Store
from services.faults import FaultPlan
from services.history import Recorder
from services.runtime import step
from tests.services.lossy import LossyProxy


@pytest.fixture
def proxy(account):
    account.table("status")
    account.table("ledger")
    proxy = LossyProxy(account.url)
    yield proxy
    proxy.close()


@pytest.fixture
def dynamodb(proxy):
    client = Clients(Access("us-west-1", None, proxy.url)).client("dynamodb")
    yield client
    client.close()


@pytest.fixture
def store(dynamodb, account):
    account.now = 1000.0
    return Store(dynamodb, "status", "ledger", now=lambda: account.now)


@pytest.fixture
def others(account):
    """Another consumer's store, whose replies arrive."""
    return Store(account.dynamodb, "status", "ledger", now=lambda: account.now)


EFFECT = op.PerformSideEffect("k", "m-1")


@pytest.mark.parametrize("replies", [1, 2])
def test_a_repeated_execution_counts_once(store, account, proxy, replies):
    proxy.lose("UpdateItem", replies)
    assert store.perform_side_effect(EFFECT) == 1
    assert len(proxy.requests("UpdateItem")) == 1 + replies
    assert account.executions() == [1]


def test_a_second_execution_counts_as_one(store, account):
    assert [store.perform_side_effect(EFFECT) for _ in range(2)] == [1, 2]
    assert account.executions() == [2]


def test_a_repeated_execution_counts_once_also_where_another_came_in_between(store, others, account, proxy):
    proxy.lose("UpdateItem")
    proxy.before_repeat = lambda: others.perform_side_effect(EFFECT)
    assert store.perform_side_effect(EFFECT) == 2
    assert account.executions() == [2]


def test_a_repeated_claim_is_our_own(store, proxy):
    proxy.lose("UpdateItem")
    assert store.claim(op.Claim("k", "me", 10.0)) == op.Claimed(1)
    assert len(proxy.requests("UpdateItem")) == 2


def test_a_second_claim_by_the_same_owner_is_held(store):
    store.claim(op.Claim("k", "me", 10.0))
    assert store.claim(op.Claim("k", "me", 10.0)) == op.HeldByAnother("me", 10.0)


def test_a_repeated_claim_that_another_has_taken_over_meanwhile_is_theirs(store, others, account, proxy):
    def take_over():
        account.now += 11
        assert others.claim(op.Claim("k", "successor", 60.0)) == op.Claimed(2)

    proxy.lose("UpdateItem")
    proxy.before_repeat = take_over
    assert isinstance(store.claim(op.Claim("k", "me", 10.0)), op.HeldByAnother)


def test_a_claim_that_is_refused_at_first_is_refused_again(store, others, proxy):
    others.claim(op.Claim("k", "another", 10.0))
    proxy.lose("UpdateItem")
    assert store.claim(op.Claim("k", "me", 10.0)) == op.HeldByAnother("another", 10.0)


CALL = op.CallApi("k", "m-1", "key-1")


def test_a_repeated_call_is_not_taken_for_one_that_the_api_knew(store, proxy):
    proxy.lose("TransactWriteItems")
    assert store.call_api(CALL) == op.ApiAnswer(1, recognised=False)
    assert len(proxy.requests("TransactWriteItems")) == 2


def test_a_second_call_under_the_same_key_is_recognised(store):
    assert [store.call_api(CALL) for _ in range(2)] == [
        op.ApiAnswer(1, recognised=False),
        op.ApiAnswer(1, recognised=True),
    ]


def test_a_repeated_write_of_a_version_took(store, proxy):
    proxy.lose("UpdateItem")
    assert store.write_state(op.WriteState("e", 3, "k", "m-1")) == op.StateWritten(took=True, version=3)


def test_a_second_write_of_a_version_is_refused(store):
    store.write_state(op.WriteState("e", 3, "k", "m-1"))
    assert store.write_state(op.WriteState("e", 3, "k", "m-1")) == op.StateWritten(took=False, version=3)


def test_a_repeated_commit_is_told_from_one_that_was_made_before(dynamodb, proxy):
    outbox = Outbox(dynamodb, "status")
    proxy.lose("TransactWriteItems")
    assert outbox.commit_change(op.CommitChange("k", "placed", "body"))
    assert not outbox.commit_change(op.CommitChange("k", "placed", "body"))


@pytest.mark.parametrize("operation", ["complete", "renew_claim", "release_claim"])
def test_what_asks_for_the_token_may_be_repeated(store, proxy, operation):
    token = store.claim(op.Claim("k", "me", 10.0)).fencing_token
    proxy.lose("UpdateItem")
    asked = {
        "complete": op.Complete("k", token),
        "renew_claim": op.RenewClaim("k", token, 10.0),
        "release_claim": op.ReleaseClaim("k", token),
    }
    assert getattr(store, operation)(asked[operation])


def test_a_consumer_whose_every_first_reply_is_lost_does_each_message_once(account, proxy, store):
    queue = Queue(account.sqs, account.queue())
    for number in range(2):
        account.sqs.send_message(QueueUrl=queue.url, MessageBody=json.dumps({"id": f"k{number}"}))
    records = []
    recorder = Recorder(records.append, "c", time.monotonic, "q")
    driver = RecordedDriver(AwsDriver(queue, store), recorder, FaultPlan(), RealFaults(time.sleep))
    proxy.lose("UpdateItem", "every first")
    options = ConsumerOptions(owner="c", max_messages=10, wait_time_seconds=0, message_limit=2)
    assert step(Consumer(options).poll(), driver) == 2
    history = History(records)
    assert [claim.answer for claim in history.claims] == ["Claimed", "Claimed"]
    assert [effect.executions for effect in history.effects] == [1, 1]
    assert account.executions() == [1, 1]
    assert len(proxy.requests("UpdateItem")) == 2 * 3 * 2  # claim, perform and complete, each of them twice
