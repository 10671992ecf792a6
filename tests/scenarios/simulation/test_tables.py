"""One contract over both stores: the model in memory, and the real one over DynamoDB's protocol.

CONTRACT_ENDPOINT_URL names another endpoint for the real one, instead of the embedded one.
"""

import os
import uuid

import pytest

from infra.clients import aws_client
from infra.localaws.server import running_endpoint
from scenarios.simulation.tables import TableModel
from services import operations as op
from services.drivers.outbox import Outbox
from services.drivers.store import Store


class Model:
    """The model, under the names of the real store's methods."""

    def __init__(self):
        self.now = 1000.0
        self._tables = TableModel()

    def __getattr__(self, name):
        method = getattr(self._tables, name)
        return lambda operation: method(operation, lambda: self.now)

    def outcome(self, key):
        return self._tables.claims[key].outcome


class Real:
    def __init__(self, client):
        self.now = 1000.0
        names = [f"contract-{uuid.uuid4().hex[:8]}-{role}" for role in ("status", "ledger")]
        for name in names:
            client.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "message_id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "message_id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        self._store = Store(client, *names, now=lambda: self.now)
        self.outbox = Outbox(client, names[0])
        self._read = lambda key: client.get_item(TableName=names[0], Key={"message_id": {"S": key}})["Item"]
        self.drop = lambda: [client.delete_table(TableName=name) for name in names]

    def outcome(self, key):
        return self._read(key)["outcome"]["S"]

    def __getattr__(self, name):
        return getattr(self._store, name)


@pytest.fixture(scope="module")
def client():
    given = os.environ.get("CONTRACT_ENDPOINT_URL")
    if given:
        yield aws_client("dynamodb", endpoint_url=given, region="us-west-1")
        return
    with running_endpoint() as endpoint:
        yield aws_client("dynamodb", endpoint_url=endpoint.url, region="us-west-1")


@pytest.fixture(params=["model", "real"])
def store(request):
    if request.param == "model":
        yield Model()
        return
    real = Real(request.getfixturevalue("client"))
    yield real
    real.drop()


def claim(store, owner="me", seconds=10.0, key="k"):
    return store.claim(op.Claim(key, owner, seconds))


def test_the_tables_are_there(store):
    assert store.check_tables(op.CheckTables()) is None


def test_the_first_claim_has_the_first_token(store):
    assert claim(store) == op.Claimed(1)
    assert claim(store, key="other") == op.Claimed(1)


def test_a_claim_holds_until_its_lease_is_over(store):
    claim(store, "one")
    assert claim(store, "two") == op.HeldByAnother("one", 10.0)
    store.now += 9.999
    assert isinstance(claim(store, "two"), op.HeldByAnother)
    store.now += 0.001
    assert claim(store, "two") == op.Claimed(2)
    assert claim(store, "three") == op.HeldByAnother("two", 10.0)


def test_ones_own_claim_is_held_as_well(store):
    claim(store, "me")
    assert claim(store, "me") == op.HeldByAnother("me", 10.0)


def test_a_lease_is_kept_to_the_millisecond(store):
    claim(store, seconds=1.2344)
    assert claim(store, "two").seconds_left == 1.234


def test_a_completed_key_is_never_claimed_again(store):
    assert store.complete(op.Complete("k", claim(store).fencing_token))
    store.now += 1e6
    assert claim(store) == op.AlreadyCompleted()
    assert store.complete(op.Complete("k", 1)), "completing again is the same"


def test_what_completed_work_came_to_is_kept(store):
    store.complete(op.Complete("k", claim(store).fencing_token))
    store.complete(op.Complete("late", claim(store, key="late").fencing_token, "expired"))
    assert (store.outcome("k"), store.outcome("late")) == ("done", "expired")


def test_an_old_token_can_do_nothing(store):
    claim(store, "zombie")
    store.now += 10
    claim(store, "successor")
    assert store.complete(op.Complete("k", 1)) is False
    assert store.renew_claim(op.RenewClaim("k", 1, 100.0)) is False
    assert store.release_claim(op.ReleaseClaim("k", 1)) is False
    assert claim(store, "third") == op.HeldByAnother("successor", 10.0)


