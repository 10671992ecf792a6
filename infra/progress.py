"""How a command shows its progress: it hands each sentence to a function."""

from collections.abc import Callable

Progress = Callable[[str], None]
"""Shows the user a sentence while work goes on."""


def no_progress(sentence: str) -> None:
    """Drop the sentence."""
    del sentence
