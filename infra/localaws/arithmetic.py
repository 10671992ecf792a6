"""What UpdateItem counts: exactly, with up to 38 digits, and written as DynamoDB keeps numbers.

moto's 0.5 and 0.5 are 1.0, and beyond 28 digits it rounds. Like the seams of ``infra.localaws.comparisons``, these are
names in moto that are replaced when it is loaded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from decimal import Context, Decimal
from typing import Any

from infra.localaws.values import LARGEST_EXPONENT, SMALLEST_EXPONENT, RefusedError, kept

#: Enough for the sum of the largest number and the smallest; whether DynamoDB can keep it is asked then.
_EXACT = Context(prec=2 * (LARGEST_EXPONENT - SMALLEST_EXPONENT))


@functools.cache
def mend() -> None:
    """Change moto in this process; a second time does nothing."""
    from moto.dynamodb.models.dynamo_type import DynamoType, Item  # noqa: PLC0415 - moto loads in the background

    with suppress(AttributeError):
        DynamoType.__add__ = _counting(DynamoType.__add__, _EXACT.add)
        DynamoType.__sub__ = _counting(DynamoType.__sub__, _EXACT.subtract)
        Item.update_with_attribute_updates = _spelling(Item.update_with_attribute_updates)


def _counting(otherwise: Any, count: Callable[[Decimal, Decimal], Decimal]) -> Any:
    """Return an operation on two values: ``count`` where both are numbers."""

    @functools.wraps(otherwise)
    def counted(self: Any, other: Any) -> Any:
        if not (self.is_number() and other.is_number()):
            return otherwise(self, other)
        return type(self)({"N": _kept(count(Decimal(self.value), Decimal(other.value)))})

    return counted


def _spelling(update: Any) -> Any:
    """Return the update by AttributeUpdates, which counts by itself, with its sums as they are kept."""

    @functools.wraps(update)
    def updated(self: Any, attribute_updates: dict[str, Any]) -> None:
        update(self, attribute_updates)
        for value in map(self.attrs.get, attribute_updates):
            if value is not None and value.is_number():
                value.value = _kept(Decimal(value.value))

    return updated


def _kept(number: Decimal) -> str:
    from moto.dynamodb.exceptions import MockValidationException  # noqa: PLC0415 - likewise

    try:
        return kept(number)
    except RefusedError as error:
        raise MockValidationException(str(error)) from None
