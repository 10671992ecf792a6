"""``invoke scenario``: run one scenario, in real processes or in simulated time, and print its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from scenarios.catalog import find_scenario
from scenarios.checks.external_program import check_class
from scenarios.checks.program_config import ProgramConfig
from scenarios.commands.exploration_output import print_scenario
from scenarios.commands.options import (
    HandlerOptions,
    Number,
    check_consumer,
    chosen_handler,
    chosen_seed,
    chosen_speed,
    chosen_startup_timeout,
    command,
    configured_consumer,
    print_json,
    termination_as_exit,
    whole,
)
from scenarios.commands.output import Progress, print_result
from scenarios.commands.status_line import make_console
from scenarios.errors import RequestError
from scenarios.exploration import replay as files
from scenarios.exploration.case import record_case
from scenarios.exploration.targets import Target, make_target
from scenarios.local.latency import MAX_LATENCY_MS
from scenarios.runs.directory import point_latest_at
from scenarios.runs.plan import RunRequest, invoked, plan_run, words_of
from scenarios.runs.run import run_plan


@command
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
    region: str | None = None,
    settings: Sequence[str] = (),
    speed: float | str | None = None,
    strict: bool = False,
    latency: Number = None,
    startup_timeout: float | str | None = None,
    messages: str | None = None,
    message_key: str | None = None,
    follows: str | None = None,
    runs: Path | None = None,
    handler: str | None = None,
    **function: Unpack[HandlerOptions],
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
        region: the region of a stack that is made for this run.
        settings: parameters of the scenario, each as ``key=value``.
        speed: how many seconds the queues' clock runs in a real one.
        strict: make a pass inconclusive in which a check could not be judged.
        latency: the round trip to the endpoint in milliseconds; None measures it.
        startup_timeout: real seconds for a program to start, and to ask for its first message.
        messages: a file of messages for a program, in the place of the lab's own.
        message_key: the JSON path to the key in each of them.
        follows: the patterns that a program declares, separated by commas, or ``none``.
        runs: where runs leave their directories; None for ``runs/`` in the project.
        handler: a Lambda handler of your own in the place of our consumer: ``module.function``, or a program.
        function: the options of the handler's function and event source mapping.
    """
    given = check_consumer(consumer)
    own = chosen_handler(handler, function, batch_size)
    simulated = _is_simulated(tier, stack, engine, endpoint, keep=keep)
    if simulated and speed not in (None, ""):
        raise RequestError("The simulated tier's clock needs no --speed: it never waits.")
    if not name:
        raise RequestError("Which scenario? Give --name; `invoke scenarios` lists them.")
    if naive and given:
        raise RequestError("--naive and --consumer both name a consumer; give one of them.")
    config = ProgramConfig()
    program_option = "--messages" if messages else "--follows" if follows else ""
    if (simulated or naive) and program_option:
        raise RequestError(
            f"{program_option} is for a program, and neither the simulated tier nor a naive twin runs one."
        )
    if own is not None and program_option:
        raise RequestError(
            f"{program_option} is for a program that polls, and --handler for a function; give one of them."
        )
    if own is not None and (naive or given):
        raise RequestError(
            f"{'--naive' if naive else '--consumer'} and --handler both name a consumer; give one of them."
        )
    if not simulated and not naive and own is None:
        given, config = configured_consumer(consumer, messages, message_key, follows)
    wanted, size = whole("--count", count), whole("--batch-size", batch_size) if own is None else None
    if simulated:
        check_class(given)
        target = make_target(
            find_scenario(name).name,
            count=wanted,
            batch_size=size,
            settings=settings,
            naive=naive,
            consumer=given,
            with_faults=False,
            handler=own,
        )
        return simulate_once(target, chosen_seed(seed), json=json, runs=runs)
    request = RunRequest(
        scenario=name,
        seed=whole("--seed", seed),
        naive=naive,
        count=wanted,
        batch_size=size,
        consumer=given,
        stack=stack or None,
        keep=keep,
        engine=engine or None,
        endpoint=endpoint or None,
        region=region or None,
        settings=tuple(settings or ()),
        speed=chosen_speed(speed),
        latency=whole("--latency", latency, 0, MAX_LATENCY_MS),
        runs=runs,
        strict=strict or config.strict,
        startup_timeout=chosen_startup_timeout(startup_timeout) or config.startup_timeout,
        program=config,
        handler=own,
    )
    plan = plan_run(request)
    title = f"{plan.scenario.name}{' (naive twin)' if naive else ''}: {plan.scenario.summary}"
    with termination_as_exit(), Progress(make_console(stderr=json), title) as progress:
        result = run_plan(plan, progress)
    if json:
        print_json(result.as_json())
    else:
        print_result(make_console(), result)
    return result.verdict.outcome.exit_code


def simulate_once(target: Target, seed: int, *, json: bool = False, runs: Path | None = None) -> int:
    """Run one scenario in simulated time and print its verdict; return the exit code.

    Nothing goes wrong but what the scenario stages.
    """
    case = record_case(target, seed)
    simulation = case.simulate(_command_of(target, seed))
    directory = files.new_directory(target.name, seed, runs)
    files.write_run(case, simulation, directory)
    point_latest_at(directory)
    if json:
        print_json({**simulation.verdict.as_json(), "run": str(directory)})
    else:
        print_scenario(simulation, directory)
    return simulation.verdict.outcome.exit_code


def _command_of(target: Target, seed: int) -> str:
    found = find_scenario(target.name)
    words = [f"{invoked()} scenario", f"--name {target.name}", "--tier sim", f"--seed {seed}"]
    words += words_of(found, target.parameters(found), naive=target.naive, consumer=target.consumer)
    return " ".join([*words, *(target.own_handler.words() if target.own_handler is not None else ())])


def _is_simulated(tier: str | None, stack: str | None, engine: str | None, endpoint: str | None, *, keep: bool) -> bool:
    if tier not in (None, "", "local", "sim"):
        raise RequestError(
            f"--tier is local or sim, not {tier!r}; a stack on AWS is named by --stack, once "
            "`invoke up --tier aws` has brought it up."
        )
    if tier == "sim" and (stack or engine or endpoint or keep):
        raise RequestError("The simulated tier has no stack: leave out --stack, --engine, --endpoint and --keep.")
    return tier == "sim"
