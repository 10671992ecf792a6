"""Where a run leaves what it found: a directory of its own, the link to the latest one, and the lock of a stack."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from scenarios.errors import BusyError, ScenarioError

#: The link to the latest complete run.
LATEST = "latest"
#: The files in a run's directory that hold its verdict, and what all histories of a campaign came to.
VERDICT, CAMPAIGN = "verdict.json", "campaign.json"


def new_run_directory(runs: Path, scenario: str, seed: int, now: datetime) -> Path:
    """Make the directory of a run, unlike any other, with a place for its processes' files.

    Raises:
        ScenarioError: it cannot be made.
    """
    name = f"{now:%Y%m%d-%H%M%S}-{scenario}-{seed}"
    latest = runs / LATEST
    if latest.exists() and not latest.is_symlink():
        raise ScenarioError(f"{latest} must be the link to the latest run, and is something else; move it away.")
    try:
        runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        attempt = 1
        while True:
            directory = runs / (name if attempt == 1 else f"{name}-{attempt}")
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                attempt += 1
                continue
            (directory / "processes").mkdir()
            return directory
    except OSError as error:
        raise ScenarioError(f"The run's directory cannot be made: {error.strerror}: {error.filename}.") from None


def point_latest_at(directory: Path) -> None:
    """Let ``runs/latest`` name a run; a reader finds the old one or the new one, never none."""
    new = directory.with_name(f".{LATEST}.{os.getpid()}.{directory.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(directory.name, target_is_directory=True)
    new.replace(directory.with_name(LATEST))


@contextmanager
def only_run(lock: Path, scenario: str, stack: str) -> Iterator[None]:
    """Be the only run of a scenario on a stack; two would take each other's messages.

    Raises:
        BusyError: there is one already.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(
                f"Another run of {scenario} is at work on the stack {stack}; wait for its end, or name another --stack."
            ) from None
        try:
            yield
        finally:
            # A process that is being started elsewhere at this moment holds a copy of the file, and with it the lock.
            fcntl.flock(file, fcntl.LOCK_UN)
