"""The tables of one history: moto's, made anew in no time, and the plain requests for one item answered at once.

A history of a few messages asks for a dozen items, and a campaign has thousands of histories. Moto's way through a
request takes half a millisecond, most of it to read the request and to write the answer. What needs no expression is
read and written here, in the same tables.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from infra.localaws.dynamodb import DynamoDb
from infra.localaws.http import Request, Response
from infra.localaws.sqs.model import ACCOUNT
from scenarios.local.http_reader import DYNAMODB

#: How a program's tables are keyed.
KEY: Final = "message_id"
_PLAIN_GET: Final = frozenset({"TableName", "Key", "ConsistentRead"})
_PLAIN_ADD: Final = frozenset({"TableName", "Key", "UpdateExpression", "ExpressionAttributeValues"})
#: Characters of a key that need no look at DynamoDB's limits.
_SHORT: Final = 1000


class Tables:
    """The tables of one history.

    Args:
        region: AWS's name of their region.
        names: what they are called.
    """

    def __init__(self, region: str, *names: str) -> None:
        self._dynamodb = DynamoDb(ACCOUNT, region)
        self._backend: Any = self._dynamodb.backend
        for name in names:
            self._backend.tables[name] = _new(region, name)

    def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request of the DynamoDB JSON protocol."""
        action = headers.get("x-amz-target", "").removeprefix(DYNAMODB)
        if action in ("GetItem", "UpdateItem"):
            quick = self._quick(action, body)
            if quick is not None:
                return Response(200, json.dumps(quick).encode(), "application/x-amz-json-1.0")
        return self._dynamodb.answer(Request("POST", "/", dict(headers), body))

    def item(self, table: str, key: str) -> Mapping[str, Any]:
        """Return an item as the protocol has it; empty where there is none."""
        item = self._backend.get_item(table, {KEY: {"S": key}})
        found: Mapping[str, Any] = {} if item is None else item.to_json()["Attributes"]
        return found

    def _quick(self, action: str, body: bytes) -> dict[str, Any] | None:
        """Answer a request for one item that has no expression but to add a number; None for any other."""
        try:
            asked = json.loads(body)
            table, key = self._backend.tables[asked["TableName"]], asked["Key"]
            text = key[KEY]["S"]
            fits = len(key) == len(key[KEY]) == 1 and type(text) is str and 0 < len(text) < _SHORT
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        if not fits:
            return None
        if action == "GetItem":
            if not asked.keys() <= _PLAIN_GET or not isinstance(asked.get("ConsistentRead", True), bool):
                return None
            found = self.item(table.name, text)
            return {"Item": found} if found else {}
        return {} if asked.keys() <= _PLAIN_ADD and self._add(table, text, asked) else None

    def _add(self, table: Any, key: str, asked: Mapping[str, Any]) -> bool:
        """Add a small whole number to an attribute; return whether that is what is asked."""
        words = str(asked.get("UpdateExpression")).split()
        values = asked.get("ExpressionAttributeValues")
        if len(words) != len(("ADD", "name", ":value")) or words[0] != "ADD" or not words[1].isidentifier():
            return False
        if type(values) is not dict or set(values) != {words[2]} or values[words[2]] != {"N": "1"}:
            return False
        if words[1] != "executions":
            return False  # another name may be reserved
        item = dict(self.item(table.name, key)) or {KEY: {"S": key}}
        before = item.get("executions", {"N": "0"})
        if set(before) != {"N"} or not before["N"].isdecimal():
            return False
        item["executions"] = {"N": str(int(before["N"]) + 1)}
        table.put_item(item, overwrite=True)
        return True


_made: dict[tuple[str, str], Any] = {}


def _new(region: str, name: str) -> Any:
    """Return an empty table: a copy of one that moto has made."""
    made = _made.get((region, name))
    if made is None:
        dynamodb = DynamoDb(ACCOUNT, region)
        document = {
            "TableName": name,
            "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        headers = {"x-amz-target": f"{DYNAMODB}CreateTable", "host": "127.0.0.1"}
        dynamodb.answer(Request("POST", "/", headers, json.dumps(document).encode()))
        made = _made[region, name] = dynamodb.backend.tables[name]
    table = copy.copy(made)
    table.items = defaultdict(dict)
    return table
