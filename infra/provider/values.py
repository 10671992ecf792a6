"""The values that properties have: JSON's own, values that are not known yet, and secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

# The keys and signatures by which Pulumi marks special values, in its protocol and in its exported state:
# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig/sig.go
SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public marker
RESOURCE_REFERENCE_SIGNATURE = "5cf8f73096256a8f31e491e813e4eb8e"

PropertyValue: TypeAlias = Any
"""A JSON value, ``UNKNOWN``, a ``Secret``, or a list or mapping of such."""
Properties: TypeAlias = Mapping[str, PropertyValue]


class Unknown(Enum):
    """The type of ``UNKNOWN``: a value that only an ``up`` will tell."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never printed."""

    value: PropertyValue

    def __repr__(self) -> str:
        return "[secret]"


def contains_unknown(value: PropertyValue) -> bool:
    """Whether a value, or any part of it, is not known yet."""
    if isinstance(value, Mapping):
        return any(contains_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(contains_unknown(part) for part in value)
    if isinstance(value, Secret):
        return contains_unknown(value.value)
    return value is UNKNOWN


def contains_secret(value: PropertyValue) -> bool:
    """Whether a value, or any part of it, is a secret."""
    if isinstance(value, Mapping):
        return any(contains_secret(part) for part in value.values())
    if isinstance(value, list):
        return any(contains_secret(part) for part in value)
    return isinstance(value, Secret)


def reveal(value: PropertyValue) -> PropertyValue:
    """The same value with its secrets as plain values, for what has to work with them."""
    if isinstance(value, Mapping):
        return {key: reveal(part) for key, part in value.items()}
    if isinstance(value, list):
        return [reveal(part) for part in value]
    return reveal(value.value) if isinstance(value, Secret) else value


def keep_secret(properties: Properties, keys: frozenset[str]) -> dict[str, PropertyValue]:
    """Mark the named properties as secret, as the engine does with outputs whose input was one."""
    return {
        key: Secret(value) if key in keys and not isinstance(value, Secret) else value
        for key, value in properties.items()
    }


def redact(value: PropertyValue) -> PropertyValue:
    """The same value for people's eyes: secrets as ``[secret]``, what is unknown as ``output<unknown>``."""
    if isinstance(value, Mapping):
        return {key: redact(part) for key, part in value.items()}
    if isinstance(value, list):
        return [redact(part) for part in value]
    if isinstance(value, Secret):
        return repr(value)
    return "output<unknown>" if value is UNKNOWN else value


def to_json(value: PropertyValue) -> PropertyValue:
    """The JSON form of a value, with secrets marked as Pulumi's own exported state marks them."""
    if isinstance(value, Mapping):
        return {key: to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, Secret):
        return {SIGNATURE_KEY: SECRET_SIGNATURE, "plaintext": to_json(value.value)}
    if value is UNKNOWN:
        raise ValueError("a value that is not known yet has no place in a state")
    return value


def from_json(value: PropertyValue) -> PropertyValue:
    """The inverse of ``to_json``."""
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            return Secret(from_json(value["plaintext"]))
        return {key: from_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [from_json(part) for part in value]
    return value
