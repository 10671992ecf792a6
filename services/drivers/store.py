"""The store's part of the AWS driver: the status table (claims) and the side-effect ledger, in DynamoDB.

The status table holds one item a key:

    message_id        the effect key (the partition key)
    status            STARTED or COMPLETED
    outcome           what completed work came to: done, expired, superseded
    attempts          how often the key was claimed; the newest count is the fencing token
    owner             the consumer that claimed it last
    lease_expires_at  until when the claim holds, in milliseconds since the epoch
    attempt_id        the call that claimed it last, see ``services.drivers.attempts``

The side-effect table plays an external system's own ledger: one item a key, with the number of ``executions`` and the
``attempt_ids`` of the calls that added to it. Where this system honours idempotency keys, it remembers each in an item
of its own, ``idempotency-key/<key>``, with the ``contents`` of the call that brought it. Where it compares fencing
tokens, an item's ``fence`` is the newest one. Where messages are updates it
holds the state as well: one item an entity, ``state/<entity>``, with its ``version``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from services.drivers.attempts import ATTEMPT, ATTEMPTS, NOT_ADDED_YET, holds, is_of, new_attempt_id
from services.drivers.aws_errors import failed_condition
from services.drivers.items import Items
from services.errors import Unusable
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
    Operation,
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

#: ``status`` and ``owner`` are reserved words in expressions.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
NAMES = {"#status": "status", "#owner": "owner"}
#: The newest fencing token that the external system has seen of a key, and the condition that none is newer.
FENCE = "fence"
NO_NEWER_TOKEN = f"attribute_not_exists({FENCE}) OR {FENCE} <= :token"
#: The prefix of entities' keys, which tells them from keys of side effects.
STATE_PREFIX = "state/"
#: The prefix of the items of idempotency keys.
IDEMPOTENCY_KEY_PREFIX = "idempotency-key/"


class Store:
    """The two tables, either of which may be absent.

    Args:
        client: a boto3 DynamoDB client.
        status_table: the status table's name, empty for none.
        side_effects_table: the ledger's name, empty for none: then side effects leave no trace but the log.
        now: seconds since the epoch. Leases compare it between
            machines, so their clocks must agree to well within a lease.
        new_attempt: makes the id of a call.
    """

    def __init__(
        self,
        client: Any,
        status_table: str,
        side_effects_table: str,
        now: Callable[[], float] = time.time,
        new_attempt: Callable[[], str] = new_attempt_id,
    ) -> None:
        self._client = client
        self._status = status_table
        self._side_effects = side_effects_table
        self._now = now
        self._new_attempt = new_attempt
        self._items = Items(client, status_table, new_attempt, self._execution if side_effects_table else None)

    def check_tables(self, _operation: CheckTables) -> None:
        """Read a key that nothing has from each table."""
        for table in filter(None, (self._status, self._side_effects)):
            self._client.get_item(TableName=table, Key=_key("-"))

    # The time line of a lease. The claim of a crashed consumer must end before the message is visible again, or else
    # the next delivery finds it held and is wasted:
    #
    #     receive      claim                                lease ends   visible again
    #        ├───────────┼───────────────────────────────────────┼────────────┤
    #        owner A:    attempts = 1, fencing token 1            ╎            owner B receives,
    #                                                             ╎            claims: attempts = 2
    #        A, if it wakes after that, shows token 1 and is refused: Complete asks for attempts = 1.

    def claim(self, operation: Claim) -> ClaimResult:
        """Claim by one conditional write: there is no gap between look and claim."""
        self._needs_status_table(operation)
        now, attempt = self._milliseconds(), self._new_attempt()
        never_claimed = "attribute_not_exists(message_id)"
        lease_is_over = "(#status = :started AND lease_expires_at <= :now)"
        try:
            answer = self._client.update_item(
                TableName=self._status,
                Key=_key(operation.key),
                ConditionExpression=f"{never_claimed} OR {lease_is_over}",
                UpdateExpression="SET #status = :started, #owner = :owner, lease_expires_at = :lease, "
                f"{ATTEMPT} = :attempt ADD attempts :one",
                ExpressionAttributeNames=NAMES,
                ExpressionAttributeValues={
                    ":started": {"S": "STARTED"},
                    ":owner": {"S": operation.owner},
                    ":now": _number(now),
                    ":lease": _number(now + round(operation.lease_seconds * 1000)),
                    ":one": _number(1),
                    ":attempt": {"S": attempt},
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not _is_refusal(error):
                raise
            item = error.response.get("Item", {})
            if is_of(attempt, item):
                return Claimed(int(item["attempts"]["N"]))  # this call took it before, and its reply was lost
            return self._who_holds(item, now)
        return Claimed(int(answer["Attributes"]["attempts"]["N"]))

    def renew_claim(self, operation: RenewClaim) -> bool:
        """Move the lease's end, if no newer claim exists."""
        lease = self._milliseconds() + round(operation.lease_seconds * 1000)
        return self._update_own_claim(operation, "SET lease_expires_at = :lease", {":lease": _number(lease)})

    def release_claim(self, operation: ReleaseClaim) -> bool:
        """End the lease now, if no newer claim exists."""
        return self._update_own_claim(operation, "SET lease_expires_at = :lease", {":lease": _number(0)})

    def complete(self, operation: Complete) -> bool:
        """Mark as completed, if no newer claim exists. Completing twice with one token is the same as once."""
        values = {":completed": {"S": "COMPLETED"}, ":outcome": {"S": operation.outcome}}
        return self._update_own_claim(operation, "SET #status = :completed, outcome = :outcome", values)

    def look_up_side_effect(self, operation: LookUpSideEffect) -> bool:
        """Ask the ledger by a consistent read: a stale answer would cause the effect twice.

        A fencing token raises the fence in the same write.
        """
        if not self._side_effects:
            return False
        if operation.fencing_token is not None:
            return self._look_with_token(operation, operation.fencing_token)
        answer = self._client.get_item(
            TableName=self._side_effects, Key=_key(operation.key), ConsistentRead=operation.consistent
        )
        return "executions" in answer.get("Item", {})

    def _look_with_token(self, operation: LookUpSideEffect, token: int) -> bool:
        try:
            answer = self._client.update_item(
                TableName=self._side_effects,
                Key=_key(operation.key),
                UpdateExpression=f"SET {FENCE} = :token",
                ConditionExpression=NO_NEWER_TOKEN,
                ExpressionAttributeValues={":token": _number(token)},
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _is_refusal(error):
                raise stale_token(operation.key) from error
            raise
        return "executions" in answer["Attributes"]

    def perform_side_effect(self, operation: PerformSideEffect) -> int:
        """Add one execution to the ledger, whatever is there."""
        if not self._side_effects:
            return 1
        attempt = self._new_attempt()
        execution = self._execution(operation, attempt)
        execution["ExpressionAttributeValues"][":attempt"] = {"S": attempt}
        condition = NOT_ADDED_YET
        token = operation.fencing_token
        if token is not None:
            execution["ExpressionAttributeValues"][":token"] = _number(token)
            execution["UpdateExpression"] = execution["UpdateExpression"].replace("SET ", f"SET {FENCE} = :token, ", 1)
            condition = f"{condition} AND ({NO_NEWER_TOKEN})"
        try:
            answer = self._client.update_item(
                **execution,
                ConditionExpression=condition,
                ReturnValues="UPDATED_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            item = error.response.get("Item", {})
            if not _is_refusal(error):
                raise
            if not holds(attempt, item):
                raise stale_token(operation.key) from error
            return int(item["executions"]["N"])  # this call added its execution before, and its reply was lost
        return int(answer["Attributes"]["executions"]["N"])

    def write_state(self, operation: WriteState) -> StateWritten:
        """Write a version by one conditional write: two concurrent writes cannot both find the older version."""
        if not self._side_effects:
            return StateWritten(took=True, version=operation.version)
        no_version_yet = "attribute_not_exists(version)"
        this_one_is_newer = "version < :version"
        condition = {"ConditionExpression": f"{no_version_yet} OR {this_one_is_newer}"}
        attempt = self._new_attempt()
        try:
            self._client.update_item(
                TableName=self._side_effects,
                Key=_key(STATE_PREFIX + operation.entity),
                UpdateExpression=f"SET version = :version, last_message_id = :message_id, {ATTEMPT} = :attempt",
                ExpressionAttributeValues={
                    ":version": _number(operation.version),
                    ":message_id": {"S": operation.message_id},
                    ":attempt": {"S": attempt},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **(condition if operation.only_if_newer else {}),
            )
        except ClientError as error:
            if not _is_refusal(error):
                raise
            item = error.response["Item"]
            return StateWritten(took=is_of(attempt, item), version=int(item["version"]["N"]))
        return StateWritten(took=True, version=operation.version)

    def call_api(self, operation: CallApi) -> ApiAnswer:
        """Add one execution and remember the idempotency key, in one transaction; a key that is known adds nothing.

        Raises:
            OperationFailed: the key came with other contents before, or another call with it is under way.
        """
        if not self._side_effects:
            return ApiAnswer(1, recognised=False)
        recognised = not self._add_under_key(operation)
        ledger = self._client.get_item(TableName=self._side_effects, Key=_key(operation.key), ConsistentRead=True)
        return ApiAnswer(int(ledger["Item"]["executions"]["N"]), recognised)

    def _add_under_key(self, operation: CallApi) -> bool:
        """Add one execution unless the idempotency key is known; a crash leaves both done, or neither."""
        attempt = self._new_attempt()
        item = {
            **_key(IDEMPOTENCY_KEY_PREFIX + operation.idempotency_key),
            "contents": {"S": operation.key},
            ATTEMPT: {"S": attempt},
        }
        key_is_new = "attribute_not_exists(message_id)"
        remember = {
            "TableName": self._side_effects,
            "Item": item,
            "ConditionExpression": key_is_new,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            execution = self._execution(operation, attempt)
            self._client.transact_write_items(TransactItems=[{"Put": remember}, {"Update": execution}])
        except ClientError as error:
            known = failed_condition(error)["Item"]
            if known["contents"] == item["contents"]:
                return is_of(attempt, known)  # then this call did it before, and its reply was lost
            raise key_reused(operation.idempotency_key) from error
        return True

    def _execution(self, operation: PerformSideEffect | CallApi, attempt: str) -> dict[str, Any]:
        """Return the update that adds one execution to the ledger, whatever it already holds."""
        return {
            "TableName": self._side_effects,
            "Key": _key(operation.key),
            "UpdateExpression": f"SET last_message_id = :message_id ADD executions :one, {ATTEMPTS} :attempts",
            "ExpressionAttributeValues": {
                ":message_id": {"S": operation.message_id},
                ":one": _number(1),
                ":attempts": {"SS": [attempt]},
            },
        }

    def get_item(self, operation: GetItem) -> str | None:
        """See :class:`services.drivers.items.Items`, as for the others."""
        return self._items.get(operation)

    def put_item(self, operation: PutItem) -> bool:
        """Write an item, if its condition holds."""
        return self._items.put(operation)

    def delete_item(self, operation: DeleteItem) -> bool:
        """Delete an item, if its condition holds."""
        return self._items.delete(operation)

    def add_to_counter(self, operation: AddToCounter) -> int:
        """Add to a counter."""
        return self._items.add(operation)

    def transact(self, operation: Transact) -> Transacted:
        """Do several writes and a side effect, all or none."""
        return self._items.transact(operation)

    def _needs_status_table(self, operation: Operation) -> None:
        if not self._status:
            raise Unusable(f"{type(operation).__name__} needs a status table; set MESSAGE_STATUS_TABLE to its name.")

    def _update_own_claim(
        self, operation: RenewClaim | ReleaseClaim | Complete, update: str, values: dict[str, Any]
    ) -> bool:
        self._needs_status_table(operation)
        names = {"#status": "status"} if "#status" in update else {}
        claim_is_ours = "attempts = :token"
        try:
            self._client.update_item(
                TableName=self._status,
                Key=_key(operation.key),
                ConditionExpression=claim_is_ours,
                UpdateExpression=update,
                ExpressionAttributeValues={":token": _number(operation.fencing_token), **values},
                **({"ExpressionAttributeNames": names} if names else {}),
            )
        except ClientError as error:
            if _is_refusal(error):
                return False
            raise
        return True

    def _who_holds(self, item: dict[str, Any], now: int) -> AlreadyCompleted | HeldByAnother:
        if item.get("status", {}).get("S") == "COMPLETED":
            return AlreadyCompleted()
        seconds_left = (int(item.get("lease_expires_at", {}).get("N", now)) - now) / 1000
        return HeldByAnother(item.get("owner", {}).get("S", "unknown"), seconds_left)

    def _milliseconds(self) -> int:
        return int(self._now() * 1000)


def _key(value: str) -> dict[str, Any]:
    return {"message_id": {"S": value}}


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _is_refusal(error: ClientError) -> bool:
    return bool(error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException")
