"""Reads the numbers that a user writes."""

from __future__ import annotations

from math import isfinite

#: A longer number is a typing error.
MAX_DIGITS = 18


def whole_number(text: str) -> int | None:
    """Return the number that a text writes in 1 to 18 ASCII digits; None for any other text."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() else None


def finite_number(text: str) -> float | None:
    """Return the number that a text writes, None for any other text, and for ``nan`` and ``inf``."""
    if "_" in text:  # which Python reads between digits
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
