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

ASSET_SIGNATURE = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE = "0def7320c3a5731c473e5ecbe6d01bc7"

PropertyValue: TypeAlias = Any
"""A JSON value, ``UNKNOWN``, a ``Secret``, an ``Archive``, or a list or mapping of such."""
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


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of an archive: its text, or the path where it lies."""

    text: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """Files, as the code of a function is made of.

    Attributes:
        hash: Of its content, by the engine that evaluates the program; two archives of one hash are the same.
        path: A zip file, or a directory; nothing if the files are given.
        assets: The files by their names, if they are given.
    """

    hash: str
    path: str | None = None
    assets: tuple[tuple[str, Asset], ...] = ()


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
    if isinstance(value, Archive):
        return f"archive {value.hash[:7]}"
    return "output<unknown>" if value is UNKNOWN else value


def to_json(value: PropertyValue) -> PropertyValue:
    """The JSON form of a value, with secrets marked as Pulumi's own exported state marks them."""
    if isinstance(value, Mapping):
        return {key: to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, Secret):
        return {SIGNATURE_KEY: SECRET_SIGNATURE, "plaintext": to_json(value.value)}
    if isinstance(value, Archive):
        return archive_to_json(value)
    if value is UNKNOWN:
        raise ValueError("a value that is not known yet has no place in a state")
    return value


def from_json(value: PropertyValue) -> PropertyValue:
    """The inverse of ``to_json``."""
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            return Secret(from_json(value["plaintext"]))
        if value.get(SIGNATURE_KEY) == ARCHIVE_SIGNATURE:
            return archive_from_json(value)
        return {key: from_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [from_json(part) for part in value]
    return value


def archive_to_json(archive: Archive) -> dict[str, Any]:
    """The form that Pulumi's protocol and state give an archive."""
    form: dict[str, Any] = {SIGNATURE_KEY: ARCHIVE_SIGNATURE, "hash": archive.hash}
    if archive.path is not None:
        form["path"] = archive.path
    elif archive.assets:
        form["assets"] = {
            name: {
                SIGNATURE_KEY: ASSET_SIGNATURE,
                **({"text": asset.text} if asset.path is None else {"path": asset.path}),
            }
            for name, asset in archive.assets
        }
    return form


def archive_from_json(form: Mapping[str, Any]) -> Archive:
    """The inverse of ``archive_to_json``.

    Raises:
        KeyError: The archive lies elsewhere than on this machine, or holds another archive.
    """
    if "path" in form:
        return Archive(form.get("hash", ""), form["path"])
    if "hash" in form and "assets" not in form:
        # The real engine's state keeps no more of one than its hash.
        return Archive(form["hash"])
    assets = []
    for name, part in sorted(form["assets"].items()):
        if part.get(SIGNATURE_KEY) != ASSET_SIGNATURE or not {"text", "path"} & part.keys():
            raise KeyError(name)
        assets.append((name, Asset(part.get("text"), part.get("path"))))
    return Archive(form.get("hash", ""), None, tuple(assets))
