"""The catalogue: each package in here is the room of one scenario, and is found by being here.

A room holds ``scenario.py`` (what it stages), ``checks.py`` (invariants and witnesses of its own) and ``naive.py`` (its
naive twin), the last two where it needs them.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from scenarios.errors import RequestError
from scenarios.model import Scenario


@cache
def all_scenarios() -> Mapping[str, Scenario]:
    """Return the scenarios by name, in the order of their names."""
    rooms = (room.name for room in pkgutil.iter_modules(__path__))
    scenarios = (importlib.import_module(f"{__name__}.{room}.scenario").SCENARIO for room in rooms)
    return {scenario.name: scenario for scenario in sorted(scenarios, key=lambda scenario: scenario.name)}


def find_scenario(name: str) -> Scenario:
    """Return a scenario by its name.

    Raises:
        RequestError: there is none of that name; the sentence names the nearest.
    """
    known = all_scenarios()
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(known)}."
    raise RequestError(f"There is no scenario {name!r}; {hint}")
