"""References: how a message names the object that holds its payload."""

from __future__ import annotations

from typing import Any

from services.payload import MalformedPayload, parse_payload

#: The payload field that holds the object's key.
FIELD = "payload_key"
#: What every such key begins with: one rule of the bucket's life cycle can then expire them.
PREFIX = "payloads/"


def object_key(identity: str) -> str:
    """Return the key of a message's payload, from the producer's own id: a second upload overwrites the first."""
    return f"{PREFIX}{identity}"


def reference_in(payload: dict[str, Any]) -> str:
    """Return the key that a message's payload refers to; empty where the message has everything itself."""
    key = payload.get(FIELD)
    return key if isinstance(key, str) else ""


def reference_in_body(body: str) -> str:
    """Return the same of a message's body."""
    try:
        return reference_in(parse_payload(body))
    except MalformedPayload:
        return ""
