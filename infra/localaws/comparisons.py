"""Comparisons between values of different types: DynamoDB has no order there, and such a condition is false.

moto leaves them to Python, which raises. Like the seams of ``infra.localaws.moto_caches``, these are names in moto that
are replaced when it is loaded.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any

_ORDERED = ("OpLessThan", "OpLessThanOrEqual", "OpGreaterThan", "OpGreaterThanOrEqual", "FuncBetween")


@functools.cache
def mend() -> None:
    """Change moto in this process; a second time does nothing."""
    from moto.dynamodb import comparisons  # noqa: PLC0415 - moto loads in the background

    for name in _ORDERED:
        with suppress(AttributeError):
            kind = getattr(comparisons, name)
            kind.expr = _false_between_types(kind.expr)


def _false_between_types(compare: Any) -> Any:
    @functools.wraps(compare)
    def compared(self: Any, item: Any) -> Any:
        try:
            return compare(self, item)
        except TypeError:
            return False

    return compared
