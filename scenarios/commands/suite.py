"""``invoke scenarios-fast`` and its like: run a suite of scenarios, several at a time, and print one table."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Unpack

from scenarios.checks.effects import LogEffect, SqlEffect
from scenarios.checks.program_config import ProgramConfig
from scenarios.commands.junit import Case, github_annotations, write_junit
from scenarios.commands.options import (
    MAX_JOBS,
    HandlerOptions,
    Number,
    check_consumer,
    chosen_handler,
    chosen_speed,
    chosen_startup_timeout,
    command,
    configured_consumer,
    print_json,
    termination_as_exit,
    whole,
)
from scenarios.commands.status_line import make_console
from scenarios.commands.suite_output import SuiteProgress, print_suite
from scenarios.errors import RequestError
from scenarios.model import PACES
from scenarios.runs.plan import applicable
from scenarios.runs.suite import Entry, SuiteRequest, run_suite, worst


@command
def suite(
    pace: str | None = None,
    *,
    twins: bool = False,
    seed: Number = None,
    jobs: Number = None,
    speed: float | str | None = None,
    stack: str | None = None,
    consumer: str | None = None,
    strict: bool = False,
    startup_timeout: float | str | None = None,
    messages: str | None = None,
    message_key: str | None = None,
    follows: str | None = None,
    junit: str | None = None,
    configured: bool = True,
    json: bool = False,
    handler: str | None = None,
    **function: Unpack[HandlerOptions],
) -> int:
    """Run all scenarios of a pace, several at a time, and print one table; return the exit code of the worst.

    Args:
        pace: ``fast`` or ``slow``; None for all.
        twins: run the naive twins as well: each must fail with the violation that its scenario names.
        seed: None draws one for each run.
        jobs: runs at a time; None for as many as suit the machine.
        speed: how many seconds the queues' clock runs in a real one.
        stack: the stack to run on; None takes the one that is up, else a temporary one.
        consumer: a consumer of your own in the place of ours; the scenarios are those that it can be put through.
        strict: make a pass inconclusive in which a check could not be judged.
        startup_timeout: real seconds for a program to start, and to ask for its first message.
        messages: a file of messages for a program, in the place of the lab's own.
        message_key: the JSON path to the key in each of them.
        follows: the patterns that a program declares, separated by commas, or ``none``.
        junit: write JUnit XML into this file.
        configured: take the consumer from the configuration file where none is given.
        json: print nothing but the table as JSON; progress goes to standard error.
        handler: a Lambda handler of your own; the scenarios are those that take one.
        function: the options of the handler's function and event source mapping.
    """
    began = time.monotonic()
    own = chosen_handler(handler, function)
    if own is not None and (consumer is not None or messages or follows):
        other = "--consumer" if consumer is not None else "--messages" if messages else "--follows"
        raise RequestError(f"{other} is for a consumer that polls, and --handler for a function; give one of them.")
    given, config = (
        configured_consumer(consumer, messages, message_key, follows)
        if configured and own is None
        else (check_consumer(consumer), ProgramConfig())
    )
    if pace and pace not in PACES:
        raise RequestError(f"--pace is {' or '.join(PACES)}, not {pace!r}.")
    chosen = tuple(found for found in applicable(given, own, config) if pace in (None, "", found.pace))
    if not chosen:
        raise RequestError(f"No scenario of the pace {pace!r} fits this consumer; leave out --pace.")
    request = SuiteRequest(
        chosen,
        twins=twins,
        seed=whole("--seed", seed),
        jobs=whole("--jobs", jobs, 1, MAX_JOBS) if not shares_effect(config) else 1,
        speed=chosen_speed(speed),
        stack=stack or None,
        consumer=given,
        strict=strict or config.strict,
        startup_timeout=chosen_startup_timeout(startup_timeout) or config.startup_timeout,
        program=config,
        handler=own,
    )
    with termination_as_exit(), SuiteProgress(make_console(stderr=json)) as progress:
        entries = run_suite(request, progress)
    seconds = time.monotonic() - began
    cases = [case_of(entry) for entry in entries]
    if junit:
        write_junit(Path(junit), (own.handler if own else given) or "queue-fundamentals", cases, seconds)
    for line in github_annotations(cases):
        print(line, file=sys.stderr if json else sys.stdout)
    if json:
        print_json({"seconds": round(seconds, 3), "runs": [entry.as_json() for entry in entries]})
    else:
        print_suite(make_console(), entries, seconds)
    return worst(entries)


def shares_effect(config: ProgramConfig) -> bool:
    """Return whether all runs would cause their side effects in one place, so that only one at a time can be judged."""
    return isinstance(config.effect, SqlEffect | LogEffect) and config.effect.is_shared


def case_of(entry: Entry) -> Case:
    """Return a run as a build server has it; a naive twin passes by showing what it must."""
    name = f"{entry.scenario.name} (naive twin)" if entry.naive else entry.scenario.name
    if entry.result is None:
        kind = "broken" if entry.broken else "no verdict"
        return Case(name, "none", entry.error, kind=kind, logs={"consumer": entry.log} if entry.log else {})
    verdict = entry.result.verdict
    outcome = "skipped" if entry.is_undeclared else {0: "pass", 1: "fail"}.get(entry.exit_code, "inconclusive")
    violated = ", ".join(each for each, found in verdict.violations.items() if found)
    command = verdict.conditions.command
    return Case(name, outcome, verdict.reason, entry.result.seconds, violated, command, entry.result.logs)
