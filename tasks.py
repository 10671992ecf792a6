"""The commands: ``invoke --list`` shows them, ``invoke --help NAME`` explains one. No logic stands here.

Nothing heavy is imported before a command needs it, so that the menu comes at once.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json as json_module
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

INTERRUPTED = 130
USAGE = 2

STACK = "the stack's name (default: PULUMI_STACK, else your login name)"
AS_JSON = "print only JSON on standard output"
YES = "do not ask for confirmation on the aws tier"
#: Where a stack is, and the engine that deploys it. A stack remembers all three.
TARGET = {
    "engine": "the engine that deploys: embedded (default) or pulumi, the real one",
    "tier": "local (default) or aws",
    "endpoint": "the URL of another AWS endpoint, instead of the embedded one",
}


def call(module: str, function: str, **options: Any) -> None:
    """Call a command of a package; turn its errors into one sentence and its result into the exit code.

    An option that was not given is None. An empty consumer was given: a variable that is not set, say.
    """
    from infra.errors import InfraError  # noqa: PLC0415 - see the module's docstring
    from scenarios.errors import ScenarioError  # noqa: PLC0415
    from services.errors import ServiceError  # noqa: PLC0415
    from services.machine import check_outputs, machine_error, silence_broken_outputs  # noqa: PLC0415

    given = {name: None if value == "" and name != "consumer" else value for name, value in options.items()}
    try:
        check_outputs()
        code = getattr(importlib.import_module(module), function)(**given)
        sys.stdout.flush()
    except (InfraError, ScenarioError, ServiceError) as error:
        code = getattr(error, "exit_code", USAGE)  # a machine at its end has a code of its own
        if options.get("json"):
            sys.stdout.write(json_module.dumps({"error": str(error), "exit_code": code}) + "\n")
        raise Exit(f"error: {error}", code=code) from error
    except KeyboardInterrupt:
        raise Exit("interrupted", code=INTERRUPTED) from None
    except Exception as error:
        machine = machine_error(error)
        if machine is None:
            raise
        silence_broken_outputs()
        raise Exit(f"error: {machine}", code=machine.exit_code) from error
    if code:
        raise Exit(code=code)


#: The options that are given or not, those that may be given several times, and those that may be given empty.
FLAGS = frozenset(
    {"json", "yes", "naive", "keep", "strict", "twins", "open", "beyond", "corpus", "peers", "search"}
    | {"report-batch-item-failures"}
)
SEVERAL = frozenset({"set", "filter", "shards"})
MAY_BE_EMPTY = frozenset({"consumer", "handler"})
#: What a command's function calls the options whose own names are words of Python, or name one value of several.
NAMES = {"set": "settings", "filter": "filters", "open": "browse"}


def command(
    module: str, options: Mapping[str, str], *, name: str = "", takes: str = "", needs: str = "", **fixed: Any
) -> Callable[[Any], Any]:
    """Make a task of a docstring and a table of options: a module's function of the same name gets the options.

    Args:
        module: the module of the function.
        options: the help text of each option, by its name on the command line.
        name: the task's name, where it is not the function's.
        takes: the option that may also stand without its name.
        needs: likewise; it has to be given.
        fixed: what the function gets beside the options.
    """

    def make(declared: Callable[[Context], None]) -> Any:
        @functools.wraps(declared)
        def body(_: Context, **given: Any) -> None:
            values = {each: given.get(each.replace("-", "_"), _default(each)) for each in options}
            values |= {each: tuple(value or ()) for each, value in values.items() if each in SEVERAL}
            values = {NAMES.get(each, each.replace("-", "_")): value for each, value in values.items()}
            call(module, declared.__name__, **values, **fixed)

        # Invoke reads the options from the signature.
        parameters = [_parameter("_", inspect.Parameter.empty)]
        parameters += [
            _parameter(each, inspect.Parameter.empty if each == needs else _default(each)) for each in options
        ]
        vars(body)["__signature__"] = inspect.Signature(parameters)
        named = {"name": name} if name else {}
        several = [each for each in options if each in SEVERAL]
        positional = [each for each in (takes, needs) if each]
        return task(body, help=options, iterable=several, positional=positional, auto_shortflags=False, **named)

    return make


def _parameter(option: str, default: Any) -> inspect.Parameter:
    return inspect.Parameter(option.replace("-", "_"), inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _default(option: str) -> Any:
    if option in FLAGS:
        return False
    return None if option in SEVERAL | MAY_BE_EMPTY else ""


# --- what exists ---------------------------------------------------------------------------------------------------


@command("infra.commands.stacks", {"stack": STACK, "json": AS_JSON, "yes": YES, **TARGET})
def up(_: Context) -> None:
    """Create or update a stack: queues, dead-letter queues, tables; starts the embedded endpoint and writes .env."""


@command("infra.commands.stacks", {"stack": STACK, "json": AS_JSON, **TARGET})
def preview(_: Context) -> None:
    """Show what `up` would change, and change nothing."""


@command("infra.commands.stacks", {"stack": STACK, "json": AS_JSON, **TARGET})
def status(_: Context) -> None:
    """Show a stack: its endpoint, and what it holds for each scenario."""


@command("infra.commands.stacks", {"stack": STACK, "json": AS_JSON, **TARGET})
def outputs(_: Context) -> None:
    """Show the outputs of a stack: queue URLs, ARNs, tables."""


@command("infra.commands.stacks", {"stack": STACK, "json": AS_JSON, **TARGET})
def refresh(_: Context) -> None:
    """Compare a stack's state with what exists; the next `up` creates what is missing."""


