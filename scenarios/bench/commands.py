"""How long a user waits: the commands themselves, as whole processes, from keypress to the prompt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.paths import project_root
from scenarios.bench.figures import Figure
from scenarios.catalog import all_scenarios
from scenarios.errors import BenchmarkError

#: A stack of the benchmark's own, beside anybody's.
STACK = f"bench-{os.getpid()}"
#: Seconds after which a command that should take a few is given up.
PATIENCE = 300


def time_menu(runs: int) -> Sequence[Figure]:
    """Measure ``invoke --list``."""
    return [Figure("invoke --list", "s", tuple(_seconds("--list") for _ in range(runs)))]


def time_stack(runs: int) -> Sequence[Figure]:
    """Measure ``up`` from nothing, a second ``up`` and ``down``, all scenarios."""
    first, second, down = [], [], []
    with _env_file_kept():
        for _ in range(runs):
            try:
                first.append(_seconds("up", "--stack", STACK))
                second.append(_seconds("up", "--stack", STACK))
            finally:
                down.append(_seconds("down", "--stack", STACK))
    return [
        Figure("up, all scenarios", "s", tuple(first)),
        Figure("second up", "s", tuple(second)),
        Figure("down", "s", tuple(down)),
    ]


def time_scenarios(runs: int) -> Sequence[Figure]:
    """Measure each scenario from keypress to verdict, its temporary stack included."""
    return [
        Figure(f"scenario {name}", "s", tuple(_seconds("scenario", "--name", name) for _ in range(runs)))
        for name in all_scenarios()
    ]


def _seconds(*arguments: str) -> float:
    invoke = Path(sys.executable).with_name("invoke")
    environment = {name: value for name, value in os.environ.items() if name != "PULUMI_STACK"}
    began = time.perf_counter()
    ended = subprocess.run(
        [invoke, *arguments],
        cwd=project_root(),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    took = time.perf_counter() - began
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines()[-1:]
        raise BenchmarkError(f"`invoke {' '.join(arguments)}` ended with {ended.returncode}: {''.join(said)}")
    return took


@contextmanager
def _env_file_kept() -> Iterator[None]:
    """Leave ``.env`` as it was: it names the user's own stack."""
    path = project_root() / ".env"
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    finally:
        if before is not None:
            path.write_bytes(before)
        else:
            path.unlink(missing_ok=True)
