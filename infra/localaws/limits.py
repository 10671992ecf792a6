"""DynamoDB's limits, checked before anything else looks at a request: moto checks some late and others never.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

MAX_EXPRESSION_BYTES: Final = 4096
MAX_OPERATORS: Final = 300
MAX_IN_OPERANDS: Final = 100
MAX_LEVELS: Final = 32
MAX_ITEM_BYTES: Final = 409_600
MAX_NUMBER_CHARACTERS: Final = 1_000
"""A number's zeros count to its text; DynamoDB publishes no limit of the text, and 38 digits with the longest row of
zeros have some 300."""

EXPRESSIONS: Final = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
_STATEMENT: Final = "Statement"
MAX_STATEMENT_BYTES: Final = 8192

_TOKEN: Final = re.compile(r"[#:]?\w+|<>|<=|>=|[^\w\s]")
_OPERATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">=", "+", "-", "and", "or", "not", "between", "in"})
_OPEN, _CLOSED, _COMMA = "(", ")", ","
_COLLECTION_BYTES: Final = 3
"""What a list or a map takes beside its elements, each of which takes one byte more."""


class RefusedError(Exception):
    """Tell that DynamoDB takes no such request; ``str(error)`` is its sentence."""

    def __init__(self, sentence: str, code: str = "ValidationException") -> None:
        super().__init__(sentence)
        self.code = code


def check_expressions(asked: Any) -> None:
    """Check the size and the operators of the expressions of a request, and of the parts of a transaction.

    Raises:
        RefusedError: an expression is beyond a limit.
    """
    for part in parts_of(asked):
        for name in EXPRESSIONS:
            text = part.get(name)
            if isinstance(text, str):
                _check_expression(name, text)
        statement = part.get(_STATEMENT)
        if isinstance(statement, str) and len(statement.encode("utf-8", "replace")) > MAX_STATEMENT_BYTES:
            raise RefusedError(f"The statement is longer than {MAX_STATEMENT_BYTES} bytes.")


def parts_of(asked: Any) -> Iterator[dict[str, Any]]:
    """Return the request itself, and the parts of a transaction or a batch of statements."""
    if isinstance(asked, dict):
        yield asked
        for name in ("TransactItems", "Statements", "TransactStatements"):
            parts = asked.get(name)
            for item in parts if isinstance(parts, list) else ():
                if isinstance(item, dict):
                    yield item
                    yield from (part for part in item.values() if isinstance(part, dict))


def _check_expression(name: str, text: str) -> None:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_EXPRESSION_BYTES:
        raise RefusedError(
            f"Invalid {name}: Expression size has exceeded the maximum allowed size; expression size: {size}"
        )
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    functions = sum(
        following == _OPEN and name.isidentifier() and name not in _OPERATORS
        for name, following in itertools.pairwise(tokens)
    )
    operators = functions + sum(each in _OPERATORS for each in tokens)
    if operators > MAX_OPERATORS:
        raise RefusedError(f"Invalid {name}: The expression has more than {MAX_OPERATORS} operators and functions.")
    _check_in(name, tokens)


def _check_in(name: str, tokens: list[str]) -> None:
    """Count the operands of each IN: the commas at the level of its parenthesis."""
    open_lists: list[int | None] = []
    for before, token in itertools.pairwise(["", *tokens]):
        if token == _OPEN:
            open_lists.append(1 if before == "in" else None)
        elif token == _CLOSED and open_lists:
            open_lists.pop()
        elif token == _COMMA and open_lists and (count := open_lists[-1]) is not None:
            open_lists[-1] = count + 1
            if count == MAX_IN_OPERANDS:
                raise RefusedError(
                    f"Invalid {name}: The IN operator is provided with too many operands; "
                    f"it takes at most {MAX_IN_OPERANDS}"
                )


def check_level(level: int) -> None:
    """Check how deep an attribute value lies in another one; 1 is an attribute of the item.

    Raises:
        RefusedError: deeper than DynamoDB nests.
    """
    if level > MAX_LEVELS + 1:
        raise RefusedError(
            f"Nesting Levels have exceeded supported limits: Attributes can be nested up to {MAX_LEVELS} levels deep"
        )


def check_size(item: dict[str, Any]) -> None:
    """Check the size of an item whose values have been checked.

    Raises:
        RefusedError: the item is larger than DynamoDB keeps.
    """
    if sum(_bytes_of(name) + _size_of(value) for name, value in item.items()) > MAX_ITEM_BYTES:
        raise RefusedError("Item size has exceeded the maximum allowed size")


def _size_of(value: Any) -> int:
    """Return the bytes of a value, as DynamoDB counts them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((kind, held),) = value.items()
    if isinstance(held, str):
        return {"N": len(held) // 2 + 1, "B": len(held) * 3 // 4}.get(kind) or _bytes_of(held)
    if isinstance(held, dict):
        return _COLLECTION_BYTES + sum(1 + _bytes_of(name) + _size_of(element) for name, element in held.items())
    if isinstance(held, list):
        if kind == "L":
            return _COLLECTION_BYTES + sum(1 + _size_of(element) for element in held)
        return sum(_size_of({kind[0]: element}) for element in held)
    return 1


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