@command("infra.commands.stacks", {"stack": STACK, "json": AS_JSON, "yes": YES, **TARGET})
def down(_: Context) -> None:
    """Delete everything that a stack holds, and stop its endpoint."""


@command("infra.commands.preflight", {"stack": STACK, "json": AS_JSON, **TARGET})
def preflight(_: Context) -> None:
    """Check what a new stack needs: Python, packages, the Pulumi CLI, credentials, region, endpoint."""


@command("infra.commands.validate", {"stack": STACK, "json": AS_JSON})
def validate(_: Context) -> None:
    """Check that a stack's resources exist as configured: attributes, redrive policies, key schemas."""


#: A consumer of your own in the place of this project's.
CONSUMER = {"consumer": "your own consumer: module:Class, or a program such as 'node my.js'"}
#: What a program may need.
PROGRAM = {
    "startup-timeout": "seconds until a program must have sent its first receive (default 15)",
    "messages": "a program's own messages: a file of one JSON object a line, or a JSON Schema (*.schema.json)",
    "message-key": "the JSON path to the key in each of them, such as $.order.id (default: id)",
    "follows": "the patterns that a program follows, such as heartbeat,backoff; or none (docs/your-own-consumer.md)",
}
#: A Lambda handler of your own, with AWS's names and AWS's defaults.
HANDLER = {
    "handler": "your own Lambda handler: module.function, or a program that calls the Runtime API (./bootstrap)",
    "runtime": "the handler's runtime: python, node or provided (default: follows from the handler)",
    "code": "the directory of the handler's code (default: the current directory)",
    "batch-window": "the batching window in seconds (default 0)",
    "report-batch-item-failures": "the mapping reads from the handler's response which messages failed",
    "maximum-concurrency": "concurrent batches of the event source mapping, 2 to 1000 (default 2)",
    "reserved-concurrency": "concurrent invocations of the function; Lambda throttles more",
    "filter": "an event filter as JSON; give the option again for another",
    "function-timeout": "seconds (default 3, or the visibility timeout if that is shorter)",
    "memory": "MB; the function can read the figure, and no limit is enforced (default 128)",
}
COUNT = "messages to send (default: the scenario's own)"
SETTING = "a parameter of the scenario as key=value; give the option again for another (see docs/scenarios)"
SPEED = "run the queues' clock this many times as fast as real time"
STRICT = "make a pass inconclusive if a check could not be judged"
USED_STACK = "run on this stack (default: yours if it is up, else a temporary one)"

