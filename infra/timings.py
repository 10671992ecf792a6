"""How long each engine takes for all scenarios, each command from its process's start to its end."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.engines.pulumi.cli import find_cli
from infra.errors import DeploymentError
from infra.stack.paths import PROJECT_FILE, project_root
from infra.stack.target import EngineName

_STACK = "timed"
_COMMANDS = (
    ("up", "up"),
    ("second up", "up"),
    ("down", "down"),
)
_RUN = (
    "import sys, infra.commands.stacks as c; "
    "sys.exit(getattr(c, sys.argv[1])(sys.argv[2], **({'engine': sys.argv[3]} if sys.argv[1] == 'up' else {})))"
)
# No secret: the stack holds none, and it is gone in a moment.
_ENVIRONMENT = {"PULUMI_CONFIG_PASSPHRASE": ""}


@dataclass(frozen=True, slots=True)
class Timing:
    """The time that a command takes.

    Attributes:
        engine: Who deploys.
        command: ``up``, ``second up`` or ``down``.
        seconds: One a run; empty where the engine is not installed.
    """

    engine: EngineName
    command: str
    seconds: tuple[float, ...]


def time_engines(runs: int, *, tell: Callable[[str], None]) -> Iterator[Timing]:
    """Deploy all scenarios with each engine, twice, and take them down, in a project of their own.

    Args:
        runs: How often.
        tell: Is told what is under way.

    Yields:
        Three timings an engine; without seconds where the Pulumi CLI is not installed.

    Raises:
        DeploymentError: A command fails.
    """
    for engine in EngineName:
        try:
            if engine is EngineName.PULUMI:
                find_cli()
        except DeploymentError:
            yield from (Timing(engine, name, ()) for name, _ in _COMMANDS)
            continue
        taken: dict[str, list[float]] = {name: [] for name, _ in _COMMANDS}
        for number in range(1, runs + 1):
            tell(f"{engine} engine, run {number} of {runs}")
            for name, seconds in _time_once(engine):
                taken[name].append(seconds)
        yield from (Timing(engine, name, tuple(seconds)) for name, seconds in taken.items())


def _time_once(engine: EngineName) -> Iterator[tuple[str, float]]:
    with tempfile.TemporaryDirectory(prefix="queue-fundamentals-timings-") as name:
        directory = Path(name)
        shutil.copy(project_root() / PROJECT_FILE, directory)
        (directory / "infra").mkdir()
        for shown, command in _COMMANDS:
            begin = time.monotonic()
            result = subprocess.run(
                [sys.executable, "-c", _RUN, command, _STACK, engine],
                cwd=directory,
                env={**_without_foreign_settings(), **_ENVIRONMENT, "PULUMI_HOME": str(directory / "home")},
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.monotonic() - begin
            if result.returncode:
                last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise DeploymentError(f"{shown} by the {engine} engine failed: {last}")
            yield shown, seconds


def _without_foreign_settings() -> dict[str, str]:
    """The environment without what would send the stack elsewhere."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))}
