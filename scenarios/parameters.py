"""The parameters of a run: how many messages, how large a batch, and what a scenario adds of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, Self


class HasParameters(Protocol):
    """A lab, as far as :meth:`Parameters.of` needs one."""

    @property
    def parameters(self) -> Parameters:
        """What this run was given."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a user may change about a run.

    Attributes:
        count: how many messages are sent.
        batch_size: how many messages a consumer asks for with one receive, 1 to 10.
    """

    count: int
    batch_size: int = 1

    @classmethod
    def of(cls, lab: HasParameters) -> Self:
        """Return a lab's parameters as a scenario's own class, with its defaults for what the lab was not given."""
        given = lab.parameters
        return given if isinstance(given, cls) else cls(given.count, given.batch_size)


def parameter(default: float, help: str, *, min: float, max: float) -> Any:  # noqa: A002 - argparse's own words
    """Return a parameter of a scenario's own, for the body of a subclass of :class:`Parameters`.

    Args:
        default: its value where the user gives none; its type is the parameter's type.
        help: what it means, with its unit.
        min: its smallest value.
        max: its largest value.
    """
    return field(default=default, metadata={"help": help, "min": min, "max": max})


#: The parameters that every scenario has, with an option each.
COMMON = ("count", "batch_size")