# --- what is demonstrated ------------------------------------------------------------------------------------------


@command(
    "scenarios.commands.scenario",
    {
        "name": "the scenario; `invoke scenarios` lists them",
        "seed": "repeat a run: the same seed sends the same messages (default: a new one)",
        "naive": "run the naive twin: the scenario without the pattern, whose verdict must be fail",
        "count": COUNT,
        "batch-size": "messages a receive, 1 to 10 (default: the scenario's own)",
        **CONSUMER,
        "stack": USED_STACK,
        "keep": "leave the temporary stack up afterwards",
        "tier": "local (default, real processes) or sim (virtual time)",
        "engine": "the engine that deploys the temporary stack: embedded (default) or pulumi, the real one",
        "endpoint": "the URL of another AWS endpoint for the temporary stack",
        "region": "the region of the temporary stack (default: AWS_REGION, else the one in Pulumi.yaml)",
        "latency": "the round trip to the endpoint in milliseconds (default: measured)",
        "set": SETTING,
        "speed": SPEED,
        "strict": STRICT,
        **PROGRAM,
        **HANDLER,
        "json": AS_JSON,
    },
)
def scenario(_: Context) -> None:
    """Run one scenario and judge it.

    Exit code: 0 pass, 1 fail, 2 inconclusive, 3 a consumer ended by itself, 64 bad usage.
    """


@command("scenarios.commands.listings", {"json": AS_JSON})
def scenarios(_: Context) -> None:
    """List the scenarios, each with its failure and the violation of its naive twin."""


SUITE = {
    "twins": "run the naive twins as well: each must fail with the violation that its scenario names",
    "seed": "repeat a suite: the same seed sends the same messages (default: a new one for each run)",
    "jobs": "concurrent runs (default: as many as suit this machine)",
    "speed": SPEED,
    "stack": USED_STACK,
    "json": AS_JSON,
}


def suite_task(name: str, pace: str | None, says: str) -> Any:
    """Make the task that runs all scenarios of a pace, or of any."""

    def suite(_: Context) -> None: ...

    suite.__doc__ = says
    return command("scenarios.commands.suite", SUITE, name=name, pace=pace, configured=False)(suite)


scenarios_fast = suite_task(
    "scenarios-fast",
    "fast",
    "Run all scenarios that take seconds, several at once; exit with the code of the worst verdict.",
)
scenarios_slow = suite_task("scenarios-slow", "slow", "Run all scenarios that take longer; --speed makes them faster.")
scenarios_all = suite_task("scenarios-all", None, "Run every scenario, fast and slow.")


@command(
    "scenarios.commands.suite",
    {
        **SUITE,
        "pace": "fast or slow (default: both)",
        **CONSUMER,
        "strict": STRICT,
        **PROGRAM,
        "junit": "write JUnit XML into this file",
        **HANDLER,
    },
)
def suite(_: Context) -> None:
    """Run every scenario that fits a consumer, several at once; print one table, and write JUnit XML.

    Exit code: that of the worst verdict; see `invoke --help scenario`.
    """


@command(
    "scenarios.commands.listings",
    {"run": "the run's directory or its name (default: the latest)", "open": "open it in a browser"},
    takes="run",
)
def report(_: Context) -> None:
    """Print the path of a run's report, an HTML page that works offline."""


@command("scenarios.commands.listings", {"json": AS_JSON})
def runs(_: Context) -> None:
    """List the runs on disk, newest first."""


