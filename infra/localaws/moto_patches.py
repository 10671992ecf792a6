"""Where moto's DynamoDB differs from AWS's, or takes time that grows with the square of an item: corrected in place.

- Comparisons between types: DynamoDB has no order there, and such a condition is false; moto raises.
- Sums: exact, with up to 38 digits, and written as DynamoDB keeps numbers; to moto 0.5 and 0.5 are 1.0.
- An update happens as a whole or not at all; moto changes the item step by step.
- The size of an item is checked once a change, and not once an attribute; a projection reads an item once.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

from moto.core.utils import merge_dicts
from moto.dynamodb import comparisons
from moto.dynamodb.exceptions import ItemSizeTooLarge, MockValidationException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict, serializer
from moto.dynamodb.models.utilities import find_nested_key
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor

from infra.localaws.limits import MAX_ITEM_BYTES, RefusedError
from infra.localaws.moto_seams import replace
from infra.localaws.values import LARGEST_EXPONENT, SMALLEST_EXPONENT, kept

#: Enough for the sum of the largest number and the smallest; whether DynamoDB can keep it is asked then.
_EXACT = Context(prec=2 * (LARGEST_EXPONENT - SMALLEST_EXPONENT))


@functools.cache
def patch() -> None:
    """Change moto in this process; a second time does nothing.

    Raises:
        MotoChangedError: moto lacks what the patch changes.
    """
    for name, known in _ORDERED.items():
        replace(getattr(comparisons, name), "expr", known, _false_between_types)
    replace(DynamoType, "__add__", "c2852d8ddde0", functools.partial(_counting, _EXACT.add))
    replace(DynamoType, "__sub__", "1ccbee699609", functools.partial(_counting, _EXACT.subtract))
    replace(Item, "update_with_attribute_updates", "2cb57d88a901", lambda update: _at_once(_spelling(update)))
    replace(UpdateExpressionExecutor, "execute", "f51a6ec13dc1", _executing_at_once)
    replace(DynamoDBBackend, "update_item", "218984588dd6", _leaving_no_new_item)
    replace(LimitedSizeDict, "__setitem__", "d979580fdbe1", lambda _: dict.__setitem__)
    replace(Item, "project", "f411e6d8b568", lambda _: _project)


_ORDERED = {
    "OpLessThan": "2fffc621dcad",
    "OpLessThanOrEqual": "0f48b81ff7c0",
    "OpGreaterThan": "d468257ea759",
    "OpGreaterThanOrEqual": "6545d9825a07",
    "FuncBetween": "cf2f51bcefa9",
}


def _false_between_types(compare: Any) -> Any:
    @functools.wraps(compare)
    def compared(self: Any, item: Any) -> Any:
        try:
            return compare(self, item)
        except TypeError:
            return False

    return compared


def _counting(count: Callable[[Decimal, Decimal], Decimal], otherwise: Any) -> Any:
    """Return an operation on two values: ``count`` where both are numbers."""

    @functools.wraps(otherwise)
    def counted(self: Any, other: Any) -> Any:
        if not (self.is_number() and other.is_number()):
            return otherwise(self, other)
        return type(self)({"N": _kept(count(Decimal(self.value), Decimal(other.value)))})

    return counted


def _spelling(update: Any) -> Any:
    """Return the update by AttributeUpdates, which counts by itself, with its sums as they are kept."""

    @functools.wraps(update)
    def updated(self: Any, attribute_updates: dict[str, Any]) -> None:
        update(self, attribute_updates)
        for value in map(self.attrs.get, attribute_updates):
            if value is not None and value.is_number():
                value.value = _kept(Decimal(value.value))

    return updated


def _kept(number: Decimal) -> str:
    try:
        return kept(number)
    except RefusedError as error:
        raise MockValidationException(str(error)) from None


def _at_once(change: Any) -> Any:
    """Return a change of an item that leaves the item as it was if it fails or makes the item too large."""

    @functools.wraps(change)
    def changed(self: Any, *arguments: Any) -> Any:
        before = self.attrs
        self.attrs = copy.deepcopy(before)
        try:
            done = change(self, *arguments)
            _check_size(self)
        except BaseException:
            self.attrs = before
            raise
        return done

    return changed


def _check_size(item: Any) -> None:
    if item.size() > MAX_ITEM_BYTES:
        raise ItemSizeTooLarge


def _executing_at_once(execute: Any) -> Any:
    """Return an executor of an update expression that changes all that the expression names, or nothing."""

    def change(_item: Any, executor: Any) -> None:
        execute(executor)

    whole = _at_once(change)

    @functools.wraps(execute)
    def executed(self: Any, node: Any = None) -> None:
        if node is None:
            whole(self.item, self)
        else:
            execute(self, node)

    return executed


def _leaving_no_new_item(update: Any) -> Any:
    """Return an update that takes back the item that moto makes first, if the update then fails."""

    @functools.wraps(update)
    def updated(self: Any, table_name: str, key: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        table = self.get_table(table_name)
        place = self.get_keys_value(table, key)
        is_new = table.get_item(*place) is None
        try:
            return update(self, table_name, key, *arguments, **options)
        except BaseException:
            if is_new:
                table.delete_item(*place)
            raise

    return updated


def _project(self: Any, projection_expressions: list[list[str]]) -> Any:
    """Return a new item with what the paths name; each path reads its own attribute alone."""
    result: dict[str, Any] = {}
    for path in projection_expressions:
        name = path[0] if path[0] in self.attrs else path[0].partition("[")[0]
        if name in self.attrs:
            one = Item.__new__(Item)
            one.attrs = {name: self.attrs[name]}
            merge_dicts(result, find_nested_key(path, one.to_regular_json()))
    return Item(self.hash_key, self.range_key, serializer.serialize(result)["M"])
