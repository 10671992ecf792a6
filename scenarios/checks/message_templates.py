"""The user's own messages: what a program receives in the place of the lab's bodies.

The lab sends bodies of its own, by which it judges. On their way to a program each is replaced by a line of the user's
file, with the lab's key where the user's key stands:

    {"id": "8f...", "sequence": 3}  ─▶  {"order": {"id": "8f..."}, "amount": 12}

A text on the way to the key that holds JSON itself is opened: the envelope of an SNS notification is such a one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.errors import RequestError
from services.payload import MalformedPayload, parse_payload

#: What a scenario says in a payload beyond the key, and what a program may have to know of.
_TOLD = ("poison", "created_at")


@dataclass(frozen=True, slots=True)
class MessageTemplates:
    """The bodies of a file, and where the key stands in each.

    Attributes:
        bodies: JSON objects.
        key: the names (or, of lists, the positions) that lead to the key, from the outside in.
    """

    bodies: Sequence[Mapping[str, Any]]
    key: tuple[str, ...]

    def body_for(self, body: str, key: str) -> str:
        """Return what a program receives for a body of the lab's; what is no payload stays as it is."""
        try:
            payload = parse_payload(body)
        except MalformedPayload:
            return body
        number = payload.get("sequence")
        chosen = self.bodies[number % len(self.bodies) if isinstance(number, int) else 0]
        told = {name: payload[name] for name in _TOLD if name in payload}
        return json.dumps({**_with(chosen, self.key, key), **told})


def read_templates(path: Path, key: tuple[str, ...]) -> MessageTemplates:
    """Read a file of one JSON object a line.

    Raises:
        RequestError: it cannot be read, a line is no JSON object, or the key leads nowhere in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"The messages in {path} cannot be read: {error}.") from None
    bodies = [_parsed(line, f"{path}, line {number}", key) for number, line in enumerate(lines, 1) if line.strip()]
    if not bodies:
        raise RequestError(f"{path} holds no message; give it one JSON object a line.")
    return MessageTemplates(bodies, key)


def _parsed(line: str, where: str, key: tuple[str, ...]) -> Mapping[str, Any]:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{where} is no JSON: {error}.") from None
    if not isinstance(body, dict):
        raise RequestError(f"{where} is no JSON object.")
    try:
        _with(body, key, "")
    except (LookupError, TypeError, ValueError):
        raise RequestError(f"{where} has no {'.'.join(key)}, where the message's key is to stand.") from None
    return body


def _with(value: Any, path: Sequence[str], key: str) -> Any:
    """Return a copy of a JSON value with the key at a path that it has."""
    if not path:
        return key
    if isinstance(value, str):
        return json.dumps(_with(json.loads(value), path, key))
    if isinstance(value, list):
        at = int(path[0])
        return [*value[:at], _with(value[at], path[1:], key), *value[at + 1 :]]
    return {**value, path[0]: _with(value[path[0]], path[1:], key)}