@command(
    "scenarios.commands.explore",
    {
        "name": "the scenario, `all` of them in turn, or a workload: orders, business-keys, long-work, groups, ...",
        "histories": "maximum number of histories (default 10000)",
        "jobs": "worker processes (default: one for each core)",
        "seed": "the seed of all histories (default: a new one)",
        "naive": "explore the naive twin, until a history shows its violation",
        "mutant": "explore a mutant; `invoke mutants` names them",
        **CONSUMER,
        "count": COUNT,
        "batch-size": "messages a receive, 1 to 10 (default: the scenario's own)",
        "set": SETTING,
        "beyond": "drop the consumer's assumptions one by one, and report which of them it needs",
        "seconds": "stop after this time, and report what was found",
        "cluster": "share the work among the workers of a Dask scheduler, such as tcp://127.0.0.1:8786",
        "shard": "I/N: explore only the I-th of N shards; `invoke merge` merges them",
        "saturated": "stop after this many histories in a row without a new state",
        "corpus": "mutate the unusual histories of earlier campaigns in runs/corpus, and add this campaign's",
        "shrink-seconds": "seconds to shrink a violation, at most (default 30)",
        "startup-timeout": "seconds until a program must have sent a first request (default 15)",
        "follows": PROGRAM["follows"],
        **HANDLER,
        "json": AS_JSON,
    },
)
def explore(_: Context) -> None:
    """Simulate many histories with random faults; shrink the first violation to a short counterexample.

    Exit code: 0 no violation, and at least half of the histories pass; 1 a violation; 2 no violation, but fewer pass.
    """


@command(
    "scenarios.commands.explore",
    {"shards": "the directory of a shard; give the option again for each of the others", "json": AS_JSON},
)
def merge(_: Context) -> None:
    """Merge the shards of a campaign into the result and exit code that one machine would have."""


@command(
    "scenarios.commands.sweep",
    {
        "consumer": "the program, such as 'node my.js'",
        "count": "messages in each run (default 2)",
        "seed": "repeat a sweep (default: a new one)",
        "jobs": "concurrent runs (default: three for each core)",
        "faults": "some of kill-before, kill-after, reply-lost, throttled, late-reply, with commas (default: all)",
        "only": "only requests whose name contains this text, such as Delete#1",
        **PROGRAM,
        **HANDLER,
        "json": AS_JSON,
    },
)
def sweep(_: Context) -> None:
    """Inject each fault at each request of a program, each in a run of its own; print one table of verdicts.

    Exit code: 0 all pass; 1 one fails; 2 none fails, and one is inconclusive.
    """


@command(
    "scenarios.commands.soak",
    {
        "minutes": "stop after this many minutes (default 10)",
        "kills": "stop after this many kills (default 1000); fewer minutes bring them closer together",
        "seed": "the seed of all choices (default: a new one); the times of kills also depend on the machine",
        "consumer": "your own consumer, as module:Class",
        "json": AS_JSON,
    },
)
def soak(_: Context) -> None:
    """Kill consumers, producers and the endpoint at random moments under traffic; account for every message.

    Exit code: 0 nothing lost or done twice, 1 something was, 2 inconclusive, 3 a process ended by itself, 64 bad usage.
    """


@command(
    "scenarios.commands.replay",
    {"run": "the run's directory, such as runs/latest", "json": AS_JSON},
    needs="run",
)
def replay(_: Context) -> None:
    """Repeat a simulated run, and compare its history byte for byte."""


@command(
    "scenarios.commands.mutants",
    {
        "name": "only this mutant",
        "histories": "histories in which each mutant must be killed (default 10000)",
        "jobs": "worker processes (default: one for each core)",
        "seed": "the seed of all histories (default: always the same)",
        "cluster": "share the mutants among the workers of a Dask scheduler, such as tcp://127.0.0.1:8786",
        "shard": "I/N: only each N-th mutant, from the I-th on",
        "json": AS_JSON,
    },
)
def mutants(_: Context) -> None:
    """Test the judge: simulate every broken consumer of the catalogue until a history convicts it."""


@command(
    "scenarios.commands.bench",
    {
        "json": AS_JSON,
        "runs": "measurements of each figure (default 5); the command prints the median",
        "peers": "compare the endpoint with others of its kind, which the command installs into a cache",
        "search": "measure how long campaigns take to kill the hard mutants, with two seeds for each run",
    },
)
def bench(_: Context) -> None:
    """Measure on this machine: up, a scenario from command to verdict, the endpoint's throughput and memory."""


# --- how the project is kept ---------------------------------------------------------------------------------------


