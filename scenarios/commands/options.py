"""The options that several commands share, their exit codes, and how a command ends.

0    pass
1    fail: an invariant is violated
2    inconclusive, or no verdict for a reason of the lab's own
3    no verdict: a consumer or producer ended by itself, or broke its contract
64   a request that cannot be met
130  ended by Ctrl-C (SIGTERM: 143, SIGHUP: 129)
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypedDict

from infra.errors import ConfigError, InfraError
from infra.localaws.lambda_.config import RUNTIMES
from infra.stack.paths import project_root
from scenarios.checks.external_program import is_program
from scenarios.checks.functions import Handler, check_handler
from scenarios.checks.message_templates import read_templates
from scenarios.checks.program_config import ProgramConfig, patterns_of, read_config
from scenarios.errors import BROKEN, RequestError, ScenarioError, ServiceFailedError, Terminated
from scenarios.runs.plan import SEEDS
from services.common.numbers import MAX_DIGITS, finite_number, whole_number
from services.consumer.patterns import Pattern

Parameters = ParamSpec("Parameters")

#: An option's value: text from a command line, a value from Python, or nothing.
Number = int | str | None
Decimal = float | str | None

VIOLATED = 1
NO_VERDICT = 2
#: As sysexits.h has it: EX_USAGE.
BAD_REQUEST = 64
INTERRUPTED = 130
#: By signal: the exit codes of a run that is asked to end, or whose terminal is closed.
ENDINGS = {signal.SIGTERM: 143, signal.SIGHUP: 129}
#: More processes or runs at a time only wait for each other.
MAX_JOBS = 256

#: Lab seconds in a real one. Beyond the last a visibility timeout of a second is over before a process can answer.
SLOWEST, FASTEST = 0.1, 100.0

#: Seconds. A program that takes longer to start than this does not start.
SHORTEST_STARTUP, LONGEST_STARTUP = 0.1, 600.0


def command(function: Callable[Parameters, int]) -> Callable[Parameters, int]:
    """Turn the errors that a user can cause into one sentence and an exit code."""

    @wraps(function)
    def guarded(*arguments: Parameters.args, **options: Parameters.kwargs) -> int:
        try:
            project_root()  # a working directory that is gone is said before anything looks for a file there
            return function(*arguments, **options)
        except (ScenarioError, InfraError) as error:
            code, said, log = refuse(error), str(error), getattr(error, "log", ())
        except KeyboardInterrupt:
            code, said, log = INTERRUPTED, "Interrupted: no verdict, and nothing is left running.", ()
            print(said, file=sys.stderr)
        except SystemExit as end:
            if options.get("json") and end.code in ENDINGS.values():
                print_json(without_verdict("ended by a signal", int(end.code or 0)))
            raise
        if options.get("json"):
            print_json(without_verdict(said, code, log))
        return code

    return guarded


def without_verdict(error: str, code: int, log: Sequence[str] = ()) -> dict[str, Any]:
    """Return what ``--json`` prints of a command that ends before it has a verdict."""
    return {"verdict": None, "error": error, "exit_code": code, **({"log": list(log)} if log else {})}


def refuse(error: Exception) -> int:
    """Print an error, after what a failed program said; return its exit code."""
    for line in getattr(error, "log", ()):
        print(f"  | {line}", file=sys.stderr)
    print(f"error: {error}", file=sys.stderr)
    if isinstance(error, ServiceFailedError):
        return BROKEN
    return BAD_REQUEST if isinstance(error, RequestError | ConfigError) else NO_VERDICT


def print_json(document: Any) -> None:
    """Print a document as the whole of standard output."""
    print(json.dumps(document))


def check_consumer(consumer: str | None) -> str:
    """Return the consumer that ``--consumer`` names, empty where the option is not given.

    Raises:
        RequestError: it is given and empty, which would run our consumer under another's name.
    """
    if consumer is not None and not consumer.strip():
        raise RequestError("--consumer is empty; name a class as module:Class, or a program.")
    return (consumer or "").strip()


def configured_consumer(
    consumer: str | None, messages: str | None = None, key: str | None = None, follows: str | None = None
) -> tuple[str, ProgramConfig]:
    """Return the consumer that ``--consumer`` names, else the configuration file's command, and what that file says.

    Args:
        consumer: a class, or a program; None where the option is not given.
        messages: the file that ``--messages`` names, in the place of the configuration's.
        key: the JSON path that ``--message-key`` gives, likewise.
        follows: the patterns that ``--follows`` names, likewise.

    Raises:
        RequestError: the option is given and empty, or a file cannot be used.
    """
    config = read_config(Path.cwd())
    if messages:
        given = ("--messages", messages, *(("--message-key", key) if key else ()))
        config = replace(config, messages=read_templates(Path(messages), key or ""), given=given)
    elif key:
        raise RequestError("--message-key says where the key stands in the messages of --messages; give both.")
    chosen = check_consumer(consumer) or config.command
    patterns = chosen_patterns(follows, chosen)
    if patterns is not None:
        given = (*config.given, "--follows", ",".join(patterns) or "none")
        config = replace(config, follows=patterns, given=given)
    if messages and not is_program(chosen):
        raise RequestError("--messages is for a program, such as --consumer 'node my.js'; a class reads the lab's own.")
    return chosen, config


def chosen_patterns(follows: str | None, consumer: str) -> tuple[Pattern, ...] | None:
    """Return the patterns that ``--follows`` names, separated by commas, or ``none``; None where it is not given.

    Raises:
        RequestError: there is no pattern of a name, or the consumer is no program.
    """
    if not follows:
        return None
    if not is_program(consumer):
        raise RequestError("--follows is for a program, such as --consumer 'node my.js'; a class says what it follows.")
    names = [name.strip() for name in follows.split(",") if name.strip()]
    return patterns_of([] if names == ["none"] else names, "--follows")


class HandlerOptions(TypedDict, total=False):
    """The options of a Lambda handler, by AWS's names; what is not given is AWS's default."""

    runtime: str | None
    code: str | None
    batch_window: Number
    report_batch_item_failures: bool
    maximum_concurrency: Number
    reserved_concurrency: Number
    filters: Sequence[str]
    function_timeout: Number
    memory: Number


def chosen_handler(handler: str | None, options: HandlerOptions, batch_size: Number = None) -> Handler | None:
    """Return the Lambda handler that ``--handler`` and the options beside it name; None where there is none.

    Args:
        handler: what the option gives.
        options: what stands beside it.
        batch_size: messages in a batch, which AWS bounds and not the scenario; it is another option without a handler.

    Raises:
        RequestError: it is not there, a number is none, or an option is given without a handler.
    """
    numbers: dict[str, Number] = {
        "batch_size": batch_size if handler is not None else None,
        "batch_window": options.get("batch_window"),
        "maximum_concurrency": options.get("maximum_concurrency"),
        "reserved_concurrency": options.get("reserved_concurrency"),
        "function_timeout": options.get("function_timeout"),
        "memory": options.get("memory"),
    }
    given: dict[str, Any] = {}
    for name, text in numbers.items():
        number = whole(f"--{name.replace('_', '-')}", text)
        if number is not None:
            given[name] = number
    if options.get("report_batch_item_failures"):
        given["report_batch_item_failures"] = True
    if options.get("filters"):
        given["filters"] = tuple(options["filters"])
    runtime, code = options.get("runtime") or None, options.get("code") or None
    if handler is None or not handler.strip():
        if handler is not None or given or runtime or code:
            raise RequestError("Which handler? Give --handler, such as app.handler or ./bootstrap.")
        return None
    if runtime not in (None, *RUNTIMES):
        raise RequestError(f"--runtime is one of {', '.join(RUNTIMES)}, and is {runtime!r}.")
    found = Handler(handler.strip(), runtime, Path(code) if code else Path(), given)
    check_handler(found)
    return found


def chosen_seed(given: Number) -> int:
    """Return the seed that ``--seed`` gives, or a new one."""
    seed = whole("--seed", given)
    return secrets.randbelow(SEEDS) if seed is None else seed


def chosen_jobs(given: Number) -> int:
    """Return how many processes ``--jobs`` asks for; by default as many as there are cores."""
    return whole("--jobs", given, 1, MAX_JOBS) or os.cpu_count() or 1


def whole(option: str, value: Number, least: int = 0, most: int | None = None) -> int | None:
    """Return a number that a user gave as text, None where the option is not given.

    Raises:
        RequestError: it is not a whole number, or is out of range.
    """
    if value is None or value == "":
        return None
    bounds = f"from {least} to {most}" if most is not None else f"{least} or more"
    text = str(value).strip()
    number = None if isinstance(value, bool) else whole_number(text)
    if number is None:
        if len(text) > MAX_DIGITS:
            bounds += f", of {MAX_DIGITS} digits at most"
        raise RequestError(f"{option} must be a whole number, {bounds}, and is {value!r}.")
    if number < least or (most is not None and number > most):
        raise RequestError(f"{option} must be a whole number, {bounds}, and is {number}.")
    return number


def chosen_speed(value: Decimal) -> float | None:
    """Return how many lab seconds ``--speed`` lets pass in a real one, None where the option is not given.

    Raises:
        RequestError: it is not a number, or is out of range.
    """
    return _within("--speed", value, SLOWEST, FASTEST)


def chosen_startup_timeout(value: Decimal) -> float | None:
    """Return the seconds that ``--startup-timeout`` gives a program, None where the option is not given.

    Raises:
        RequestError: it is not a number, or is out of range.
    """
    return _within("--startup-timeout", value, SHORTEST_STARTUP, LONGEST_STARTUP)


def _within(option: str, value: Decimal, least: float, most: float) -> float | None:
    if value is None or value == "":
        return None
    number = finite_number(str(value))
    if number is None or not least <= number <= most:
        raise RequestError(f"{option} must be a number from {least:g} to {most:g}, and is {value!r}.")
    return number


@contextmanager
def termination_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does: by an exception, so that all is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> Any:
        raise Terminated(ENDINGS[signal.Signals(number)])

    before = {number: signal.signal(number, leave) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
