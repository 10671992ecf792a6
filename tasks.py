"""The commands: ``invoke --list`` shows them, ``invoke --help NAME`` explains one. A thin face, no logic.

Nothing heavy is imported before a command needs it, so that the menu comes at once.
"""

from __future__ import annotations

import importlib
import json as json_module
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

INTERRUPTED = 130
USAGE = 2

STACK = "the stack's name (default: PULUMI_STACK, else the login name)"
AS_JSON = "print JSON and nothing else on standard output"
YES = "do not ask before work on the aws tier"
#: Where to, and by which engine. A stack remembers all three.
TARGET = {
    "engine": "who deploys: embedded (default) or pulumi, the real engine",
    "tier": "where: local (default) or aws",
    "endpoint": "the URL of another AWS endpoint, in the embedded one's place",
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


# --- what exists ---------------------------------------------------------------------------------------------------


@task(help={"stack": STACK, "json": AS_JSON, "yes": YES, **TARGET})
def up(
    _: Context,
    stack: str = "",
    engine: str = "",
    tier: str = "",
    endpoint: str = "",
    yes: bool = False,
    json: bool = False,
) -> None:
    """Create or update a stack: queues, dead-letter queues, tables; starts the embedded endpoint and writes .env."""
    call("infra.commands.stacks", "up", stack=stack, engine=engine, tier=tier, endpoint=endpoint, yes=yes, json=json)


@task(help={"stack": STACK, "json": AS_JSON, **TARGET})
def preview(
    _: Context, stack: str = "", engine: str = "", tier: str = "", endpoint: str = "", json: bool = False
) -> None:
    """Show what `up` would do, and do nothing."""
    call("infra.commands.stacks", "preview", stack=stack, engine=engine, tier=tier, endpoint=endpoint, json=json)


@task(help={"stack": STACK, "json": AS_JSON, **TARGET})
def status(
    _: Context, stack: str = "", engine: str = "", tier: str = "", endpoint: str = "", json: bool = False
) -> None:
    """Show a stack: its endpoint, and what it holds for each scenario."""
    call("infra.commands.stacks", "status", stack=stack, engine=engine, tier=tier, endpoint=endpoint, json=json)


@task(help={"stack": STACK, "json": AS_JSON, **TARGET})
def outputs(
    _: Context, stack: str = "", engine: str = "", tier: str = "", endpoint: str = "", json: bool = False
) -> None:
    """Show what the program exports: queue URLs, ARNs, tables."""
    call("infra.commands.stacks", "outputs", stack=stack, engine=engine, tier=tier, endpoint=endpoint, json=json)


@task(help={"stack": STACK, "json": AS_JSON, **TARGET})
def refresh(
    _: Context, stack: str = "", engine: str = "", tier: str = "", endpoint: str = "", json: bool = False
) -> None:
    """Compare a stack with what is really there; what is gone is created again by the next `up`."""
    call("infra.commands.stacks", "refresh", stack=stack, engine=engine, tier=tier, endpoint=endpoint, json=json)


@task(help={"stack": STACK, "json": AS_JSON, "yes": YES, **TARGET})
def down(
    _: Context,
    stack: str = "",
    engine: str = "",
    tier: str = "",
    endpoint: str = "",
    yes: bool = False,
    json: bool = False,
) -> None:
    """Delete everything that a stack holds, and stop its endpoint."""
    call("infra.commands.stacks", "down", stack=stack, engine=engine, tier=tier, endpoint=endpoint, yes=yes, json=json)


@task(help={"stack": STACK, "json": AS_JSON, **TARGET})
def preflight(
    _: Context, stack: str = "", engine: str = "", tier: str = "", endpoint: str = "", json: bool = False
) -> None:
    """Check what a stack needs before it is made: Python, packages, the Pulumi CLI, credentials, region, endpoint."""
    call("infra.commands.preflight", "preflight", stack=stack, engine=engine, tier=tier, endpoint=endpoint, json=json)


@task(help={"stack": STACK, "json": AS_JSON})
def validate(_: Context, stack: str = "", json: bool = False) -> None:
    """Check that what a stack promises is really there and configured so: attributes, redrive, key schemas."""
    call("infra.commands.validate", "validate", stack=stack, json=json)


#: A Lambda handler in our consumer's place, by AWS's names and with AWS's defaults.
HANDLER = {
    "handler": "a Lambda handler of your own: module.function, or a program that speaks the Runtime API (./bootstrap)",
    "runtime": "what runs the handler: python, node or provided (default: by the handler's form)",
    "code": "where the handler's code lies (default: the current directory)",
    "batch-window": "seconds for which a batch is gathered (default 0)",
    "report-batch-item-failures": "the handler's answer names the messages that failed",
    "maximum-concurrency": "batches at once of the event source mapping, 2 to 1000 (default 2)",
    "reserved-concurrency": "invocations at once of the function; above it AWS throttles",
    "filter": "an event filter as JSON; once for each",
    "function-timeout": "seconds (default 3, or the visibility timeout where that is shorter)",
    "memory": "MB, told to the function only (default 128)",
}

# --- what is demonstrated ------------------------------------------------------------------------------------------


@task(
    help={
        "name": "which one; `invoke scenarios` lists them",
        "seed": "repeat a run: the same seed sends the same messages (default: a new one)",
        "naive": "run the naive twin: the protecting pattern is off, and the verdict must be fail",
        "count": "messages to send (default: the scenario's own)",
        "batch-size": "messages a call, 1 to 10 (default: the scenario's own)",
        "consumer": "a consumer of your own in ours' place: module:Class, or a program such as 'node my.js'",
        "stack": "run on this stack (default: yours if it is up, else a temporary one)",
        "keep": "leave the temporary stack up afterwards",
        "tier": "where: local (default, real processes) or sim (simulated time)",
        "engine": "who deploys the temporary stack: embedded (default) or pulumi, the real engine",
        "endpoint": "the URL of another AWS endpoint for the temporary stack",
        "region": "the region of the temporary stack (default: AWS_REGION, else the program's own)",
        "latency": "the round trip to the endpoint in milliseconds (default: measured)",
        "set": "a parameter of the scenario as key=value; once for each (see its page in docs/scenarios)",
        "speed": "let the queues' clock run so many times faster than the wall's",
        "strict": "make a pass inconclusive if a check could not be judged",
        "startup-timeout": "seconds for a program to ask for its first message (default 15)",
        "messages": "a program's own messages: a file of one JSON object a line, or a JSON Schema (*.schema.json)",
        "message-key": "the JSON path to the key in each of them, such as $.order.id (default: id)",
        "follows": "the patterns that a program declares, such as heartbeat,backoff; or none (see its docs)",
        **HANDLER,
        "json": AS_JSON,
    },
    iterable=["set_", "filter_"],
)
def scenario(
    _: Context,
    name: str = "",
    seed: str = "",
    naive: bool = False,
    count: str = "",
    batch_size: str = "",
    consumer: str | None = None,
    stack: str = "",
    keep: bool = False,
    tier: str = "",
    engine: str = "",
    endpoint: str = "",
    region: str = "",
    set_: list[str] | None = None,
    speed: str = "",
    strict: bool = False,
    latency: str = "",
    startup_timeout: str = "",
    messages: str = "",
    message_key: str = "",
    follows: str = "",
    handler: str | None = None,
    runtime: str = "",
    code: str = "",
    batch_window: str = "",
    report_batch_item_failures: bool = False,
    maximum_concurrency: str = "",
    reserved_concurrency: str = "",
    filter_: list[str] | None = None,
    function_timeout: str = "",
    memory: str = "",
    json: bool = False,
) -> None:
    """Run one scenario and judge it.

    Exit code: 0 pass, 1 fail, 2 inconclusive, 3 a consumer ended by itself, 64 bad usage.
    """
    call(
        "scenarios.commands.scenario",
        "scenario",
        name=name,
        seed=seed,
        naive=naive,
        count=count,
        batch_size=batch_size,
        consumer=consumer,
        stack=stack,
        keep=keep,
        tier=tier,
        engine=engine,
        endpoint=endpoint,
        region=region,
        settings=tuple(set_ or ()),
        speed=speed,
        strict=strict,
        latency=latency,
        startup_timeout=startup_timeout,
        messages=messages,
        message_key=message_key,
        follows=follows,
        handler=handler,
        runtime=runtime,
        code=code,
        batch_window=batch_window,
        report_batch_item_failures=report_batch_item_failures,
        maximum_concurrency=maximum_concurrency,
        reserved_concurrency=reserved_concurrency,
        filters=tuple(filter_ or ()),
        function_timeout=function_timeout,
        memory=memory,
        json=json,
    )


@task(help={"json": AS_JSON})
def scenarios(_: Context, json: bool = False) -> None:
    """List the scenarios: what each breaks, and what its naive twin shows."""
    call("scenarios.commands.listings", "scenarios", json=json)


SET = {
    "twins": "run the naive twins as well: each must fail with the violation that its scenario names",
    "seed": "repeat a set: the same seed sends the same messages (default: a new one for each run)",
    "jobs": "runs at a time (default: as many as suit this machine)",
    "speed": "let the queues' clock run so many times faster than the wall's",
    "stack": "run on this stack (default: yours if it is up, else a temporary one)",
    "json": AS_JSON,
}


def set_task(name: str, pace: str | None, says: str) -> Any:
    """Make the task that runs all scenarios of a pace, or of any."""

    def run(
        _: Context,
        twins: bool = False,
        seed: str = "",
        jobs: str = "",
        speed: str = "",
        stack: str = "",
        json: bool = False,
    ) -> None:
        options = {"twins": twins, "seed": seed, "jobs": jobs, "speed": speed, "stack": stack, "json": json}
        call("scenarios.commands.suite", "suite", pace=pace, **options)

    run.__doc__ = says
    return task(run, name=name, help=SET)


scenarios_fast = set_task(
    "scenarios-fast",
    "fast",
    "Run all scenarios that take seconds, several at a time; one table, and the exit code of the worst.",
)
scenarios_slow = set_task("scenarios-slow", "slow", "Run all scenarios that take longer; --speed shortens that.")
scenarios_all = set_task("scenarios-all", None, "Run every scenario, the fast ones and the slow ones.")


@task(
    help={
        **SET,
        "pace": "fast or slow (default: both)",
        "consumer": "a consumer of your own in ours' place: module:Class, or a program such as 'node my.js'",
        "strict": "make a pass inconclusive if a check could not be judged",
        "startup-timeout": "seconds for a program to ask for its first message (default 15)",
        "messages": "a program's own messages: a file of one JSON object a line, or a JSON Schema (*.schema.json)",
        "message-key": "the JSON path to the key in each of them, such as $.order.id (default: id)",
        "follows": "the patterns that a program declares, such as heartbeat,backoff; or none (see its docs)",
        "junit": "write JUnit XML into this file",
        **HANDLER,
    },
    iterable=["filter_"],
)
def suite(
    _: Context,
    consumer: str | None = None,
    pace: str = "",
    twins: bool = False,
    seed: str = "",
    jobs: str = "",
    speed: str = "",
    stack: str = "",
    strict: bool = False,
    startup_timeout: str = "",
    messages: str = "",
    message_key: str = "",
    follows: str = "",
    junit: str = "",
    handler: str | None = None,
    runtime: str = "",
    code: str = "",
    batch_window: str = "",
    report_batch_item_failures: bool = False,
    maximum_concurrency: str = "",
    reserved_concurrency: str = "",
    filter_: list[str] | None = None,
    function_timeout: str = "",
    memory: str = "",
    json: bool = False,
) -> None:
    """Run every scenario that a consumer can be put through, several at a time; one table, and JUnit XML.

    Exit code: that of the worst run; see `invoke --help scenario`.
    """
    call(
        "scenarios.commands.suite",
        "suite",
        pace=pace,
        twins=twins,
        seed=seed,
        jobs=jobs,
        speed=speed,
        stack=stack,
        consumer=consumer,
        strict=strict,
        startup_timeout=startup_timeout,
        messages=messages,
        message_key=message_key,
        follows=follows,
        junit=junit,
        configured=True,
        handler=handler,
        runtime=runtime,
        code=code,
        batch_window=batch_window,
        report_batch_item_failures=report_batch_item_failures,
        maximum_concurrency=maximum_concurrency,
        reserved_concurrency=reserved_concurrency,
        filters=tuple(filter_ or ()),
        function_timeout=function_timeout,
        memory=memory,
        json=json,
    )


@task(
    help={"run": "the run's directory or its name (default: the latest)", "open": "open it in the browser"},
    positional=["run"],
)
def report(_: Context, run: str = "", open_: bool = False) -> None:
    """Say where the report of a run is, a page that needs no network."""
    call("scenarios.commands.listings", "report", run=run, browse=open_)


@task(help={"json": AS_JSON})
def runs(_: Context, json: bool = False) -> None:
    """List the runs on disk, newest first."""
    call("scenarios.commands.listings", "runs", json=json)


@task(
    help={
        "name": "the scenario, `all` of them in turn, or a workload: orders, business-keys, long-work, groups, ...",
        "histories": "how many at most (default 10000)",
        "jobs": "processes that share the work (default: all cores)",
        "seed": "what all histories follow from (default: a new one)",
        "naive": "explore the naive twin, until it is found out",
        "mutant": "explore a mutant; `invoke mutants` names them",
        "consumer": "a consumer of your own in ours' place: module:Class, or a program such as 'node my.js'",
        "count": "messages to send (default: the scenario's own)",
        "batch-size": "messages a receive, 1 to 10 (default: the scenario's own)",
        "set": "a parameter of the scenario as key=value; once for each",
        "beyond": "drop the consumer's assumptions one by one, and report which it needs",
        "seconds": "end after so many with what there is by then",
        "cluster": "share the work among the workers of a Dask scheduler, such as tcp://127.0.0.1:8786",
        "shard": "I/N: explore the I-th of N parts alone; `invoke merge` adds them up",
        "saturated": "end when so many histories in a row have seen no new state",
        "corpus": "mutate the unusual histories that earlier campaigns left in runs/corpus, and leave this one's",
        "shrink-seconds": "how long a violation is shrunk at most (default 30)",
        "startup-timeout": "seconds for a program to ask for something (default 15)",
        "follows": "the patterns that a program declares, such as heartbeat,backoff; or none (see its docs)",
        "json": AS_JSON,
    },
    iterable=["set_"],
)
def explore(
    _: Context,
    name: str = "",
    histories: str = "",
    jobs: str = "",
    seed: str = "",
    naive: bool = False,
    mutant: str = "",
    consumer: str | None = None,
    count: str = "",
    batch_size: str = "",
    set_: list[str] | None = None,
    beyond: bool = False,
    seconds: str = "",
    cluster: str = "",
    shard: str = "",
    saturated: str = "",
    corpus: bool = False,
    shrink_seconds: str = "",
    startup_timeout: str = "",
    follows: str = "",
    json: bool = False,
) -> None:
    """Simulate many histories with faults anywhere; shrink the first that violates anything to a readable story.

    Exits 0 where none violates anything and half pass, 1 where one violates something, 2 where fewer pass.
    """
    call(
        "scenarios.commands.explore",
        "explore",
        name=name,
        histories=histories,
        jobs=jobs,
        seed=seed,
        naive=naive,
        mutant=mutant,
        consumer=consumer,
        count=count,
        batch_size=batch_size,
        settings=tuple(set_ or ()),
        beyond=beyond,
        seconds=seconds,
        cluster=cluster,
        shard=shard,
        saturated=saturated,
        corpus=corpus,
        shrink_seconds=shrink_seconds,
        startup_timeout=startup_timeout,
        follows=follows,
        json=json,
    )


@task(help={"shards": "the directories of all shards, one after the other", "json": AS_JSON}, iterable=["shards"])
def merge(_: Context, shards: list[str] | None = None, json: bool = False) -> None:
    """Add up the shards of a campaign: what one machine would have found, and its exit code."""
    call("scenarios.commands.explore", "merge", shards=tuple(shards or ()), json=json)


@task(
    help={
        "consumer": "the program, such as 'node my.js'",
        "count": "messages of each run (default 2)",
        "seed": "repeat a sweep (default: a new one)",
        "jobs": "runs at a time (default: three for each core)",
        "faults": "of kill-before, kill-after, reply-lost, throttled, late-reply; separated by commas (default: all)",
        "only": "strike only requests whose name holds this text, such as Delete#1",
        "startup-timeout": "seconds for a program to ask for its first message (default 15)",
        "messages": "a program's own messages: a file of one JSON object a line, or a JSON Schema (*.schema.json)",
        "message-key": "the JSON path to the key in each of them, such as $.order.id (default: id)",
        "follows": "the patterns that a program declares, such as heartbeat,backoff; or none (see its docs)",
        **HANDLER,
        "json": AS_JSON,
    },
    iterable=["filter_"],
)
def sweep(
    _: Context,
    consumer: str | None = None,
    count: str = "",
    seed: str = "",
    jobs: str = "",
    faults: str = "",
    only: str = "",
    startup_timeout: str = "",
    messages: str = "",
    message_key: str = "",
    follows: str = "",
    handler: str | None = None,
    runtime: str = "",
    code: str = "",
    batch_window: str = "",
    report_batch_item_failures: bool = False,
    maximum_concurrency: str = "",
    reserved_concurrency: str = "",
    filter_: list[str] | None = None,
    function_timeout: str = "",
    memory: str = "",
    json: bool = False,
) -> None:
    """Strike each request of a program with each fault, each in a run of its own; one table of verdicts.

    Exit code: 0 where all pass, 1 where one fails, 2 where none does and one shows nothing.
    """
    call(
        "scenarios.commands.sweep",
        "sweep",
        consumer=consumer,
        count=count,
        seed=seed,
        jobs=jobs,
        faults=faults,
        only=only,
        startup_timeout=startup_timeout,
        messages=messages,
        message_key=message_key,
        follows=follows,
        handler=handler,
        runtime=runtime,
        code=code,
        batch_window=batch_window,
        report_batch_item_failures=report_batch_item_failures,
        maximum_concurrency=maximum_concurrency,
        reserved_concurrency=reserved_concurrency,
        filters=tuple(filter_ or ()),
        function_timeout=function_timeout,
        memory=memory,
        json=json,
    )


@task(
    help={
        "minutes": "end then at the latest (default 10)",
        "kills": "end after so many (default 1000); they fall the closer the fewer the minutes",
        "seed": "of all choices (default: a new one); the moments are the machine's own",
        "consumer": "a consumer of your own in ours' place, as module:Class",
        "json": AS_JSON,
    }
)
def soak(
    _: Context,
    minutes: str = "",
    kills: str = "",
    seed: str = "",
    consumer: str | None = None,
    json: bool = False,
) -> None:
    """Kill consumers, producers and the endpoint at random moments while traffic flows; report every message.

    Exit code: 0 nothing lost or done twice, 1 something, 2 nothing shown, 3 a process ended by itself, 64 bad usage.
    """
    call("scenarios.commands.soak", "soak", minutes=minutes, kills=kills, seed=seed, consumer=consumer, json=json)


@task(help={"run": "the run's directory, for example runs/latest", "json": AS_JSON})
def replay(_: Context, run: str, json: bool = False) -> None:
    """Let a simulated run happen again, and compare it byte for byte."""
    call("scenarios.commands.replay", "replay", run=run, json=json)


@task(
    help={
        "name": "one mutant alone",
        "histories": "in how many each must be found out (default 10000)",
        "jobs": "processes that share the work (default: all cores)",
        "seed": "what all histories follow from (default: the same each time)",
        "cluster": "share the mutants among the workers of a Dask scheduler, such as tcp://127.0.0.1:8786",
        "shard": "I/N: hunt each N-th mutant alone, from the I-th on",
        "json": AS_JSON,
    }
)
def mutants(
    _: Context,
    name: str = "",
    histories: str = "",
    jobs: str = "",
    seed: str = "",
    cluster: str = "",
    shard: str = "",
    json: bool = False,
) -> None:
    """Hunt every broken consumer of the catalogue; a judge that lets one survive proves nothing."""
    call(
        "scenarios.commands.mutants",
        "mutants",
        name=name,
        histories=histories,
        jobs=jobs,
        seed=seed,
        cluster=cluster,
        shard=shard,
        json=json,
    )


@task(
    help={
        "json": AS_JSON,
        "runs": "how often each figure is measured (default 5); the median is shown",
        "peers": "measure the endpoint beside others of its kind instead, which are installed into a cache",
        "search": "measure instead what campaigns take to kill the hard mutants, with two seeds for each run",
    }
)
def bench(_: Context, runs: str = "5", peers: bool = False, search: bool = False, json: bool = False) -> None:
    """Measure on this machine: up, a scenario from keypress to verdict, the endpoint's throughput and memory."""
    call("scenarios.commands.bench", "bench", runs=runs, peers=peers, search=search, json=json)


# --- how the project is kept ---------------------------------------------------------------------------------------


@task(
    help={
        "only": "a pytest expression, as for -k",
        "quick": "leave out what starts processes",
        "thorough": "run the rest: fuzzers, real clients and browsers, the Pulumi CLI, every command of the docs",
    }
)
def test(c: Context, only: str = "", quick: bool = False, thorough: bool = False) -> None:
    """Run the tests, several at a time; --thorough runs the rest of them, which takes longer."""
    # Most of those that take long wait for queues, so there may be more of them at work than there are cores.
    options = ["-n", str((os.cpu_count() or 1) * 3 // 2), "--dist", "worksteal"]
    if only:
        options += ["-k", only]
    rest = "(thorough or pulumi_cli)"
    wanted = ["not processes"] * quick + [rest if thorough else f"not {rest}"]
    options += ["-m", " and ".join(wanted)]
    _python(c, "pytest", *options)


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
    """Write the versions and hashes of all that development installs into the lock file, .ci/requirements.txt."""
    options = ("--extra", "dev", "--generate-hashes", "--universal", "--no-header", "--quiet", "--output-file", LOCK)
    _python(c, "uv", "pip", "compile", "pyproject.toml", *options)


@task
def audit(c: Context) -> None:
    """Look up known vulnerabilities of what the lock file names; skipped where their database cannot be reached."""
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
    """Write a software bill of materials of what the lock file names, with hashes, in CycloneDX, to dist/sbom.json."""
    Path("dist").mkdir(exist_ok=True)
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", SBOM)
    _python(c, "cyclonedx_py", "requirements", LOCK, *options)
    print(SBOM)


@task(pre=[lint, types, imports, test])
def check(c: Context) -> None:
    """Run all the checks: lint, types, imports, and all tests."""
    test(c, thorough=True)


def _python(c: Context, module: str, *arguments: str) -> None:
    """Run a module; a path or an expression with spaces stays one argument."""
    command = shlex.join([sys.executable, "-m", module, *arguments])
    result = c.run(command, pty=sys.stdout.isatty(), warn=True)
    if result.exited:
        raise Exit(code=result.exited)
