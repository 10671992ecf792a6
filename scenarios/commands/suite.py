"""``invoke scenarios-fast`` and its like: run a suite of scenarios, several at a time, and print one table."""

from __future__ import annotations

import time

from scenarios.catalog import all_scenarios
from scenarios.commands.options import (
    MAX_JOBS,
    Number,
    chosen_speed,
    command,
    print_json,
    termination_as_exit,
    whole,
)
from scenarios.commands.status_line import make_console
from scenarios.commands.suite_output import SuiteProgress, print_suite
from scenarios.errors import RequestError
from scenarios.runs.suite import SuiteRequest, run_suite, worst


@command
def suite(
    pace: str | None = None,
    *,
    twins: bool = False,
    seed: Number = None,
    jobs: Number = None,
    speed: float | str | None = None,
    stack: str | None = None,
    json: bool = False,
) -> int:
    """Run all scenarios of a pace, several at a time, and print one table; return the exit code of the worst.

    Args:
        pace: ``fast`` or ``slow``; None for all.
        twins: run the naive twins as well: each must fail with the violation that its scenario names.
        seed: None draws one for each run.
        jobs: runs at a time; None for as many as suit the machine.
        speed: how many seconds the queues' clock runs in a real one.
        stack: the stack to run on; None takes the one that is up, else a temporary one.
        json: print nothing but the table as JSON; progress goes to standard error.
    """
    began = time.monotonic()
    chosen = tuple(found for found in all_scenarios().values() if pace in (None, "", found.pace))
    if not chosen:
        raise RequestError(f"There is no scenario of the pace {pace!r}; `invoke scenarios` lists what there is.")
    request = SuiteRequest(
        chosen,
        twins=twins,
        seed=whole("--seed", seed),
        jobs=whole("--jobs", jobs, 1, MAX_JOBS),
        speed=chosen_speed(speed),
        stack=stack or None,
    )
    with termination_as_exit(), SuiteProgress(make_console(stderr=json)) as progress:
        entries = run_suite(request, progress)
    seconds = time.monotonic() - began
    if json:
        print_json({"seconds": round(seconds, 3), "runs": [entry.as_json() for entry in entries]})
    else:
        print_suite(make_console(), entries, seconds)
    return worst(entries)
