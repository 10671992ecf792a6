"""Classes that a variable names as ``module:Class``: the consumer or producer that a process runs."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from services.errors import ConfigurationError
from services.machine import machine_error

Base = TypeVar("Base")


def load_class(spec: str, base: type[Base], subject: str) -> type[Base]:
    """Return the class that ``module:Class`` names.

    Args:
        spec: where the class is.
        base: the class that it must be a subclass of.
        subject: the beginning of the error's sentence, such as ``CONSUMER is 'x', which``.

    Raises:
        ConfigurationError: there is no such class, or it is of another kind.
    """
    module, _, name = spec.partition(":")
    if not (module and name):
        raise ConfigurationError(f"{subject} names no class; name one as module:Class.")
    try:
        with _working_directory():
            found: Any = getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if (machine := machine_error(error)) is not None:
            raise machine from error
        raise ConfigurationError(f"{subject} cannot be loaded: {error!r}{_searched(error, module)}.") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        whole = f"{base.__module__}:{base.__qualname__}"
        raise ConfigurationError(f"{subject} must be a subclass of {whole}, and is not.")
    if complaint := getattr(found, "complaint", ""):
        raise ConfigurationError(f"{subject} cannot be used: {complaint}.")
    return found


@contextmanager
def _working_directory() -> Iterator[None]:
    """Let modules in the working directory be found: a program that was installed does not look there by itself."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _searched(error: BaseException, module: str) -> str:
    """Return where a module was looked for that is not there; empty for any other error."""
    if not isinstance(error, ModuleNotFoundError) or error.name != module.partition(".")[0]:
        return ""
    path = os.environ.get("PYTHONPATH", "")
    return (
        f", neither in the working directory {Path.cwd()} nor on PYTHONPATH ({path or 'not set'}); "
        "go to the module's directory, or set PYTHONPATH to it"
    )