def test_a_token_of_no_claim_can_do_nothing(store):
    assert store.complete(op.Complete("k", 1)) is False
    assert store.renew_claim(op.RenewClaim("k", 1, 100.0)) is False
    assert store.release_claim(op.ReleaseClaim("k", 1)) is False
    assert claim(store) == op.Claimed(1)


def test_a_renewed_claim_holds_from_the_renewal(store):
    claim(store, "one")
    store.now += 9
    assert store.renew_claim(op.RenewClaim("k", 1, 10.0)) is True
    store.now += 9
    assert claim(store, "two") == op.HeldByAnother("one", 1.0)


def test_a_released_claim_is_free_at_once(store):
    claim(store, "one")
    assert store.release_claim(op.ReleaseClaim("k", 1)) is True
    assert claim(store, "two") == op.Claimed(2)


def test_the_ledger_counts_and_refuses_nothing(store):
    assert store.look_up_side_effect(op.LookUpSideEffect("k")) is False
    assert store.perform_side_effect(op.PerformSideEffect("k", "m-1")) == 1
    assert store.look_up_side_effect(op.LookUpSideEffect("k")) is True
    assert store.perform_side_effect(op.PerformSideEffect("k", "m-2", 3, "g")) == 2
    assert store.look_up_side_effect(op.LookUpSideEffect("other")) is False


def test_an_older_version_does_not_overwrite_a_newer_one(store):
    assert store.write_state(write(2)) == op.StateWritten(took=True, version=2)
    assert store.write_state(write(1)) == op.StateWritten(took=False, version=2)
    assert store.write_state(write(3)) == op.StateWritten(took=True, version=3)
    assert store.write_state(write(1, entity="other")) == op.StateWritten(took=True, version=1)


def test_the_same_version_written_again_changes_nothing(store):
    assert store.write_state(write(2)).took
    assert store.write_state(write(2)) == op.StateWritten(took=False, version=2)


def test_a_twin_that_does_not_compare_overwrites(store):
    store.write_state(write(2))
    assert store.write_state(write(1, only_if_newer=False)) == op.StateWritten(took=True, version=1)


def test_the_state_of_an_entity_is_no_side_effect(store):
    store.write_state(write(1, entity="k"))
    assert store.look_up_side_effect(op.LookUpSideEffect("k")) is False
    assert store.look_up_side_effect(op.LookUpSideEffect("state/k")) is False


def write(version, entity="e0", **options):
    return op.WriteState(entity, version, f"key-{version}", f"m-{version}", **options)


def test_an_api_does_once_what_has_one_idempotency_key(store):
    assert store.call_api(op.CallApi("k", "m-1", "once")) == op.ApiAnswer(1, recognised=False)
    assert store.call_api(op.CallApi("k", "m-2", "once", 3, "g")) == op.ApiAnswer(1, recognised=True)
    assert store.call_api(op.CallApi("other", "m-3", "another")) == op.ApiAnswer(1, recognised=False)


def test_an_api_refuses_a_known_idempotency_key_with_other_contents_and_does_nothing(store):
    store.call_api(op.CallApi("k", "m-1", "once"))
    for _ in range(2):
        with pytest.raises(op.OperationFailed) as refused:
            store.call_api(op.CallApi("other", "m-2", "once"))
        assert (refused.value.code, refused.value.transient) == (op.KEY_REUSED, False)
    assert store.look_up_side_effect(op.LookUpSideEffect("other")) is False
    assert store.call_api(op.CallApi("k", "m-3", "once")) == op.ApiAnswer(1, recognised=True)


def test_an_api_does_again_what_has_another_idempotency_key_and_still_knows_the_first(store):
    store.call_api(op.CallApi("k", "m-1", "first"))
    assert store.call_api(op.CallApi("k", "m-1", "second")) == op.ApiAnswer(2, recognised=False)
    assert store.call_api(op.CallApi("k", "m-1", "first")) == op.ApiAnswer(2, recognised=True)
    assert store.look_up_side_effect(op.LookUpSideEffect("k")) is True


# --- fencing at the external system ----------------------------------------------------------------------------------


def effect(key="k", token=None):
    return op.PerformSideEffect(key, "m", fencing_token=token)


