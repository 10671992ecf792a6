"""A figure: one quantity, measured several times."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured.

    Attributes:
        name: of the quantity, as a reader would ask for it.
        unit: seconds, MB, messages a second ...
        values: one a run.
    """

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.values)

    def as_json(self) -> dict[str, Any]:
        """Return the figure and what it was made of."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 3),
            "least": round(min(self.values), 3),
            "most": round(max(self.values), 3),
            "runs": len(self.values),
        }


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Something that can be measured: runs it several times, and yields its figures.

    Attributes:
        title: what is being measured, for the progress line.
        measure: takes the number of runs.
    """

    title: str
    measure: Callable[[int], Sequence[Figure]]


def describe_machine() -> dict[str, Any]:
    """Say on what the figures were measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
