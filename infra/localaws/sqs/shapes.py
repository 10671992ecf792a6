"""Checks a request's JSON against AWS's published model of SQS, which comes with botocore.

Each shape becomes one function that checks a value and returns it in Python's terms (a blob becomes bytes). A
missing member is the action's ``MissingParameter``, a wrong type a ``SerializationException``; a member that the
model does not know is refused by name rather than ignored.
"""

import base64
import binascii
from collections.abc import Callable
from functools import cache
from typing import Any

from infra.localaws.sqs.errors import MissingParameter, SerializationError, UnsupportedOperation

Check = Callable[[Any], Any]


@cache
def service_model() -> dict[str, Any]:
    """Return AWS's model of SQS."""
    from botocore.loaders import Loader  # noqa: PLC0415 - costs 0.1 s, which only who serves requests should pay

    model: dict[str, Any] = Loader().load_service_model("sqs", "service-2")
    return model


@cache
def input_checks() -> dict[str, Check]:
    """Return the check of each action's input, by the action's name."""
    model = service_model()
    shapes = model["shapes"]
    return {name: _check(shapes, operation["input"]["shape"]) for name, operation in model["operations"].items()}


def _check(shapes: dict[str, Any], name: str) -> Check:
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        members = {member: _check(shapes, target["shape"]) for member, target in shape["members"].items()}
        return _structure(name, members, tuple(shape.get("required", ())))
    if kind == "list":
        return _list(_check(shapes, shape["member"]["shape"]))
    if kind == "map":
        return _map(_check(shapes, shape["value"]["shape"]))
    return _SCALARS[kind]


def _structure(name: str, members: dict[str, Check], required: tuple[str, ...]) -> Check:
    action = name.removesuffix("Request")

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong_type(value, "a structure")
        for member, inner in value.items():
            check_member = members.get(member)
            if check_member is None:
                raise UnsupportedOperation(f"{member} is not a parameter of {action} that this endpoint knows.")
            if inner is not None:
                value[member] = check_member(inner)
        for member in required:
            if value.get(member) is None:
                raise MissingParameter.named(member)
        return value

    return check


def _list(check_item: Check) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not list:
            raise _wrong_type(value, "a list")
        return [check_item(item) for item in value]

    return check


def _map(check_value: Check) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong_type(value, "a map")
        return {key: check_value(item) for key, item in value.items()}

    return check


def _string(value: Any) -> Any:
    if type(value) is not str:
        raise _wrong_type(value, "a String")
    return value


def _integer(value: Any) -> Any:
    if type(value) is not int:
        raise _wrong_type(value, "an Integer")
    return value


def _boolean(value: Any) -> Any:
    if type(value) is not bool:
        raise _wrong_type(value, "a Boolean")
    return value


def _blob(value: Any) -> Any:
    try:
        return base64.b64decode(_string(value), validate=True)
    except (binascii.Error, ValueError):
        raise SerializationError("A blob is not valid base64.") from None


def _wrong_type(value: Any, wanted: str) -> SerializationError:
    kind = next((name for kind, name in _JSON_KINDS if isinstance(value, kind)), "NULL_VALUE")
    return SerializationError(f"{kind} can not be converted to {wanted}")


_JSON_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "BOOLEAN_VALUE"),
    (str, "STRING_VALUE"),
    (int, "NUMBER_VALUE"),
    (float, "DECIMAL_VALUE"),
    (dict, "START_OBJECT"),
    (list, "START_ARRAY"),
)
_SCALARS: dict[str, Check] = {
    "string": _string,
    "integer": _integer,
    "long": _integer,
    "boolean": _boolean,
    "blob": _blob,
}
