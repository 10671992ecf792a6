"""JSON paths: where the key stands in a user's message, or in the call that is a side effect.

A text on the way that holds JSON itself is opened, and closed again: ``Message.order.id`` leads into the message of an
SNS notification.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonpath_ng import Child, Fields, JSONPath, Root, parse
from jsonpath_ng.exceptions import JSONPathError

from scenarios.errors import RequestError


@dataclass(frozen=True, slots=True)
class KeyPath:
    """A JSON path, such as ``$.order.id`` or ``Records[0].s3.object.key``.

    Attributes:
        text: as the user wrote it.
    """

    text: str
    _steps: tuple[JSONPath, ...] = field(compare=False, repr=False)

    @property
    def first_name(self) -> str:
        """The name at which the path begins; empty where it begins otherwise."""
        first = self._steps[0] if self._steps else None
        return str(first.fields[0]) if isinstance(first, Fields) else ""

    def below(self, name: str) -> KeyPath:
        """Return the same path inside a member."""
        return KeyPath(f"{name}.{self.text.removeprefix('$.')}", (Fields(name), *self._steps))

    def find(self, document: Any) -> str:
        """Return the text or whole number that the path leads to; empty where there is none."""
        found = next(_values(document, self._steps), None)
        return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""

    def put(self, document: Any, key: str) -> Any:
        """Return a copy of a document with the key in its place.

        Raises:
            LookupError: the path leads nowhere in it.
        """
        return _put(document, self._steps, key)


def parse_key_path(text: str, where: str) -> KeyPath:
    """Read a JSON path; ``where`` says in an error what holds it.

    Raises:
        RequestError: it is no JSON path.
    """
    try:
        return KeyPath(text, tuple(_steps(parse(text))))
    except JSONPathError as error:
        raise RequestError(f"{where} is {text!r}, which is no JSON path such as $.order.id: {error}.") from None


def _steps(path: JSONPath) -> Iterator[JSONPath]:
    if isinstance(path, Child):
        yield from _steps(path.left)
        yield from _steps(path.right)
    elif not isinstance(path, Root):
        yield path


def _opened(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _values(value: Any, steps: tuple[JSONPath, ...]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    for found in steps[0].find(_opened(value)):
        yield from _values(found.value, steps[1:])


def _put(value: Any, steps: tuple[JSONPath, ...], key: str) -> Any:
    if not steps:
        return key
    document = copy.deepcopy(_opened(value))
    found = steps[0].find(document)
    if not found:
        raise LookupError
    for each in found:
        new = _put(each.value, steps[1:], key)
        document = each.full_path.update(document, new)
    return json.dumps(document) if isinstance(value, str) else document
