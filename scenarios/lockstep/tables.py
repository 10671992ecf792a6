"""The tables of one history: moto's, made anew in no time, and the plain requests for one item answered at once.

A history of a few messages asks for a dozen items, and a campaign has thousands of histories. Moto's way through a
request takes several milliseconds where it has an expression. Requests for one item of plain values are read and
written here, in the same tables; moto answers all others. A test compares the two.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem

from infra.localaws.dynamodb import CONTENT_TYPE, DynamoDb
from infra.localaws.http import Request, Response
from infra.localaws.limits import RefusedError
from infra.localaws.sqs.model import ACCOUNT
from infra.localaws.values import settle
from scenarios.local.http_reader import DYNAMODB
from scenarios.lockstep.expressions import (
    PLAIN_TYPES,
    BeyondError,
    Check,
    Item,
    Names,
    Update,
    read_condition,
    read_projection,
    read_update,
)

#: How a program's tables are keyed.
KEY: Final = "message_id"
_COMMON: Final = frozenset({"TableName", "ExpressionAttributeNames", "ExpressionAttributeValues"})
_WRITES: Final = _COMMON | {"ConditionExpression", "ReturnValues", "ReturnValuesOnConditionCheckFailure"}
#: The members of the requests that are answered here.
_MEMBERS: Final = {
    "GetItem": _COMMON | {"Key", "ConsistentRead", "ProjectionExpression"},
    "PutItem": _WRITES | {"Item"},
    "UpdateItem": _WRITES | {"Key", "UpdateExpression"},
    "DeleteItem": _WRITES | {"Key"},
}
_RETURNED: Final = {
    "PutItem": frozenset({"NONE", "ALL_OLD"}),
    "UpdateItem": frozenset({"NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW"}),
    "DeleteItem": frozenset({"NONE", "ALL_OLD"}),
}
#: Characters of a key, bytes of a request and attributes of an item that need no look at DynamoDB's limits.
_SHORT: Final = 1000
_SMALL: Final = 4000
_FEW: Final = 64
#: What a request raises that is not answered here.
_OTHERS: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError, RefusedError, BeyondError)


class Tables:
    """The tables of one history.

    Args:
        region: AWS's name of their region.
        names: what they are called.
    """

    def __init__(self, region: str, *names: str) -> None:
        self._dynamodb = DynamoDb(ACCOUNT, region)
        self._backend: Any = self._dynamodb.backend
        self._answered = 0
        for name in names:
            self._backend.tables[name] = _new(region, name)

    def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request of the DynamoDB JSON protocol."""
        action = headers.get("x-amz-target", "").removeprefix(DYNAMODB)
        if action in _MEMBERS and len(body) <= _SMALL:
            with suppress(*_OTHERS):
                status, told = self._quick(action, json.loads(body))
                self._answered += 1
                request_id = {"x-amzn-requestid": f"{self._answered:052d}"}
                return Response(status, json.dumps(told).encode(), CONTENT_TYPE, request_id)
        return self._dynamodb.answer(Request("POST", "/", dict(headers), body))

    def item(self, table: str, key: str) -> Item:
        """Return an item as the protocol has it; empty where there is none."""
        item = self._backend.tables[table].items.get(DynamoType({"S": key}))
        found: Item = item.to_json()["Attributes"] if item else {}
        return found

    def _quick(self, action: str, asked: Any) -> tuple[int, Mapping[str, Any]]:
        """Answer a plain request for one item; return the status, and the answer.

        Raises:
            Exception: one of ``_OTHERS``; the request is not answered here, and nothing has happened.
        """
        if not asked.keys() <= _MEMBERS[action]:
            raise BeyondError("a member")
        settle(asked)
        names, values = _placeholders(asked)
        key = _key_of(asked["Item"] if action == "PutItem" else asked["Key"], alone=action != "PutItem")
        table, before = asked["TableName"], self.item(asked["TableName"], key)
        _must_be_plain(before)
        if action == "GetItem":
            return 200, _found(asked, names, before)
        condition = read_condition(asked["ConditionExpression"], names) if "ConditionExpression" in asked else None
        update = read_update(asked["UpdateExpression"], names, KEY) if action == "UpdateItem" else None
        _must_use_all(names, values, condition, update)
        if asked.get("ReturnValues", "NONE") not in _RETURNED[action]:
            raise BeyondError("what it returns")
        shown = _shown_on_failure(asked, before)
        if condition is not None and not condition.holds(before, values):
            return 400, {**_FAILED, **shown}
        after = asked.get("Item", {}) if update is None else update.applied(before or {KEY: {"S": key}}, values)
        told = _told(asked.get("ReturnValues", "NONE"), before, after, update)
        self._write(table, key, after)
        return 200, told

    def _write(self, table: str, key: str, item: Item) -> None:
        _must_be_plain(item)
        place = DynamoType({"S": key})
        if item:
            self._backend.tables[table].items[place] = MotoItem(place, None, dict(item))
        else:
            self._backend.tables[table].items.pop(place, None)


