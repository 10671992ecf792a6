"""Replaces names of moto, and says so when moto is another than the one that the replacement was written for."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple

_DIGITS: Final = 12


class MotoChangedError(Exception):
    """Tell that the installed moto has no such name; ``str(error)`` says what to do."""


class Seam(NamedTuple):
    """One name of moto that is replaced.

    Attributes:
        name: the name, with its owner's.
        known: the digest of the source that the replacement was written for.
        found: the digest of the source in the moto that is installed.
    """

    name: str
    known: str
    found: str


SEAMS: Final[list[Seam]] = []
"""What was replaced in this process; a test looks whether moto's source is still the known one."""


def replace(owner: Any, name: str, known: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute of a class or module of moto by what ``make`` returns for the present one.

    Args:
        owner: the class or module.
        name: the attribute.
        known: the digest of its source, as ``Seam`` has it.
        make: from moto's own function to the one that takes its place.

    Raises:
        MotoChangedError: there is no such attribute.
    """
    present = getattr(owner, name, None)
    full_name = f"{owner.__name__}.{name}"
    if present is None:
        raise MotoChangedError(
            f"The installed moto has no {full_name}, which the endpoint builds on; "
            "install a version that pyproject.toml allows."
        )
    SEAMS.append(Seam(full_name, known, digest_of(present)))
    setattr(owner, name, make(present))


def add(owner: Any, name: str, value: Any) -> None:
    """Give a class of moto a method that it has not.

    Raises:
        MotoChangedError: it has one by now.
    """
    if name in vars(owner):
        raise MotoChangedError(
            f"The installed moto has a {owner.__name__}.{name} of its own; "
            "install a version that pyproject.toml allows."
        )
    setattr(owner, name, value)


def digest_of(function: Any) -> str:
    """Return a short digest of a function's source."""
    source = inspect.getsource(inspect.unwrap(function))
    return hashlib.sha256(source.encode()).hexdigest()[:_DIGITS]