@task(
    help={
        "only": "a pytest expression, as for -k",
        "quick": "leave out tests that start processes",
        "thorough": "run the other tests: fuzzers, real clients and browsers, the Pulumi CLI, the commands of the docs",
    },
    auto_shortflags=False,
)
def test(c: Context, only: str = "", quick: bool = False, thorough: bool = False) -> None:
    """Run the tests, several at once; --thorough runs the others, which take longer."""
    # Most of those that take long wait for queues, so there may be more of them at work than there are cores.
    options = ["-n", str((os.cpu_count() or 1) * 3 // 2), "--dist", "worksteal"]
    if only:
        options += ["-k", only]
    rest = "(thorough or pulumi_cli)"
    wanted = ["not processes"] * quick + [rest if thorough else f"not {rest}"]
    options += ["-m", " and ".join(wanted)]
    # Tests start hundreds of Python processes. Without compiled files each of them compiles all that it imports.
    _python(c, "pytest", *options, environment={"PYTHONDONTWRITEBYTECODE": ""})


@task
def docs(_: Context) -> None:
    """Write the tables of scenarios and variables into README.md and docs, from their declarations."""
    call("scenarios.commands.docs", "docs")


@task
def lint(c: Context) -> None:
    """Check style and formatting (ruff)."""
    _python(c, "ruff", "check")
    _python(c, "ruff", "format", "--check")


@task
def types(c: Context) -> None:
    """Check the types (mypy, strict)."""
    _python(c, "mypy")


@task
def imports(c: Context) -> None:
    """Check that imports run one way (import-linter)."""
    c.run(shlex.quote(f"{sys.executable.rpartition('/')[0]}/lint-imports"), pty=sys.stdout.isatty())


LOCK = ".ci/requirements.txt"
SBOM = "dist/sbom.json"


@task
def lock(c: Context) -> None:
    """Write the versions and hashes of all packages for development into the lock file, .ci/requirements.txt."""
    options = ("--extra", "dev", "--generate-hashes", "--universal", "--no-header", "--quiet", "--output-file", LOCK)
    _python(c, "uv", "pip", "compile", "pyproject.toml", *options)


@task
def audit(c: Context) -> None:
    """Look up known vulnerabilities of the locked packages; skip it if their database cannot be reached."""
    asked = [sys.executable, "-m", "pip_audit", "--requirement", LOCK, "--disable-pip", "--format", "json"]
    found = c.run(shlex.join([*asked, "--progress-spinner", "off"]), hide=True, warn=True)
    try:
        listed = json_module.loads(found.stdout)["dependencies"]
    except ValueError:
        if "requests.exceptions." not in found.stderr:
            raise Exit(f"pip-audit failed: {(found.stderr.strip() or 'it says nothing').splitlines()[-1]}") from None
        listed = []
    audited = [entry for entry in listed if "vulns" in entry]
    if not audited:
        print("The database of vulnerabilities cannot be reached from here; nothing was audited.")
        return
    known = [f"{entry['name']} {entry['version']}: {flaw['id']}" for entry in audited for flaw in entry["vulns"]]
    print("\n".join([*known, f"{len(audited)} of {len(listed)} packages audited, {len(known)} known vulnerabilities"]))
    if known:
        raise Exit(code=1)


@task
def sbom(c: Context) -> None:
    """Write a software bill of materials of the locked packages, in CycloneDX, to dist/sbom.json."""
    Path("dist").mkdir(exist_ok=True)
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", SBOM)
    _python(c, "cyclonedx_py", "requirements", LOCK, *options)
    print(SBOM)


@task(pre=[lint, types, imports, test])
def check(c: Context) -> None:
    """Run all the checks: lint, types, imports, and all tests."""
    test(c, thorough=True)


def _python(c: Context, module: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
    """Run a module; a path or an expression with spaces stays one argument."""
    line = shlex.join([sys.executable, "-m", module, *arguments])
    result = c.run(line, pty=sys.stdout.isatty(), warn=True, env=environment or {})
    if result.exited:
        raise Exit(code=result.exited)
