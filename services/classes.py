"""Classes that a variable names as ``module:Class``: the consumer or producer that a process runs."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from services.errors import ConfigurationError

Base = TypeVar("Base")


def load_class(spec: str, base: type[Base], variable: str) -> type[Base]:
    """Return the class that ``module:Class`` names.

    Args:
        spec: where the class is.
        base: what it must be a subclass of.
        variable: the variable that named it, for the error.

    Raises:
        ConfigurationError: there is no such class, or it is of another kind.
    """
    module, _, name = spec.partition(":")
    if not (module and name):
        raise ConfigurationError(f"{variable} is {spec!r}; name a class as module:Class.")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module of the user's own may do anything
        raise ConfigurationError(f"{variable} is {spec!r}, which cannot be loaded: {error!r}.") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        whole = f"{base.__module__}:{base.__qualname__}"
        raise ConfigurationError(f"{variable} is {spec!r}, which is no subclass of {whole}.")
    return found
