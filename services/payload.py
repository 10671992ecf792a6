"""The payload: what a message's body says, and by which key its side effect is known.

A body is a JSON object with an ``id`` of the producer's own, ``work``, ``sequence``, and whatever else a scenario adds.
"""

from __future__ import annotations

import json
import math
from typing import Any

#: A DynamoDB partition key's longest value, in bytes.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_KEY_BYTES = 2048


class MalformedPayload(Exception):  # noqa: N818 - it is a fact about a message, not a failure of ours
    """Tell why a body cannot be worked on, now or ever."""


def parse_payload(body: str) -> dict[str, Any]:
    """Return a body's JSON object.

    Raises:
        MalformedPayload: the body is not JSON, or no object.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedPayload(f"the body is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise MalformedPayload(f"the body is JSON but no object: {type(payload).__name__}")
    return payload


def effect_key(payload: dict[str, Any], message_id: str, business_field: str = "") -> str:
    """Return the key under which a message's side effect happens once.

    The business field where one is configured (two messages, one order); else the producer's ``id``, which survives
    a second send and a redrive; else the MessageId, which survives a redelivery alone.

    Raises:
        MalformedPayload: the business field is absent or empty, or the key is longer than a table takes.
    """
    value = payload.get(business_field or "id")
    usable = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    if business_field and not usable:
        raise MalformedPayload(f"the payload has no usable {business_field!r}, by which its side effect is known")
    key = str(value) if usable else message_id
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise MalformedPayload("the key holds half a surrogate pair, which no table takes") from None
    if length > MAX_KEY_BYTES:
        raise MalformedPayload(f"the key is longer than {MAX_KEY_BYTES} bytes")
    return key


def update_of(payload: dict[str, Any]) -> tuple[str, int]:
    """Return which entity a message updates, and to which version.

    Raises:
        MalformedPayload: it does not say.
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
    """Return when a message was made, by its producer's clock, in seconds since the epoch; None where it does not say.

    A message says so by itself because SQS's SentTimestamp begins anew when a message is moved or sent again.
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
    """Return what a fault may ask about a message: its key and sequence, as far as the body tells them."""
    try:
        payload = parse_payload(body)
        return {"key": effect_key(payload, message_id), "sequence": sequence_of(payload)}
    except MalformedPayload:
        return {"key": message_id, "sequence": None}
