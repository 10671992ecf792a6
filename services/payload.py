"""The payload: the content of a message's body, and the key of its side effect.

A body is a JSON object with an ``id`` of the producer's own, ``work``, ``sequence``, and whatever else a scenario adds.
"""

from __future__ import annotations

import functools
import json
import math
from typing import Any

#: A DynamoDB partition key's longest value, in bytes.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_KEY_BYTES = 2048


class MalformedPayload(Exception):  # noqa: N818 - it is a fact about a message, not a failure of ours
    """Why a body can never be processed."""


#: Bodies up to this length are parsed once, and not again at each delivery and by each reader.
LONGEST_REMEMBERED = 1_000


def parse_payload(body: str) -> dict[str, Any]:
    """Return a body's JSON object, the caller's own.

    Raises:
        MalformedPayload: the body is not JSON, or no object.
    """
    remembered = _flat_payload(body) if len(body) <= LONGEST_REMEMBERED else None
    return _parse(body) if remembered is None else remembered.copy()


@functools.lru_cache(maxsize=1_024)
def _flat_payload(body: str) -> dict[str, Any] | None:
    """Return a body's JSON object for copying; None where it holds others, which a copy would share."""
    payload = _parse(body)
    return None if any(isinstance(value, dict | list) for value in payload.values()) else payload


def _parse(body: str) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedPayload(f"the body is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise MalformedPayload(f"the body is JSON but no object: {type(payload).__name__}")
    return payload


def effect_key(payload: dict[str, Any], message_id: str, business_field: str = "") -> str:
    """Return the key under which a message's side effect happens once.

    Args:
        payload: what the message says.
        message_id: SQS's id of the message. It survives a redelivery, and neither a second send nor a redrive.
        business_field: the field that names the side effect, or several, as in ``order_id,action``. Empty for the
            producer's ``id``, which survives a second send and a redrive.

    Raises:
        MalformedPayload: a business field is absent or empty, or the key is longer than a table takes.
    """
    names = business_fields(business_field)
    if not names:
        own = payload.get("id")
        key = str(own) if _is_usable(own) else message_id
    elif len(names) == 1:
        key = _named(payload, names[0])
    else:
        # As JSON no two lists of values are one text: with a separator, ("a+b", "c") and ("a", "b+c") would be.
        values = [_named(payload, name) for name in names]
        key = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    try:
        length = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise MalformedPayload("the key holds half a surrogate pair, which no table takes") from None
    if length > MAX_KEY_BYTES:
        raise MalformedPayload(f"the key is longer than {MAX_KEY_BYTES} bytes")
    return key


@functools.cache
def business_fields(text: str) -> tuple[str, ...]:
    """Return the payload fields that ``order_id``, ``order_id,action`` or ``order_id+action`` names.

    Raises:
        ValueError: a name is empty, or stands there twice.
    """
    if not text:
        return ()
    names = tuple(name.strip() for name in text.replace("+", ",").split(","))
    if "" in names or len(set(names)) < len(names):
        raise ValueError("a payload field such as order_id, or different ones with commas between them")
    return names


def _named(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not _is_usable(value):
        raise MalformedPayload(f"the payload has no usable {name!r}, by which its side effect is known")
    return str(value)


def _is_usable(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def update_of(payload: dict[str, Any]) -> tuple[str, int]:
    """Return which entity a message updates, and to which version.

    Raises:
        MalformedPayload: a field is missing or unusable.
    """
    entity, version = payload.get("entity"), payload.get("version")
    if not isinstance(entity, str) or not entity or not isinstance(version, int) or isinstance(version, bool):
        raise MalformedPayload("the payload has no usable 'entity' and 'version', so it is no update")
    return entity, version


def sequence_of(payload: dict[str, Any]) -> int | None:
    """Return the producer's own sequence number, None where there is none."""
    value = payload.get("sequence")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def created_of(payload: dict[str, Any], field: str) -> float | None:
    """Return when a message was made, in seconds since the epoch by its producer's clock; None where it is missing.

    The payload holds the time because SQS's SentTimestamp begins anew when a message is moved or sent again.
    """
    value = payload.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def facts_of_body(body: str, message_id: str) -> dict[str, Any]:
    """Return the facts by which a fault may choose a message: its key and sequence, as far as the body has them."""
    try:
        payload = parse_payload(body)
        return {"key": effect_key(payload, message_id), "sequence": sequence_of(payload)}
    except MalformedPayload:
        return {"key": message_id, "sequence": None}
