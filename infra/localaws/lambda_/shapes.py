"""Checks requests against AWS's published model of Lambda, which comes with botocore.

A parameter of AWS's that this endpoint does not honour is refused by name, never ignored; a value that breaks a
constraint of the model is refused in AWS's own words.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, Final

from infra.localaws.lambda_.errors import InvalidRequestContent, UnsupportedParameter, ValidationError


@cache
def _model() -> dict[str, Any]:
    from botocore.loaders import Loader  # noqa: PLC0415 - costs 0.1 s, which only who serves requests should pay

    model: dict[str, Any] = Loader().load_service_model("lambda", "service-2")
    return model


def check_input(operation: str, parameters: Mapping[str, Any], honoured: Collection[str]) -> None:
    """Check the parameters of an operation.

    Args:
        operation: AWS's name of it.
        parameters: by AWS's names; None counts as not given.
        honoured: the parameters that this endpoint acts on.

    Raises:
        UnsupportedParameter: one that it does not act on is given.
        ValidationError: a value breaks a constraint.
        InvalidRequestContent: a value is of the wrong type.
    """
    model = _model()
    shape = model["shapes"][model["operations"][operation]["input"]["shape"]]
    given = {name: value for name, value in parameters.items() if value is not None}
    for name in given:
        if name not in honoured or name not in shape["members"]:
            raise UnsupportedParameter(f"{name} is not a parameter of {operation} that this endpoint acts on.")
    breaches = [
        f"Value null at '{_lower(name)}' failed to satisfy constraint: Member must not be null"
        for name in shape.get("required", ())
        if name not in given
    ]
    for name, value in given.items():
        breaches.extend(_breaches(model["shapes"], shape["members"][name]["shape"], value, _lower(name)))
    if breaches:
        count = f"{len(breaches)} validation error{'s' if len(breaches) > 1 else ''} detected: "
        raise ValidationError(count + "; ".join(breaches))


def _breaches(shapes: Mapping[str, Any], name: str, value: Any, path: str) -> Iterator[str]:
    shape = shapes[name]
    kind = shape["type"]
    wanted = _TYPES.get(kind)
    if wanted is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean")):
        raise InvalidRequestContent(f"Could not parse request body into json: {path} has to be a {kind}.")
    if kind == "structure":
        for member, part in value.items():
            if member not in shape["members"]:
                raise UnsupportedParameter(f"{path}.{member} is not a parameter that this endpoint knows.")
            if part is not None:
                inner = shape["members"][member]["shape"]
                yield from _breaches(shapes, inner, part, f"{path}.{_lower(member)}")
    elif kind == "list":
        for at, part in enumerate(value, 1):
            yield from _breaches(shapes, shape["member"]["shape"], part, f"{path}.{at}.member")
    else:
        for constraint in _broken(shape, value):
            yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"


def _broken(shape: Mapping[str, Any], value: Any) -> Iterator[str]:
    if "enum" in shape and value not in shape["enum"]:
        yield f"satisfy enum value set: [{', '.join(shape['enum'])}]"
    if isinstance(value, str):
        size, what = len(value), "length"
    elif isinstance(value, int):
        size, what = value, "value"
    else:
        return
    if size < shape.get("min", size):
        yield f"have {what} greater than or equal to {shape['min']}"
    if size > shape.get("max", size):
        yield f"have {what} less than or equal to {shape['max']}"
    pattern = _pattern(shape.get("pattern"))
    if isinstance(value, str) and pattern is not None and not pattern.fullmatch(value):
        yield f"satisfy regular expression pattern: {shape['pattern']}"


@cache
def _pattern(text: str | None) -> "re.Pattern[str] | None":
    """Return a pattern of the model; None for one that only Java's engine reads, which then constrains nothing."""
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error:
        return None


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


_TYPES: Final[Mapping[str, type]] = {
    "structure": dict,
    "list": list,
    "map": dict,
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
}
