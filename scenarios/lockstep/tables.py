"""The tables of one history: moto's, made anew in no time, and the plain requests for one item answered at once.

A history of a few messages asks for a dozen items, and a campaign has thousands of histories. Moto's way through a
request takes several milliseconds where it has an expression. Requests for one item of plain values are read and
written here, in the same tables; moto answers all others. A test compares the two.

Each item is kept as it was before its last change: a read without ``ConsistentRead``, DynamoDB's default, may see that.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from http import HTTPStatus
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
#: The reads that need not be consistent; those of a transaction are.
_READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
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
        #: By table and key: an item as the tables have it, and its shape, which is not worked out at each read.
        self._shapes: dict[tuple[str, str], tuple[MotoItem, Item]] = {}
        for name in names:
            self._backend.tables[name] = _new(region, name)
        #: By table: what each item that has changed was before its last change; None where there was none.
        self._before: dict[str, dict[DynamoType, MotoItem | None]] = {name: {} for name in names}

    def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request of the DynamoDB JSON protocol."""
        action = headers.get("x-amz-target", "").removeprefix(DYNAMODB)
        if action in _MEMBERS and len(body) <= _SMALL:
            with suppress(*_OTHERS):
                status, told = self._quick(action, json.loads(body))
                self._answered += 1
                request_id = {"x-amzn-requestid": f"{self._answered:052d}"}
                return Response(status, json.dumps(told).encode(), CONTENT_TYPE, request_id)
        self._shapes.clear()
        before = {} if action in _READS else self._copies()
        answer = self._dynamodb.answer(Request("POST", "/", dict(headers), body))
        self._keep(before)
        return answer

    def answer_stale(
        self, headers: Mapping[str, str], body: bytes, chooses: Callable[[], bool]
    ) -> tuple[Response, list[str]] | None:
        """Answer a read that need not be consistent, with items as they were before their last change.

        Args:
            headers: as for :meth:`answer`.
            body: likewise.
            chooses: says of an item that would change the answer whether it is read as it was; called for each.

        Returns:
            The answer, and the keys of the items that it has as they were; None where the answer is the present one.
        """
        if headers.get("x-amz-target", "").removeprefix(DYNAMODB) not in _READS:
            return None
        present = self.answer(headers, body)
        if present.status != HTTPStatus.OK:
            return None
        chosen = []
        for table, place in self._read_loosely(json.loads(body)):
            with self._as_it_was([(table, place)]):
                differs = self.answer(headers, body).body != present.body
            if differs and chooses():
                chosen.append((table, place))
        if not chosen:
            return None
        with self._as_it_was(chosen):
            return self.answer(headers, body), [str(place.value) for _, place in chosen]

    def _read_loosely(self, asked: Any) -> list[tuple[str, DynamoType]]:
        """Return the items that have changed and that a read may see as they were; of a Query or Scan, all of them."""
        found = []
        for name, part in asked.get("RequestItems", {asked.get("TableName"): asked}).items():
            table = name.rpartition("/")[2]
            keys = part.get("Keys", [part["Key"]] if "Key" in part else None)
            places = None if keys is None else [DynamoType(key[KEY]) for key in keys]
            if not part.get("ConsistentRead"):
                changed = self._before.get(table, {})
                found += [(table, place) for place in changed if places is None or place in places]
        return found

    @contextmanager
    def _as_it_was(self, places: list[tuple[str, DynamoType]]) -> Iterator[None]:
        """Show items as they were before their last change."""
        shown = {table: self._backend.tables[table].items for table, _ in places}
        for table, items in shown.items():
            past = {**items, **{place: self._before[table][place] for of, place in places if of == table}}
            there = {place: item for place, item in past.items() if item is not None}
            self._backend.tables[table].items = defaultdict(dict, there)
        try:
            yield
        finally:
            for table, items in shown.items():
                self._backend.tables[table].items = items

    def _copies(self) -> dict[str, dict[DynamoType, MotoItem]]:
        """Return copies of all items; moto changes some in their place."""
        tables = self._backend.tables
        return {name: copy.deepcopy(dict(tables[name].items)) for name in self._before if name in tables}

    def _keep(self, before: Mapping[str, Mapping[DynamoType, MotoItem]]) -> None:
        """Keep what the items were that have changed."""
        for name, items in before.items():
            now = self._backend.tables[name].items if name in self._backend.tables else {}
            for place in {**items, **now}:
                was, is_now = items.get(place), now.get(place)
                if _shape(was) != _shape(is_now):
                    self._before[name][place] = was

    def item(self, table: str, key: str) -> Item:
        """Return an item as the protocol has it; empty where there is none."""
        item = self._backend.tables[table].items.get(_place(key))
        known = self._shapes.get((table, key))
        if known is not None and known[0] is item:
            return known[1]
        shape = _shape(item)
        if item is not None:
            self._shapes[table, key] = item, shape
        return shape

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
        self._write(table, key, before, after)
        return 200, told

    def _write(self, table: str, key: str, before: Item, item: Item) -> None:
        _must_be_plain(item)
        place, items = _place(key), self._backend.tables[table].items
        if item != before and table in self._before:
            self._before[table][place] = items.get(place)
        if item:
            items[place] = MotoItem(place, None, dict(item))
        else:
            items.pop(place, None)


@lru_cache(4096)
def _place(key: str) -> DynamoType:
    """Return where an item of a key lies."""
    return DynamoType({"S": key})


def _shape(item: MotoItem | None) -> Item:
    shape: Item = item.to_json()["Attributes"] if item else {}
    return shape


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