def test_a_newer_token_shuts_out_an_older_one_and_the_same_one_passes(store):
    assert store.perform_side_effect(effect(token=2)) == 1
    assert store.perform_side_effect(effect(token=2)) == 2
    with pytest.raises(op.OperationFailed, match="StaleFencingToken") as refused:
        store.perform_side_effect(effect(token=1))
    assert not refused.value.transient
    assert store.perform_side_effect(effect(token=3)) == 3
    assert store.perform_side_effect(effect("other", token=1)) == 1


def test_a_look_with_a_token_raises_the_fence_before_it_answers(store):
    assert store.look_up_side_effect(op.LookUpSideEffect("k", fencing_token=2)) is False
    with pytest.raises(op.OperationFailed, match="StaleFencingToken"):
        store.perform_side_effect(effect(token=1))
    with pytest.raises(op.OperationFailed, match="StaleFencingToken"):
        store.look_up_side_effect(op.LookUpSideEffect("k", fencing_token=1))
    assert store.perform_side_effect(effect(token=2)) == 1
    assert store.look_up_side_effect(op.LookUpSideEffect("k", fencing_token=3)) is True
    assert store.look_up_side_effect(op.LookUpSideEffect("k")) is True


# --- generic items ---------------------------------------------------------------------------------------------------


def test_an_item_is_written_once_if_it_must_be_absent(store):
    assert store.get_item(op.GetItem("inbox/k")) is None
    assert store.put_item(op.PutItem("inbox/k", "done", if_absent=True)) is True
    assert store.put_item(op.PutItem("inbox/k", "again", if_absent=True)) is False
    assert store.get_item(op.GetItem("inbox/k")) == "done"
    assert store.put_item(op.PutItem("inbox/k", "anyway")) is True
    assert store.get_item(op.GetItem("inbox/k", consistent=False)) in ("done", "anyway")


def test_an_item_is_written_or_deleted_if_it_has_the_value(store):
    assert store.put_item(op.PutItem("k", "two", if_equal="one")) is False
    store.put_item(op.PutItem("k", "one"))
    assert store.put_item(op.PutItem("k", "two", if_equal="one")) is True
    assert store.delete_item(op.DeleteItem("k", if_equal="one")) is False
    assert store.delete_item(op.DeleteItem("k", if_equal="two")) is True
    assert store.get_item(op.GetItem("k")) is None
    assert store.delete_item(op.DeleteItem("k")) is True


def test_a_counter_begins_at_nothing_and_is_no_claim(store):
    assert store.add_to_counter(op.AddToCounter("k")) == 1
    assert store.add_to_counter(op.AddToCounter("k", 5)) == 6
    assert store.add_to_counter(op.AddToCounter("k", -6)) == 0
    assert store.get_item(op.GetItem("k")) == "0"
    assert claim(store) == op.Claimed(1)


def test_a_transaction_is_done_as_a_whole_or_not_at_all(store):
    inbox = op.PutItem("inbox/k", "done", if_absent=True)
    both = op.Transact((inbox, op.AddToCounter("total", 3)), effect())
    assert store.transact(both) == op.Transacted(True, 1)
    assert store.transact(both) == op.Transacted(done=False)
    assert store.look_up_side_effect(op.LookUpSideEffect("k")) is True
    assert store.perform_side_effect(effect()) == 2
    assert store.get_item(op.GetItem("total")) == "3"
    assert store.transact(op.Transact((op.DeleteItem("inbox/k", if_equal="done"),))) == op.Transacted(True)
    assert store.get_item(op.GetItem("inbox/k")) is None


def test_what_dynamodb_cannot_read_is_refused_for_good():
    model = TableModel()
    with pytest.raises(op.OperationFailed, match="is 5 and no text"):
        model.put_item(op.PutItem("k", 5), lambda: 0.0)
    with pytest.raises(op.OperationFailed, match="writes an item twice") as refused:
        model.transact(op.Transact((op.PutItem("k", "one"), op.PutItem("k", "two"))), lambda: 0.0)
    assert (refused.value.code, refused.value.transient) == ("ValidationException", False)
    assert model.items == {}
