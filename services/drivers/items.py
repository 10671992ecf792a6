"""The generic items of the status table: conditional writes, counters and transactions, in DynamoDB.

An item stands beside the claims under ``item/<key>``, with its text as ``content`` or, for a counter, its number as
``counted``. Each write carries an id of its own (see ``services.drivers.attempts``), so a write whose first reply was
lost is not taken for another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from services.drivers.attempts import ATTEMPT, ATTEMPTS, NOT_ADDED_YET, holds, is_of
from services.drivers.aws_errors import failed_condition
from services.errors import Unusable
from services.operations import (
    AddToCounter,
    DeleteItem,
    GetItem,
    Operation,
    PerformSideEffect,
    PutItem,
    Transact,
    Transacted,
    Write,
)

#: The prefix of items' keys, which tells them from claims.
ITEM_PREFIX = "item/"
CONTENT, COUNTED = "content", "counted"


class Items:
    """The items of a table.

    Args:
        client: a boto3 DynamoDB client.
        table: the status table's name, empty for none.
        new_attempt: makes the id of a call.
        execution: returns the update that adds a side effect to the ledger; None where there is no ledger.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        new_attempt: Callable[[], str],
        execution: Callable[[PerformSideEffect, str], dict[str, Any]] | None,
    ) -> None:
        self._client = client
        self._table = table
        self._new_attempt = new_attempt
        self._execution = execution

    def get(self, operation: GetItem) -> str | None:
        """Read an item's text, or a counter's number."""
        self._needs_table(operation)
        answer = self._client.get_item(
            TableName=self._table, Key=_key(operation.key), ConsistentRead=operation.consistent
        )
        return _value(answer.get("Item", {}))

    def put(self, operation: PutItem) -> bool:
        """Write an item by one conditional write."""
        return self._write(operation, self._client.put_item)

    def delete(self, operation: DeleteItem) -> bool:
        """Delete an item by one conditional write; one that is gone was perhaps deleted by this very call."""
        return self._write(operation, self._client.delete_item)

    def add(self, operation: AddToCounter) -> int:
        """Add to a counter, once for each call."""
        self._needs_table(operation)
        attempt = self._new_attempt()
        try:
            answer = self._client.update_item(**self._request(operation, attempt), ReturnValues="ALL_NEW")
        except ClientError as error:
            item = error.response.get("Item", {})
            if not (_is_refusal(error) and holds(attempt, item)):
                raise
            return int(item[COUNTED]["N"])
        return int(answer["Attributes"][COUNTED]["N"])

    def transact(self, operation: Transact) -> Transacted:
        """Do all writes and the side effect in one transaction.

        Raises:
            OperationFailed: another transaction works on the same items.
        """
        self._needs_table(operation)
        attempt = self._new_attempt()
        requests = [{_VERBS[type(write)]: self._request(write, attempt)} for write in operation.writes]
        effect = operation.effect
        if effect is not None and self._execution is not None:
            requests.append({"Update": self._execution(effect, attempt)})
        try:
            self._client.transact_write_items(TransactItems=requests)
        except ClientError as error:
            item = failed_condition(error).get("Item", {})
            if not (is_of(attempt, item) or holds(attempt, item)):
                return Transacted(done=False)
        return Transacted(True, None if effect is None else self._executions(requests[-1]))

    def _executions(self, request: Mapping[str, Any]) -> int:
        update = request.get("Update", {})
        if self._execution is None or not update:
            return 1
        answer = self._client.get_item(TableName=update["TableName"], Key=update["Key"], ConsistentRead=True)
        return int(answer["Item"]["executions"]["N"])

    def _write(self, operation: PutItem | DeleteItem, act: Callable[..., Any]) -> bool:
        self._needs_table(operation)
        attempt = self._new_attempt()
        try:
            act(**self._request(operation, attempt))
        except ClientError as error:
            if not _is_refusal(error):
                raise
            return is_of(attempt, error.response.get("Item", {}))
        return True

    def _request(self, write: Write, attempt: str) -> dict[str, Any]:
        """Return the request of a write, alone or in a transaction."""
        if isinstance(write, AddToCounter):
            return {
                "TableName": self._table,
                "Key": _key(write.key),
                "UpdateExpression": f"ADD {COUNTED} :amount, {ATTEMPTS} :attempts",
                "ConditionExpression": NOT_ADDED_YET,
                "ExpressionAttributeValues": {
                    ":amount": {"N": str(write.amount)},
                    ":attempts": {"SS": [attempt]},
                    ":attempt": {"S": attempt},
                },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        conditions = []
        if isinstance(write, PutItem) and write.if_absent:
            conditions.append("attribute_not_exists(message_id)")
        if write.if_equal is not None:
            conditions.append(f"{CONTENT} = :before")
        request: dict[str, Any] = {"TableName": self._table}
        if isinstance(write, PutItem):
            request["Item"] = {**_key(write.key), CONTENT: {"S": write.value}, ATTEMPT: {"S": attempt}}
        else:
            request["Key"] = _key(write.key)
        if conditions:
            request["ConditionExpression"] = " AND ".join(conditions)
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if write.if_equal is not None:
            request["ExpressionAttributeValues"] = {":before": {"S": write.if_equal}}
        return request

    def _needs_table(self, operation: Operation) -> None:
        if not self._table:
            raise Unusable(f"{type(operation).__name__} needs a status table; set MESSAGE_STATUS_TABLE to its name.")


_VERBS: Mapping[type[Write], str] = {PutItem: "Put", DeleteItem: "Delete", AddToCounter: "Update"}


def _key(key: str) -> dict[str, Any]:
    return {"message_id": {"S": ITEM_PREFIX + key}}


def _value(item: Mapping[str, Any]) -> str | None:
    if CONTENT in item:
        return str(item[CONTENT]["S"])
    return str(item[COUNTED]["N"]) if COUNTED in item else None


def _is_refusal(error: ClientError) -> bool:
    return bool(error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException")
