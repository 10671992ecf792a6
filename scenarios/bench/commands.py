"""How long a user waits: the commands themselves, as whole processes, from keypress to the prompt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from infra.stack.paths import project_root
from infra.timings import time_engines
from scenarios.bench.figures import Figure
from scenarios.catalog import all_scenarios
from scenarios.errors import BenchmarkError

#: Seconds after which a command that should take a few is given up.
PATIENCE = 300
#: The plainest scenario, and the one that the README begins with.
ALONE = ("happy", "crash")


def time_menu(runs: int) -> Sequence[Figure]:
    """Measure ``invoke --list``."""
    return [Figure("invoke --list", "s", tuple(_seconds("--list") for _ in range(runs)))]


def time_stacks(runs: int) -> Sequence[Figure]:
    """Measure ``up`` from nothing, a second ``up`` and ``down``, with each engine that is installed."""
    return [
        Figure(f"{timing.command}, {timing.engine} engine", "s", timing.seconds)
        for timing in time_engines(runs, tell=lambda _said: None)
        if timing.seconds
    ]


def time_scenarios(runs: int) -> Sequence[Figure]:
    """Measure two scenarios and both sets from keypress to verdict, the temporary stack included."""
    return [
        *(
            Figure(f"scenario {name}", "s", tuple(_seconds("scenario", "--name", name) for _ in range(runs)))
            for name in ALONE
        ),
        *(
            Figure(f"scenarios-{pace} ({number})", "s", tuple(_seconds(f"scenarios-{pace}") for _ in range(runs)))
            for pace, number in sorted(Counter(found.pace for found in all_scenarios().values()).items())
        ),
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
