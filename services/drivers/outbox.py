"""The outbox's part of the AWS driver: our own state and the outbox, two kinds of items in one DynamoDB table.

    message_id = order#<key>     what we know of an order; ``change`` says it
    message_id = outbox#<key>    a message about it that is not sent yet; ``body``

A service with more traffic than a lab needs a table for its outbox, or an index by the time of the commit, instead of a
scan; or DynamoDB Streams in place of the relay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from services.drivers.attempts import ATTEMPT, is_of, new_attempt_id
from services.drivers.aws_errors import failed_condition
from services.operations import CommitChange, MarkSent, OperationFailed, OutboxEntry, ReadOutbox

ORDER, OUTBOX = "order#", "outbox#"


class Outbox:
    """The orders and the outbox of one table.

    Args:
        client: a boto3 DynamoDB client.
        table: the table's name.
        new_attempt: makes the id of a call, see ``services.drivers.attempts``.
    """

    def __init__(self, client: Any, table: str, new_attempt: Callable[[], str] = new_attempt_id) -> None:
        self._client = client
        self._table = table
        self._new_attempt = new_attempt

    def commit_change(self, operation: CommitChange) -> bool:
        """Write the change and its message in one transaction, unless the change is there."""
        attempt = self._new_attempt()
        change = {
            "message_id": {"S": ORDER + operation.key},
            "change": {"S": operation.change},
            ATTEMPT: {"S": attempt},
        }
        condition = {
            "ConditionExpression": "attribute_not_exists(message_id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        items = [self._put(change, **condition)]
        if operation.message is not None:
            items.append(self._put({"message_id": {"S": OUTBOX + operation.key}, "body": {"S": operation.message}}))
        try:
            self._client.transact_write_items(TransactItems=items)
        except ClientError as error:
            return is_of(attempt, failed_condition(error).get("Item", {}))
        return True

    def read_outbox(self, operation: ReadOutbox) -> tuple[OutboxEntry, ...]:
        """Read consistently: an entry that a stale read omits would count as sent."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(message_id, :outbox)",
            ExpressionAttributeValues={":outbox": {"S": OUTBOX}},
            ConsistentRead=True,
        )
        found = {item["message_id"]["S"]: item["body"]["S"] for page in pages for item in page["Items"]}
        return tuple(OutboxEntry(key.removeprefix(OUTBOX), found[key]) for key in sorted(found)[: operation.limit])

    def mark_sent(self, operation: MarkSent) -> None:
        """Delete from the outbox; a missing entry is no error."""
        requests = [{"DeleteRequest": {"Key": {"message_id": {"S": OUTBOX + key}}}} for key in operation.keys]
        answer = self._client.batch_write_item(RequestItems={self._table: requests})
        if answer.get("UnprocessedItems"):
            raise OperationFailed("UnprocessedItems", "a part of the batch was not written", transient=True)

    def _put(self, item: dict[str, Any], **condition: str) -> dict[str, Any]:
        return {"Put": {"TableName": self._table, "Item": item, **condition}}
