"""Attribute values of a request to a table, checked as DynamoDB does, and their numbers in the one spelling it keeps.

moto takes what it is given: ``1.0`` stays ``1.0``, and what is no number is found out when it is counted with.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any, Final

from infra.localaws.limits import MAX_NUMBER_CHARACTERS, RefusedError, check_level, check_size

#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-data-types-numbers
MAX_DIGITS: Final = 38
LARGEST_EXPONENT: Final = 125
SMALLEST_EXPONENT: Final = -130

_KEPT: Final = re.compile(rf"0|-?[1-9][0-9]{{0,{MAX_DIGITS - 1}}}")
"""A number that is spelt as DynamoDB keeps it; not all of them, but nearly all that are used."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
"""Each digit can belong to one part only, so the time that a match takes grows with the length and not faster."""
_EXACT: Final = Context(prec=MAX_DIGITS)

_NO_NUMBER = "The parameter cannot be converted to a numeric value"
_TOO_LARGE = "Number overflow. Attempting to store a number with magnitude larger than supported range"
_TOO_SMALL = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
_TOO_LONG = f"Attempting to store more than {MAX_DIGITS} significant digits in a Number"
_INVALID = "One or more parameter values were invalid"
_EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string "
    "value. Key: "
)

_TYPES: Final = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})
_SETS: Final = {"SS": "An string set  may", "NS": "An number set  may", "BS": "Binary sets should"}
#: Members that hold attribute values by name, and those that hold conditions or changes by the attribute's name.
_BY_NAME: Final = frozenset({"Item", "Key", "ExclusiveStartKey", "ExpressionAttributeValues"})
_LEGACY: Final = frozenset({"AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter"})


def settle(asked: Any) -> bool:
    """Check the attribute values anywhere in a request, and spell their numbers as DynamoDB keeps them.

    Args:
        asked: the request's body; it is changed in place.

    Returns:
        Whether anything was changed.

    Raises:
        RefusedError: DynamoDB takes no such value.
    """
    if type(asked) is list:
        return _any(map(settle, asked))
    return _any(_settle_member(*member) for member in asked.items()) if type(asked) is dict else False


def _settle_member(name: str, held: Any) -> bool:
    if type(held) is dict:
        if name in _BY_NAME:
            return _settle_named(name, held)
        if name in _LEGACY:
            return _any(map(_legacy, held.values()))
        # Below it are the names of tables, which may be any.
        return _any(map(settle, held.values())) if name == "RequestItems" else settle(held)
    if name == "Keys" and type(held) is list:
        return _any(_settle_member("Key", key) for key in held)
    if name == "Parameters" and type(held) is list:
        return _any(map(_attribute, held))
    return type(held) is list and settle(held)


def _settle_named(name: str, held: dict[str, Any]) -> bool:
    changed = False
    for key, value in held.items():
        if name == "Key" and value in ({"S": ""}, {"B": ""}):
            raise RefusedError(f"{_EMPTY_KEY}{key}")
        try:
            changed |= _attribute(value)
        except RefusedError as error:
            if name == "ExpressionAttributeValues" and error.code == "ValidationException":
                raise RefusedError(f"{name} contains invalid value: {error} for key {key}") from None
            raise
    if name == "Item":
        check_size(held)
    return changed


def _legacy(part: Any) -> bool:
    if type(part) is not dict:
        return False
    values = [*([part["Value"]] if part.get("Value") is not None else []), *(part.get("AttributeValueList") or ())]
    return _any(map(_attribute, values))


def _any(changes: Iterable[bool]) -> bool:
    """Return whether there was a change, after all of them."""
    return bool(sum(changes))


def _attribute(value: Any, level: int = 1) -> bool:
    """Check one attribute value, which lies so many levels deep; return whether it was changed."""
    check_level(level)
    if type(value) is not dict:
        raise RefusedError("Unexpected value type in payload", "SerializationException")
    changed = len(value) != 1 and _leave_out_nulls(value)
    if len(value) != 1 or not _TYPES.issuperset(value):
        fault = "has more than one datatypes set" if len(_TYPES.intersection(value)) > 1 else "is empty"
        raise RefusedError(f"Supplied AttributeValue {fault}, must contain exactly one of the supported datatypes")
    ((kind, held),) = value.items()
    if kind in ("S", "N", "B"):
        if type(held) is not str:
            raise RefusedError(f"The value of {kind} cannot be converted to String", "SerializationException")
        if kind == "N":
            value["N"] = spelt(held)
            return changed or value["N"] != held
    elif kind in _SETS and type(held) is list:
        value[kind] = _set(kind, held)
        return changed or value[kind] != held
    elif kind == "M" and type(held) is dict:
        return _any(_attribute(each, level + 1) for each in held.values()) or changed
    elif kind == "L" and type(held) is list:
        return _any(_attribute(each, level + 1) for each in held) or changed
    return changed


def _leave_out_nulls(value: dict[str, Any]) -> bool:
    """Take out the types that are there as null only, as some serializers write them; return whether there were any."""
    absent = [kind for kind, held in value.items() if held is None]
    for kind in absent:
        del value[kind]
    return bool(absent)


def _set(kind: str, held: list[Any]) -> list[str]:
    if not held:
        raise RefusedError(f"{_INVALID}: {_SETS[kind]} not be empty")
    if any(type(element) is not str for element in held):
        raise RefusedError(f"An element of {kind} cannot be converted to String", "SerializationException")
    kept = [spelt(element) for element in held] if kind == "NS" else held
    if len(set(kept)) != len(kept):
        raise RefusedError(f"{_INVALID}: Input collection [{', '.join(held)}] contains duplicates.")
    return kept


def spelt(number: str) -> str:
    """Return a number as DynamoDB keeps it: without an exponent, and without zeros that say nothing.

    Raises:
        RefusedError: it is no number, or one that DynamoDB cannot keep.
    """
    if _KEPT.fullmatch(number):
        return number
    if len(number) > MAX_NUMBER_CHARACTERS:
        raise RefusedError(_TOO_LONG)
    if not _NUMBER.fullmatch(number):
        raise RefusedError(f"{_NO_NUMBER}: {number}" if number else _NO_NUMBER)
    return kept(Decimal(number))


def kept(number: Decimal) -> str:
    """Return a number as DynamoDB keeps it.

    Raises:
        RefusedError: it is too large, too small, or has too many digits.
    """
    if not number:
        return "0"
    if number.adjusted() > LARGEST_EXPONENT:
        raise RefusedError(_TOO_LARGE)
    if number.adjusted() < SMALLEST_EXPONENT:
        raise RefusedError(_TOO_SMALL)
    if len("".join(map(str, number.as_tuple().digits)).rstrip("0")) > MAX_DIGITS:
        raise RefusedError(_TOO_LONG)
    return f"{number.normalize(_EXACT):f}"
