"""The claims' contract, on a real DynamoDB protocol."""

import pytest

from services import operations as op
from services.drivers.store import Store


@pytest.fixture
def store(account):
    account.now = 1000.0
    return Store(account.dynamodb, account.table("status"), account.table("ledger"), now=lambda: account.now)


def claim(store, owner="me", seconds=10.0):
    return store.claim(op.Claim("k", owner, seconds))


def test_the_first_claim_is_the_first_attempt(store):
    assert claim(store) == op.Claimed(1)
    assert claim(store, seconds=0) != op.Claimed(1)


def test_a_claim_holds_until_its_lease_is_over(store, account):
    claim(store, "one")
    assert claim(store, "two") == op.HeldByAnother("one", 10.0)
    account.now += 9.999
    assert claim(store, "two") == op.HeldByAnother("one", pytest.approx(0.001))
    account.now += 0.001
    assert claim(store, "two") == op.Claimed(2)


def test_a_completed_key_stays_completed_for_ever(store, account):
    assert store.complete(op.Complete("k", claim(store).fencing_token))
    account.now += 1e6
    assert claim(store) == op.AlreadyCompleted()


def test_a_zombie_cannot_complete_renew_or_release_a_newer_claim(store, account):
    old = claim(store, "zombie").fencing_token
    account.now += 11
    claim(store, "successor")
    assert not store.complete(op.Complete("k", old))
    assert not store.renew_claim(op.RenewClaim("k", old, 100.0))
    assert not store.release_claim(op.ReleaseClaim("k", old))
    assert claim(store, "third") == op.HeldByAnother("successor", 10.0)


def test_completing_twice_with_one_token_is_the_same_as_once(store):
    token = claim(store).fencing_token
    assert store.complete(op.Complete("k", token))
    assert store.complete(op.Complete("k", token))


def test_a_renewed_claim_holds_from_the_renewal(store, account):
    token = claim(store).fencing_token
    account.now += 8
    assert store.renew_claim(op.RenewClaim("k", token, 10.0))
    account.now += 9
    assert isinstance(claim(store, "two"), op.HeldByAnother)


def test_a_released_claim_can_be_taken_at_once(store):
    store.release_claim(op.ReleaseClaim("k", claim(store).fencing_token))
    assert claim(store, "two") == op.Claimed(2)


def test_the_ledger_counts_executions_and_refuses_none(store):
    effect = op.PerformSideEffect("k", "m-1")
    assert not store.look_up_side_effect(op.LookUpSideEffect("k"))
    assert [store.perform_side_effect(effect) for _ in range(3)] == [1, 2, 3]
    assert store.look_up_side_effect(op.LookUpSideEffect("k"))


def test_a_missing_table_is_found_by_the_check(account):
    with pytest.raises(account.dynamodb.exceptions.ResourceNotFoundException):
        Store(account.dynamodb, "absent", "").check_tables(op.CheckTables())


def test_without_a_ledger_nothing_is_known_and_everything_is_done(account):
    store = Store(account.dynamodb, "", "")
    assert store.perform_side_effect(op.PerformSideEffect("k", "m")) == 1
    assert not store.look_up_side_effect(op.LookUpSideEffect("k"))
