"""What a resource type's properties are: their kinds, limits and defaults, and which replace the resource."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from infra.provider.lifecycle import CheckFailure, DiffResult
from infra.provider.values import UNKNOWN, Archive, Properties, PropertyValue, contains_unknown

DEFAULTS_KEY = "__defaults"
"""The input in which pulumi-aws remembers which properties it chose itself, a name for example."""


class Kind(Enum):
    """What a property holds."""

    TEXT = "a text"
    INTEGER = "a whole number"
    BOOLEAN = "true or false"
    TEXT_MAP = "a mapping of texts"
    JSON_OBJECT = "a JSON object as text"
    TTL = "a mapping with attributeName and enabled"
    KEY_ATTRIBUTES = "a list of mappings with name and type"
    TEXT_LIST = "a list of texts"
    POLICY = "an IAM policy as JSON text"
    ARCHIVE = "an archive of files"
    OBJECT = "a mapping"


@dataclass(frozen=True, slots=True)
class Property:
    """One property that can be set.

    Attributes:
        kind: What it holds.
        required: Whether it has to be set.
        replaces: Whether another value needs another resource.
        default: What AWS takes where nothing is set; setting it explicitly is no change.
        minimum: The least whole number.
        maximum: The greatest whole number.
        choices: The texts that are allowed, empty for any.
        canonical: Gives the form in which two values are compared; nothing for the values themselves.
        ours: Whether it is for the provider itself: AWS does not know it, so nothing can be read of it.
    """

    kind: Kind
    required: bool = False
    replaces: bool = False
    default: PropertyValue = None
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    ours: bool = False
    canonical: Callable[[PropertyValue], PropertyValue] | None = None


Schema = Mapping[str, Property]


def check_properties(resource_type: str, schema: Schema, inputs: Properties) -> list[CheckFailure]:
    """Hold inputs against a schema: every property is known, of its kind, and within its limits."""
    failures = [
        CheckFailure(key, f"{resource_type} has no property {key} here; it has: {', '.join(sorted(schema))}.")
        for key in inputs
        if key not in schema and key != DEFAULTS_KEY
    ]
    for key, entry in schema.items():
        value = inputs.get(key)
        if value is None:
            if entry.required:
                failures.append(CheckFailure(key, f"{key} has to be set."))
        elif not contains_unknown(value):
            reason = _what_is_wrong(entry, value)
            if reason:
                failures.append(CheckFailure(key, f"{key} must be {reason}, and is {value!r}."))
    return failures


def diff_properties(schema: Schema, old: Properties, new: Properties, named: str = "name") -> DiffResult:
    """Which properties of a resource change from its old inputs to its new ones.

    A value that is not known yet counts as a change: only an ``up`` can tell.

    Args:
        schema: The resource type's properties.
        old: The old checked inputs.
        new: The new ones.
        named: The property that is the resource's name.
    """
    changes = tuple(sorted(key for key, entry in schema.items() if _differs(entry, old.get(key), new.get(key))))
    replaces = tuple(key for key in changes if schema[key].replaces)
    # A name of the user's own stays the same in the replacement, which therefore cannot be made beside the old one.
    own_name = new.get(named) is not None and named not in new.get(DEFAULTS_KEY, ())
    return DiffResult(changes, replaces, delete_before_replace=bool(replaces) and own_name and named not in replaces)


def effective(entry: Property, value: PropertyValue) -> PropertyValue:
    """The value that AWS acts on: what is set, else the default."""
    return entry.default if value is None else value


def same(entry: Property, one: PropertyValue, other: PropertyValue) -> bool:
    """Whether two values of a property mean the same to AWS."""
    one, other = effective(entry, one), effective(entry, other)
    if entry.canonical is not None and one is not None and other is not None:
        return bool(entry.canonical(one) == entry.canonical(other))
    if entry.kind is Kind.ARCHIVE and isinstance(one, Archive) and isinstance(other, Archive):
        return one.hash == other.hash
    if entry.kind is Kind.POLICY and isinstance(one, str) and isinstance(other, str):
        return bool(json.loads(one) == json.loads(other))
    if entry.kind is Kind.JSON_OBJECT and isinstance(one, str) and isinstance(other, str):
        return bool(_canonical_json(one) == _canonical_json(other))
    if entry.kind is Kind.KEY_ATTRIBUTES and one is not None and other is not None:
        return _as_set(one) == _as_set(other)
    return bool(one == other)


def _differs(entry: Property, old: PropertyValue, new: PropertyValue) -> bool:
    return contains_unknown(new) or not same(entry, old, new)


def _canonical_json(text: str) -> PropertyValue:
    document = json.loads(text)
    # The order of source queues in a policy has no meaning, and SQS takes numbers as texts in policies.
    return {key: sorted(value) if isinstance(value, list) else str(value) for key, value in document.items()}


def _as_set(attributes: PropertyValue) -> frozenset[tuple[str, str]]:
    return frozenset((attribute["name"], attribute["type"]) for attribute in attributes)


def _what_is_wrong(entry: Property, value: PropertyValue) -> str | None:
    if not _is_of_kind(entry.kind, value):
        return entry.kind.value
    if entry.choices and value not in entry.choices:
        return f"one of {', '.join(entry.choices)}"
    if entry.minimum is not None and entry.maximum is not None and not entry.minimum <= value <= entry.maximum:
        return f"from {entry.minimum} to {entry.maximum}"
    return None


def _is_of_kind(kind: Kind, value: PropertyValue) -> bool:
    return _KIND_TESTS[kind](value)


def _is_text_map(value: PropertyValue) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for part in value.values())


def _is_text_list(value: PropertyValue) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _is_ttl(value: Mapping[str, PropertyValue]) -> bool:
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TimeToLiveSpecification.html
    enabled, name = value.get("enabled", True), value.get("attributeName", "")
    known = set(value) <= {"attributeName", "enabled"}
    return known and isinstance(enabled, bool) and isinstance(name, str) and (bool(name) or not enabled)


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_key_attribute(value: PropertyValue) -> bool:
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeDefinition.html
    return isinstance(value, Mapping) and set(value) == {"name", "type"} and value["type"] in {"S", "N", "B", UNKNOWN}


_KIND_TESTS: Mapping[Kind, Callable[[PropertyValue], bool]] = {
    Kind.TEXT: lambda value: isinstance(value, str),
    Kind.INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    Kind.BOOLEAN: lambda value: isinstance(value, bool),
    Kind.TEXT_MAP: _is_text_map,
    Kind.TEXT_LIST: _is_text_list,
    Kind.JSON_OBJECT: lambda value: isinstance(value, str) and _is_json_object(value),
    Kind.POLICY: lambda value: isinstance(value, str) and _is_json_object(value),
    Kind.TTL: lambda value: isinstance(value, Mapping) and _is_ttl(value),
    Kind.KEY_ATTRIBUTES: lambda value: isinstance(value, list) and all(map(_is_key_attribute, value)),
    Kind.ARCHIVE: lambda value: isinstance(value, Archive),
    Kind.OBJECT: lambda value: isinstance(value, Mapping),
}
