"""The names of stacks: what they may be, and which one is meant where none is given."""

import getpass
import os
import re

from infra.errors import ConfigError

TEMPORARY_PREFIX = "tmp-"
"""Begins the names of stacks that exist for one scenario run."""

_STACK_NAME = re.compile(r"(?:[A-Za-z0-9_-]{1,40}/){0,2}[A-Za-z0-9_-]{1,40}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9-]+")
"""An underscore may be in a stack's name, and not in the name of a bucket."""


def choose_stack(name: str | None = None) -> str:
    """The stack that is meant: the given one, else ``PULUMI_STACK``, else one of the login name.

    Raises:
        ConfigError: The name cannot be a stack's.
    """
    chosen = name or os.environ.get("PULUMI_STACK") or _login_name()
    if not _STACK_NAME.fullmatch(chosen):
        raise ConfigError(
            f"A stack's name has 1 to 40 letters, digits, hyphens and underscores; {chosen!r} cannot be one. "
            "An organization may stand before it, as in acme/dev."
        )
    if short_name(chosen).startswith(TEMPORARY_PREFIX):
        raise ConfigError(
            f"Stack names that begin with {TEMPORARY_PREFIX} are kept for temporary stacks: not {chosen}."
        )
    return chosen


def short_name(stack: str) -> str:
    """The stack's own name, without the organization and the project that Pulumi allows before it."""
    return stack.rpartition("/")[2]


def project_in(stack: str) -> str | None:
    """The project in a name of three parts, ``acme/queue-fundamentals/dev``; None where it names none."""
    parts = stack.split("/")
    return parts[1] if len(parts) == 3 else None  # noqa: PLR2004 - organization, project and stack


def directory_name(stack: str) -> str:
    """The name of the stack's directory: an organization stands before an ``@``, which no stack's name has."""
    organization, slash, _ = stack.partition("/")
    return f"{organization}@{short_name(stack)}" if slash else stack


def stack_in(directory: str) -> str:
    """The stack whose directory has that name."""
    return directory.replace("@", "/")


def _login_name() -> str:
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = ""  # a process without a user of the system, in some containers
    return _NOT_IN_A_NAME.sub("-", login).strip("-")[:40] or "dev"
