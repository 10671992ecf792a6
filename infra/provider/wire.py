"""Between property values and the protobuf structs in which Pulumi's protocol carries them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.rpc import UNKNOWN as UNKNOWN_ON_THE_WIRE

from infra.errors import ProviderError
from infra.provider.archives import content_hash
from infra.provider.values import (
    ARCHIVE_SIGNATURE,
    RESOURCE_REFERENCE_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE_KEY,
    UNKNOWN,
    Archive,
    Properties,
    PropertyValue,
    Secret,
    archive_from_json,
    archive_to_json,
)


def from_struct(struct: struct_pb2.Struct) -> dict[str, PropertyValue]:
    """The properties that a struct carries; null ones are left out, as Pulumi does.

    Raises:
        ProviderError: A value is of a kind that no resource of this project uses, an asset for example.
    """
    decoded = {key: _from_value(value) for key, value in sorted(struct.fields.items())}
    return {key: value for key, value in decoded.items() if value is not None}


def to_struct(properties: Properties) -> struct_pb2.Struct:
    """The struct that carries properties."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        struct.fields[key].CopyFrom(_to_value(value))
    return struct


def _from_value(value: struct_pb2.Value) -> PropertyValue:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            # Protobuf knows no integers; JSON readers tell 10 from 10.0.
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value == UNKNOWN_ON_THE_WIRE else value.string_value
        case "list_value":
            return [_from_value(part) for part in value.list_value.values]
        case "struct_value":
            return _from_nested(value.struct_value)
        case _:
            return None


def _from_nested(struct: struct_pb2.Struct) -> PropertyValue:
    if SIGNATURE_KEY not in struct.fields:
        return from_struct(struct)
    match struct.fields[SIGNATURE_KEY].string_value:
        case signature if signature == SECRET_SIGNATURE:
            return Secret(_from_value(struct.fields["value"]))
        case signature if signature == RESOURCE_REFERENCE_SIGNATURE:
            # As the engine does for a consumer that takes no references: a custom resource's id, else its URN.
            has_id = "id" in struct.fields
            identity = _from_value(struct.fields["id"]) if has_id else None
            return identity if has_id else _from_value(struct.fields["urn"])
        case signature if signature == ARCHIVE_SIGNATURE:
            return _archive_from(struct)
        case signature:
            raise ProviderError(
                f"A property holds a value of a kind that is not supported here (signature {signature})."
            )


def _archive_from(struct: struct_pb2.Struct) -> Archive:
    """An archive; the real engine has hashed it, and for the embedded one that is done here."""
    try:
        archive = archive_from_json(MessageToDict(struct))
    except KeyError:
        raise ProviderError(
            "An archive must be a file or directory of this machine, or hold files given by text or path."
        ) from None
    return archive if archive.hash else replace(archive, hash=content_hash(archive))


def _to_value(value: PropertyValue) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=UNKNOWN_ON_THE_WIRE)
    if isinstance(value, Secret):
        return _to_value({SIGNATURE_KEY: SECRET_SIGNATURE, "value": value.value})
    if isinstance(value, Archive):
        return _to_plain(archive_to_json(value))
    return _to_plain(value)


def _to_plain(value: Any) -> struct_pb2.Value:
    match value:
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case Mapping():
            return struct_pb2.Value(struct_value=to_struct(value))
        case list() | tuple():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_to_value(part) for part in value]))
    raise ProviderError(f"A property holds a {type(value).__name__}, which Pulumi's protocol cannot carry.")