_FAILED: Final = {
    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message": "The conditional request failed",
}


def _placeholders(asked: Any) -> tuple[Names, Item]:
    """Return what stands for names and for values in a request."""
    names, values = asked.get("ExpressionAttributeNames"), asked.get("ExpressionAttributeValues")
    if {} in (names, values):
        raise BeyondError("no placeholder where there must be one")
    _must_be_plain(values or {})
    return tuple(sorted((names or {}).items())), values or {}


def _key_of(held: Any, *, alone: bool) -> str:
    text = held[KEY]["S"]
    if (alone and len(held) != 1) or len(held[KEY]) != 1 or type(text) is not str or not 0 < len(text) < _SHORT:
        raise BeyondError("a key")
    return str(text)


def _must_be_plain(item: Item) -> None:
    """Check the types of an item's values.

    Raises:
        BeyondError: one is none of those that are kept here.
    """
    if len(item) > _FEW:
        raise BeyondError("many attributes")
    for value in item.values():
        if len(value) != 1 or not value.keys() <= PLAIN_TYPES or type(value.get("BOOL", True)) is not bool:
            raise BeyondError("a value")


def _must_use_all(names: Names, values: Item, condition: Check | None, update: Update | None) -> None:
    used = [each for each in (condition, update) if each is not None]
    if {name for name, _ in names} != frozenset[str]().union(*(each.names for each in used)):
        raise BeyondError("a name that is not used, or not told")
    if values.keys() != frozenset[str]().union(*(each.values for each in used)):
        raise BeyondError("a value that is not used, or not told")


def _found(asked: Any, names: Names, item: Item) -> Mapping[str, Any]:
    """Answer a GetItem."""
    if not isinstance(asked.get("ConsistentRead", True), bool) or "ExpressionAttributeValues" in asked:
        raise BeyondError("a member")
    used: frozenset[str] = frozenset()
    shown = item
    if "ProjectionExpression" in asked:
        paths, used = read_projection(asked["ProjectionExpression"], names)
        shown = {name: value for name, value in item.items() if name in paths}
    if {name for name, _ in names} != used:
        raise BeyondError("a name that is not used")
    return {"Item": shown} if item else {}


def _shown_on_failure(asked: Any, item: Item) -> Mapping[str, Any]:
    shown = asked.get("ReturnValuesOnConditionCheckFailure", "NONE")
    if shown not in ("NONE", "ALL_OLD"):
        raise BeyondError("what it returns")
    return {"Item": item} if item and shown == "ALL_OLD" else {}


def _told(returned: str, before: Item, after: Item, update: Update | None) -> Mapping[str, Any]:
    """Answer a write that was done."""
    if returned == "UPDATED_NEW" and update is not None:
        if update.removes or any(before.get(name) == after[name] for name in update.targets):
            raise BeyondError("what has not changed")
        # moto counts the key of a new item among what has changed.
        return {
            "Attributes": {name: after[name] for name in (*(after.keys() & {KEY} - before.keys()), *update.targets)}
        }
    shown = {"ALL_OLD": before, "ALL_NEW": after}.get(returned)
    return {"Attributes": shown} if shown else {}


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
