"""The names of stacks: what they may be, and which one is meant where none is given."""

import getpass
import os
import re

from infra.errors import ConfigError

TEMPORARY_PREFIX = "tmp-"
"""Begins the names of stacks that exist for one scenario run."""

_STACK_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def choose_stack(name: str | None = None) -> str:
    """The stack that is meant: the given one, else ``PULUMI_STACK``, else one of the login name.

    Raises:
        ConfigError: The name cannot be a stack's.
    """
    chosen = name or os.environ.get("PULUMI_STACK") or _login_name()
    if not _STACK_NAME.fullmatch(chosen):
        raise ConfigError(
            f"A stack's name has 1 to 40 letters, digits, hyphens and underscores; {chosen!r} cannot be one."
        )
    if chosen.startswith(TEMPORARY_PREFIX):
        raise ConfigError(
            f"Stack names that begin with {TEMPORARY_PREFIX} are kept for temporary stacks: not {chosen}."
        )
    return chosen


def _login_name() -> str:
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = ""  # a process without a user of the system, in some containers
    return _NOT_IN_A_NAME.sub("-", login).strip("-")[:40] or "dev"
