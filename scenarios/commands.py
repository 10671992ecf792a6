"""What the Invoke tasks call: options as they come from a command line, output for people, an exit code.

Exit codes: 0 pass, 1 fail, 2 inconclusive or a request that cannot be met, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import json as json_module
import re
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any

from infra.errors import InfraError
from scenarios.errors import RequestError, ScenarioError

if TYPE_CHECKING:
    from scenarios.model import Scenario

#: An option's value: text from a command line, a value from Python, or nothing.
Number = int | str | None

BAD_REQUEST = 2
INTERRUPTED = 130
#: By signal: the exit codes of a run that is asked to end, or whose terminal is closed.
ENDINGS = {signal.SIGTERM: 143, signal.SIGHUP: 129}
#: More runs at a time than there are scenarios help nobody.
MOST_JOBS = 256

#: Lab seconds in a real one. Beyond the last a visibility timeout of a second is over before a process can answer.
SLOWEST, FASTEST = 0.1, 100.0

#: The longest seed that anybody needs to type.
MOST_DIGITS = 18
_WHOLE_NUMBER = re.compile(rf"\d{{1,{MOST_DIGITS}}}")


def scenario(
    name: str | None,
    *,
    seed: Number = None,
    naive: bool = False,
    count: Number = None,
    batch_size: Number = None,
    json: bool = False,
    keep: bool = False,
    stack: str | None = None,
    consumer: str | None = None,
    tier: str | None = None,
    engine: str | None = None,
    endpoint: str | None = None,
    settings: Sequence[str] = (),
    speed: float | str | None = None,
) -> int:
    """Run a scenario and print its verdict; return the exit code.

    Args:
        name: the scenario.
        seed: None draws one and prints it.
        naive: run the naive twin, whose verdict must be ``fail``.
        count: messages to send.
        batch_size: messages that a consumer receives at once.
        json: print nothing but the verdict as JSON; progress goes to standard error.
        keep: leave up a stack that is made for this run.
        stack: the stack to run on; None takes the one that is up, else a temporary one.
        consumer: a consumer of your own in the place of ours: a class as ``module:Class``, or a command line.
        tier: ``local``, or ``sim`` for simulated time, where there is no stack.
        engine: who deploys a stack that is made for this run, ``embedded`` or ``pulumi``.
        endpoint: the URL of an AWS endpoint for a stack that is made for this run.
        settings: parameters of the scenario, each as ``key=value``.
        speed: how many seconds the queues' clock runs in a real one.
    """
    try:
        check_consumer(consumer)
        if _is_simulated(tier, stack, engine, endpoint, keep=keep):
            from scenarios.exploration import commands as simulated  # noqa: PLC0415 - the menu must not wait for it

            if speed not in (None, ""):
                raise RequestError("The simulated tier's clock needs no --speed: it never waits.")
            return simulated.scenario(
                name,
                seed=seed,
                naive=naive,
                count=count,
                batch_size=batch_size,
                settings=settings,
                json=json,
                consumer=consumer,
            )
        from scenarios.catalog import find_scenario  # noqa: PLC0415 - likewise
        from scenarios.labs.runner import RunRequest, run_scenario  # noqa: PLC0415 - likewise
        from scenarios.report import Progress, make_console, print_result  # noqa: PLC0415 - likewise

        if not name:
            raise RequestError("Which scenario? Give --name; `invoke scenarios` lists them.")
        found = find_scenario(name)
        request = RunRequest(
            scenario=found.name,
            seed=whole("--seed", seed),
            naive=naive,
            count=whole("--count", count),
            batch_size=whole("--batch-size", batch_size),
            consumer=(consumer or "").strip(),
            stack=stack or None,
            keep=keep,
            engine=engine or None,
            endpoint=endpoint or None,
            settings=tuple(settings or ()),
            speed=_speed(speed),
        )
        title = f"{found.name}{' (naive twin)' if naive else ''}: {found.summary}"
        with _termination_as_exit(), Progress(make_console(stderr=json), title) as progress:
            result = run_scenario(request, progress)
    except (ScenarioError, InfraError) as error:
        return _refuse(error)
    except KeyboardInterrupt:
        print("Interrupted: no verdict, and nothing is left running.", file=sys.stderr)  # noqa: T201 - a face
        return INTERRUPTED
    if json:
        print(json_module.dumps(result.as_json()))  # noqa: T201 - this is the command's output
    else:
        print_result(make_console(), result)
    return result.verdict.outcome.exit_code


def scenarios_set(
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
    try:
        from scenarios.catalog import all_scenarios  # noqa: PLC0415 - the menu of tasks must not wait for the labs
        from scenarios.labs.sets import SetRequest, run_set, worst  # noqa: PLC0415 - likewise
        from scenarios.report import make_console  # noqa: PLC0415 - likewise
        from scenarios.set_report import SetProgress, print_set  # noqa: PLC0415 - likewise

        chosen = tuple(found for found in all_scenarios().values() if pace in (None, "", found.pace))
        if not chosen:
            raise RequestError(f"There is no scenario of the pace {pace!r}; `invoke scenarios` lists what there is.")
        at_a_time = whole("--jobs", jobs)
        if at_a_time is not None and not 1 <= at_a_time <= MOST_JOBS:
            raise RequestError(f"--jobs must be 1 to {MOST_JOBS}, and is {at_a_time}.")
        request = SetRequest(
            chosen, twins=twins, seed=whole("--seed", seed), jobs=at_a_time, speed=_speed(speed), stack=stack or None
        )
        with _termination_as_exit(), SetProgress(make_console(stderr=json)) as progress:
            entries = run_set(request, progress)
    except (ScenarioError, InfraError) as error:
        return _refuse(error)
    except KeyboardInterrupt:
        print("Interrupted: nothing is left running.", file=sys.stderr)  # noqa: T201 - a face
        return INTERRUPTED
    seconds = time.monotonic() - began
    if json:
        document = {"seconds": round(seconds, 3), "runs": [entry.as_json() for entry in entries]}
        print(json_module.dumps(document))  # noqa: T201 - this is the command's output
    else:
        print_set(make_console(), entries, seconds)
    return worst(entries)


def scenarios_table(*, json: bool = False) -> int:
    """Print the scenarios, as a table or as JSON; return the exit code."""
    from scenarios.catalog import all_scenarios  # noqa: PLC0415 - the menu of tasks must not wait for the labs
    from scenarios.report import make_console, print_scenarios  # noqa: PLC0415 - likewise

    listed = all_scenarios().values()
    if json:
        print(json_module.dumps([_in_short(scenario) for scenario in listed]))  # noqa: T201 - the command's output
    else:
        print_scenarios(make_console(), listed)
    return 0


def report(run: str | None = None, *, browse: bool = False) -> int:
    """Print where the report of a run is, and make it where it is missing; return the exit code.

    Args:
        run: the run's directory, or its name; None for the latest.
        browse: open the report in the browser.
    """
    from infra.paths import project_root  # noqa: PLC0415 - the menu of tasks must not wait for it
    from scenarios.runs import find_run, report_of  # noqa: PLC0415 - likewise

    try:
        path = report_of(find_run(project_root() / "runs", run or None))
    except (ScenarioError, InfraError) as error:
        return _refuse(error)
    print(path)  # noqa: T201 - this is the command's output
    if browse and not webbrowser.open(path.as_uri()):
        return _refuse(ScenarioError("No browser could be opened; open the file above by hand."))
    return 0


def runs_table(*, json: bool = False) -> int:
    """Print the runs on disk, newest first, as a table or as JSON; return the exit code."""
    from infra.paths import project_root  # noqa: PLC0415 - the menu of tasks must not wait for it
    from scenarios.report import make_console, print_runs  # noqa: PLC0415 - likewise
    from scenarios.runs import list_runs  # noqa: PLC0415 - likewise

    found = list_runs(project_root() / "runs")
    if json:
        documents = [{"run": run.name, **(_run_in_short(run.verdict) if run.verdict else {})} for run in found]
        print(json_module.dumps(documents))  # noqa: T201 - this is the command's output
    else:
        print_runs(make_console(), found)
    return 0


def _run_in_short(verdict: Mapping[str, Any]) -> dict[str, Any]:
    wanted = ("scenario", "naive", "verdict", "tier", "seed", "reason", "command")
    return {name: verdict.get(name) for name in wanted}


def _in_short(scenario: Scenario) -> dict[str, Any]:
    twin = scenario.naive_twin
    return {
        "name": scenario.name,
        "summary": scenario.summary,
        "pace": scenario.pace,
        "speed": scenario.speed,
        "parameters": asdict(scenario.defaults),
        "invariants": [invariant.name for invariant in scenario.invariants],
        "witnesses": [witness.name for witness in scenario.witnesses],
        "naive_twin": {"without": twin.without, "violation": twin.violation},
    }


def _is_simulated(tier: str | None, stack: str | None, engine: str | None, endpoint: str | None, *, keep: bool) -> bool:
    if tier not in (None, "", "local", "sim"):
        raise RequestError(
            f"--tier is local or sim, not {tier!r}; a stack on AWS is named by --stack, once "
            "`invoke up --tier aws` has brought it up."
        )
    if tier == "sim" and (stack or engine or endpoint or keep):
        raise RequestError("The simulated tier has no stack: leave out --stack, --engine, --endpoint and --keep.")
    return tier == "sim"


def check_consumer(consumer: str | None) -> None:
    """Refuse a consumer of no name: whoever gave it would take ours for theirs.

    Raises:
        RequestError: it is empty.
    """
    if consumer is not None and not consumer.strip():
        raise RequestError("--consumer is empty; name a class as module:Class, or a program.")


def _refuse(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201 - this is the command's output
    return BAD_REQUEST


def whole(option: str, value: Number, least: int = 0, most: int | None = None) -> int | None:
    """Return a number that came as text, None where none came.

    Raises:
        RequestError: it is no whole number, or out of range.
    """
    if value is None or value == "":
        return None
    bounds = f"from {least} to {most}" if most is not None else f"{least} or more"
    text = str(value).strip()
    if isinstance(value, bool) or not _WHOLE_NUMBER.fullmatch(text):
        if len(text) > MOST_DIGITS:
            bounds += f", of {MOST_DIGITS} digits at most"
        raise RequestError(f"{option} must be a whole number, {bounds}, and is {value!r}.")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise RequestError(f"{option} must be a whole number, {bounds}, and is {number}.")
    return number


def _speed(value: float | str | None) -> float | None:
    if value is None or value == "":
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not SLOWEST <= speed <= FASTEST:
        raise RequestError(f"--speed must be a number from {SLOWEST:g} to {FASTEST:g}, and is {value!r}.")
    return speed


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does: by an exception, so that all is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> Any:
        raise SystemExit(ENDINGS[signal.Signals(number)])

    before = {number: signal.signal(number, leave) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
