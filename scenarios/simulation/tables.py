"""The two tables as plain state: the twin, in meaning, of ``services.drivers.store``.

One contract test runs over both, so that what holds here holds with DynamoDB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenarios.simulation.outbox import OutboxModel
from services.operations import (
    AddToCounter,
    AlreadyCompleted,
    ApiAnswer,
    CallApi,
    CheckTables,
    Claim,
    Claimed,
    ClaimResult,
    Complete,
    DeleteItem,
    GetItem,
    HeldByAnother,
    LookUpSideEffect,
    OperationFailed,
    PerformSideEffect,
    PutItem,
    ReleaseClaim,
    RenewClaim,
    StateWritten,
    Transact,
    Transacted,
    WriteState,
    key_reused,
    stale_token,
)


class ClaimItem:
    """An item of the status table; see ``services.drivers.store`` for what the fields mean."""

    __slots__ = ("attempts", "completed", "lease_expires_at", "outcome", "owner")

    def __init__(self) -> None:
        self.attempts = 0
        self.completed = False
        self.outcome = ""
        self.owner = ""
        self.lease_expires_at = 0


class TableModel:
    """The status table and the ledger. Each method is one atomic step, as each call to DynamoDB is.

    Attributes:
        claims: the status table's items by key.
        executions: the ledger: how often each key's side effect was done.
        states: the version of each entity, where messages are updates.
        idempotency_keys: what each idempotency key that was ever seen was for.
        fences: the newest fencing token that the external system has seen, by key.
        items: the items of designs that keep books of their own.
        outbox: a service's own state with its outbox.
    """

    def __init__(self) -> None:
        self.claims: dict[str, ClaimItem] = {}
        self.executions: dict[str, int] = {}
        self.states: dict[str, int] = {}
        self.idempotency_keys: dict[str, str] = {}
        self.fences: dict[str, int] = {}
        self.items: dict[str, str] = {}
        #: What each item was before its last write.
        self._before: dict[str, str | None] = {}
        self.outbox = OutboxModel()

    def check_tables(self, operation: CheckTables, now: Callable[[], float]) -> None:
        """Do nothing: the tables are there."""

    def claim(self, operation: Claim, now: Callable[[], float]) -> ClaimResult:
        """Claim if nobody ever did, or if the lease is over by the caller's clock."""
        moment = _milliseconds(now)
        item = self.claims.get(operation.key)
        if item is None:
            item = self.claims[operation.key] = ClaimItem()
        elif item.completed:
            return AlreadyCompleted()
        elif item.lease_expires_at > moment:
            return HeldByAnother(item.owner, (item.lease_expires_at - moment) / 1000)
        item.attempts += 1
        item.owner = operation.owner
        item.lease_expires_at = moment + round(operation.lease_seconds * 1000)
        return Claimed(item.attempts)

    def renew_claim(self, operation: RenewClaim, now: Callable[[], float]) -> bool:
        """Move the lease's end, if no newer claim exists."""
        item = self._own(operation)
        if item is not None:
            item.lease_expires_at = _milliseconds(now) + round(operation.lease_seconds * 1000)
        return item is not None

    def release_claim(self, operation: ReleaseClaim, now: Callable[[], float]) -> bool:  # noqa: ARG002 - all methods are alike
        """End the lease, if no newer claim exists."""
        item = self._own(operation)
        if item is not None:
            item.lease_expires_at = 0
        return item is not None

    def complete(self, operation: Complete, now: Callable[[], float]) -> bool:  # noqa: ARG002 - likewise
        """Mark as completed, if no newer claim exists."""
        item = self._own(operation)
        if item is not None:
            item.completed = True
            item.outcome = operation.outcome
        return item is not None

    def look_up_side_effect(self, operation: LookUpSideEffect, now: Callable[[], float]) -> bool:  # noqa: ARG002 - likewise
        """Return whether the ledger has the key; raise the fence where a token comes with the question."""
        self._raise_fence(operation.key, operation.fencing_token)
        return operation.key in self.executions

    def perform_side_effect(self, operation: PerformSideEffect, now: Callable[[], float]) -> int:  # noqa: ARG002 - likewise
        """Add one execution, whatever there is, unless a newer fencing token has been seen."""
        self._raise_fence(operation.key, operation.fencing_token)
        count = self.executions[operation.key] = self.executions.get(operation.key, 0) + 1
        return count

    def write_state(self, operation: WriteState, now: Callable[[], float]) -> StateWritten:  # noqa: ARG002 - likewise
        """Set the version of an entity; where only a newer one is to be written, an older or equal one is refused."""
        there = self.states.get(operation.entity)
        if operation.only_if_newer and there is not None and there >= operation.version:
            return StateWritten(took=False, version=there)
        self.states[operation.entity] = operation.version
        return StateWritten(took=True, version=operation.version)

    def call_api(self, operation: CallApi, now: Callable[[], float]) -> ApiAnswer:  # noqa: ARG002 - likewise
        """Add one execution, unless the idempotency key is known; refuse one that is known for something else."""
        recognised = operation.idempotency_key in self.idempotency_keys
        if self.idempotency_keys.setdefault(operation.idempotency_key, operation.key) != operation.key:
            raise key_reused(operation.idempotency_key)
        if not recognised:
            self.executions[operation.key] = self.executions.get(operation.key, 0) + 1
        return ApiAnswer(self.executions[operation.key], recognised)

    def _raise_fence(self, key: str, token: int | None) -> None:
        if token is None:
            return
        if token < self.fences.get(key, token):
            raise stale_token(key)
        self.fences[key] = token

    # --- items of designs that keep books of their own ---------------------------------------------------------------

    def get_item(self, operation: GetItem, now: Callable[[], float]) -> str | None:  # noqa: ARG002 - all methods are alike
        """Return an item's value."""
        return self.items.get(operation.key)

    def put_item(self, operation: PutItem, now: Callable[[], float]) -> bool:  # noqa: ARG002 - likewise
        """Write an item, if its condition holds."""
        if not isinstance(operation.value, str):
            raise invalid(f"the value of {operation.key} is {operation.value!r} and no text")
        if not self._allows(operation):
            return False
        self._write(operation.key, operation.value)
        return True

    def delete_item(self, operation: DeleteItem, now: Callable[[], float]) -> bool:  # noqa: ARG002 - likewise
        """Delete an item, if its condition holds."""
        if not self._allows(operation):
            return False
        self._write(operation.key, None)
        return True

    def add_to_counter(self, operation: AddToCounter, now: Callable[[], float]) -> int:  # noqa: ARG002 - likewise
        """Add to a counter."""
        count = int(self.items.get(operation.key, "0")) + operation.amount
        self._write(operation.key, str(count))
        return count

    def transact(self, operation: Transact, now: Callable[[], float]) -> Transacted:
        """Do all of a transaction if every condition holds, and nothing otherwise."""
        if len({write.key for write in operation.writes}) < len(operation.writes):
            raise invalid("a transaction writes an item twice")
        if not all(self._allows(write) for write in operation.writes if not isinstance(write, AddToCounter)):
            return Transacted(done=False)
        executions = None if operation.effect is None else self.perform_side_effect(operation.effect, now)
        for write in operation.writes:
            match write:
                case PutItem():
                    self.put_item(write, now)
                case DeleteItem():
                    self.delete_item(write, now)
                case AddToCounter():
                    self.add_to_counter(write, now)
        return Transacted(True, executions)

    def read_stale(self, operation: GetItem | LookUpSideEffect) -> Any:
        """Answer as before the last write of what is read: what a read that is not consistent may do."""
        if isinstance(operation, LookUpSideEffect):
            return self.executions.get(operation.key, 0) > 1
        return self._before.get(operation.key)

    def _allows(self, write: PutItem | DeleteItem) -> bool:
        there = self.items.get(write.key)
        if isinstance(write, PutItem) and write.if_absent and there is not None:
            return False
        return write.if_equal is None or there == write.if_equal

    def _write(self, key: str, value: str | None) -> None:
        self._before[key] = self.items.pop(key, None)
        if value is not None:
            self.items[key] = value

    def _own(self, operation: RenewClaim | ReleaseClaim | Complete) -> ClaimItem | None:
        item = self.claims.get(operation.key)
        return item if item is not None and item.attempts == operation.fencing_token else None


def invalid(what: str) -> OperationFailed:
    """Return DynamoDB's refusal of a request that it cannot read."""
    return OperationFailed("ValidationException", what, transient=False)


def _milliseconds(now: Callable[[], float]) -> int:
    return int(now() * 1000)
