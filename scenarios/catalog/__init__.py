"""The catalogue: every module in here holds one ``Scenario``, and is found by being here."""

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
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Scenario)}
    return dict(sorted(found.items()))


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
