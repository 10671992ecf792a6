"""How work under way speaks to the user."""

from collections.abc import Callable

Tell = Callable[[str], None]
"""Tells the user a sentence while work goes on."""


def tell_nobody(sentence: str) -> None:
    """The teller that keeps it to itself."""
    del sentence
