"""Run a scenario on the local tier: find or make a stack, stage the scenario, judge what it left, and clean up.

A function of Python first: it prints nothing. The command in ``scenarios.commands.scenario`` shows what it returns.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.clients import Login, aws_client
from infra.config import ProgramConfig
from infra.errors import InfraError
from infra.files import write_atomically
from infra.stack import endpoint
from infra.stack.names import TEMPORARY_PREFIX
from infra.stack.paths import project_root, stack_paths
from infra.stack.stacks import Stack, find_stack, overrides_for, temporary_stack, use_stack
from infra.stack.target import ENDPOINT_VARIABLE, Options, check_url, choose_target
from infra.stack.workspace import open_workspace
from infra.topology import topology_of
from scenarios.checks.external_program import is_program
from scenarios.checks.functions import FREE_FUNCTION_SPEED, STRETCH
from scenarios.checks.other_consumers import taken_by_others
from scenarios.errors import DeadlineMissed, RequestError, UnsuitableError
from scenarios.history import History
from scenarios.history.files import MERGED, HistoryTail, write_history
from scenarios.local.functions import STARTUP_TIMEOUT as FUNCTION_STARTUP
from scenarios.local.lab import Setup, SubprocessLab
from scenarios.local.latency import measure_latency, stretch_for
from scenarios.local.logs import logs_of
from scenarios.local.observer import NoObserver, Observer
from scenarios.local.programs import STARTUP_TIMEOUT
from scenarios.local.queue_settings import configured_resources, patience
from scenarios.local.spawner import Spawner, fork_server
from scenarios.local.waits import has_free_processors
from scenarios.model import Scenario
from scenarios.report.html import REPORT, render
from scenarios.runs.directory import VERDICT, new_run_directory, only_run, point_latest_at
from scenarios.runs.plan import Place, RunPlan, RunRequest, plan_run
from scenarios.verdict import Conditions, Outcome, Verdict, judge

#: Where a run takes place: on the stack's own endpoint, on another one, or on AWS.
LOCAL, ELSEWHERE, AWS = "local", "endpoint", "aws"

#: Begins the names of stacks that a run made and was asked to leave up.
KEPT_PREFIX = "kept-"
#: How many seconds the queues' clock runs in a real one at most with a program, which may need a real second to start.
PROGRAM_SPEED = 4.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run has shown.

    Attributes:
        directory: where its files are.
        stack: the name of the stack that it ran on.
        kept: whether that stack was made for this run and left up.
        seconds: from the request to the verdict, on the wall's clock.
        logs: of a program that did not pass, the last lines of each of its processes.
    """

    verdict: Verdict
    history: History
    directory: Path
    stack: str
    kept: bool
    seconds: float
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what verdict.json holds: the verdict, and where and how fast it came about."""
        own: dict[str, Any] = {"stack": self.stack, "run": str(self.directory), "seconds": round(self.seconds, 3)}
        own |= {"logs": {name: list(lines) for name, lines in self.logs.items()}}
        return {**self.verdict.as_json(), **own}


def run_scenario(request: RunRequest, observer: Observer | None = None) -> RunResult:
    """Run a scenario once; see :func:`plan_run` and :func:`run_plan`."""
    return run_plan(plan_run(request), observer)


def run_plan(plan: RunPlan, observer: Observer | None = None) -> RunResult:
    """Run a scenario once, on the stack that its plan names or on a temporary one.

    Raises:
        ScenarioError: it cannot be run, or not to its end; ``str(error)`` is a sentence for the user.
        InfraError: likewise, for the stack.
    """
    began = time.monotonic()
    request = plan.request
    watcher = observer or NoObserver()
    # First the fork server: it imports while the stack comes up.
    with fork_server(str(runs_of(request.runs))) as spawner, _stack(plan, watcher) as (stack, fresh):
        return run_on(RunEnvironment(stack, fresh, spawner), plan, watcher, began=began)


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """What a run stands on.

    Attributes:
        stack: where its queues and tables are.
        fresh: whether nothing can be left in the stack from an earlier run of the same scenario.
        spawner: the fork server of its services; None to start each from nothing.
    """

    stack: Stack
    fresh: bool
    spawner: Spawner | None = None


def runs_of(given: Path | None) -> Path:
    """Return the directory in which runs leave theirs."""
    return given or project_root() / "runs"


def run_on(environment: RunEnvironment, plan: RunPlan, watcher: Observer, *, began: float | None = None) -> RunResult:
    """Run a scenario once on a stack that is up.

    Args:
        environment: where.
        plan: what; the stack that its request may name does not count.
        watcher: is told how it goes.
        began: when the request came, on the monotonic clock; None for now.

    Raises:
        ScenarioError: it cannot be run, or not to its end.
    """
    stack = environment.stack
    began = time.monotonic() if began is None else began
    request, scenario, parameters, seed = plan.request, plan.scenario, plan.parameters, plan.seed
    check_endpoint(scenario, tier_of(stack), where=f"the stack {stack.name}")
    with only_run(_lock_path(stack, scenario), scenario.name, stack.name):
        directory = new_run_directory(runs_of(request.runs), scenario.name, seed, datetime.now().astimezone())
        watcher.began(seed, directory)
        own = stack.scenario(scenario.resources)
        resources = configured_resources(stack, scenario.resources, request.program) if plan.program else own
        setup = Setup(
            scenario=scenario,
            parameters=parameters,
            seed=seed,
            naive=request.naive,
            consumer=plan.consumer,
            producer=plan.producer,
            stack=stack,
            resources=resources,
            fresh=environment.fresh,
            directory=directory,
            spawner=environment.spawner,
            program=plan.program,
            startup_timeout=request.startup_timeout or (FUNCTION_STARTUP if plan.function else STARTUP_TIMEOUT),
            config=request.program,
            function=plan.function,
            patience=patience(own, resources, request.program, parameters.count) if plan.program else 0.0,
        )
        history, missed = _stage(setup, watcher)
        speed = float(history.events("run")[0]["speed"])
        verdict = judge(
            scenario,
            history,
            Conditions(
                seed=seed,
                parameters=parameters,
                tier=tier_of(stack),
                naive=request.naive,
                consumer=request.consumer,
                missed=missed,
                command=plan.command(speed, _place_of(environment, request)),
                speed=speed,
                strict=request.strict,
                endpoint=endpoint_of(stack),
                function=plan.function is not None,
                handler=request.handler.handler if request.handler is not None else "",
            ),
        )
        kept = environment.fresh and request.keep
        watched = bool(plan.program) or request.handler is not None
        unpassed = watched and verdict.outcome is not Outcome.PASS
        logs = logs_of(directory / "processes", _consumers_of(history)) if unpassed else {}
        result = RunResult(verdict, history, directory, stack.name, kept, time.monotonic() - began, logs)
        write_atomically(directory / VERDICT, json.dumps(result.as_json(), indent=2).encode() + b"\n", durable=False)
        write_atomically(directory / REPORT, render(verdict, history, logs).encode(), durable=False)
        point_latest_at(directory)
        watcher.stage("cleaning up")
    return result


def tier_of(stack: Stack) -> str:
    """Return what a verdict calls the place where a stack is."""
    if stack.endpoint_history is not None:
        return LOCAL
    return AWS if stack.endpoint_url is None else ELSEWHERE


def endpoint_of(stack: Stack) -> str:
    """Return where a stack's resources are, for people; the embedded endpoint has another port each time."""
    match tier_of(stack):
        case "local":
            return "embedded endpoint"
        case "aws":
            return f"AWS in {stack.region}"
    return f"endpoint {stack.endpoint_url}"


def _place_of(environment: RunEnvironment, request: RunRequest) -> Place:
    """Return what the command that repeats a run has to say of its place; a stack that stays says it all."""
    stack = environment.stack
    if not stack.name.startswith(TEMPORARY_PREFIX) and not (environment.fresh and request.keep):
        return Place(stack=stack.name)
    url = None if stack.endpoint_history is not None else stack.endpoint_url
    return Place(endpoint=url, region=None if stack.region == ProgramConfig().aws_region else stack.region)


def _consumers_of(history: History) -> list[str]:
    return [event.process for event in history.events("started")]


def _stage(setup: Setup, observer: Observer) -> tuple[History, str]:
    """Stage the scenario; return its history, and what was waited for in vain."""
    entry = topology_of(setup.scenario.resources)
    missed, begun = "", False
    lab = SubprocessLab(setup, observer)
    try:
        lab.open(fifo=entry.fifo, bucket=entry.bucket)
        begun = True
        try:
            setup.scenario.run(lab)
        except DeadlineMissed as error:
            missed = str(error)
        history = lab.finish()
        write_history(history, setup.directory / MERGED)
    except BaseException:
        # Also on Ctrl-C: what was there until now is worth reading, and a verdict that is not there says the rest.
        lab.close()
        if begun:
            _leave_what_there_is(setup.directory)
        else:
            shutil.rmtree(setup.directory, ignore_errors=True)  # it was refused: there is nothing to read
        raise
    else:
        lab.close()
    _refuse_other_consumers(history)
    return history, missed


def _refuse_other_consumers(history: History) -> None:
    """Give up a run whose messages another consumer took: it would be convicted of what is missing.

    Raises:
        UnsuitableError: another consumer has.
    """
    taken = taken_by_others(history)
    if taken.message_ids:
        what = taken.what.format(queue=history.facts.queue)
        example = history.name(taken.message_ids[0])
        raise UnsuitableError(
            f"A consumer outside this run has {what} ({len(taken.message_ids)}, {example} among them), so nothing "
            "can be judged; end that consumer first, or let the run have a stack of its own. A consumer of yours is "
            "outside as well where it goes to the queue by another way than the one that is recorded."
        )


def _leave_what_there_is(directory: Path) -> None:
    tail = HistoryTail(directory / "processes")
    tail.poll()
    write_history(tail.history, directory / MERGED)


@contextmanager
def _stack(plan: RunPlan, observer: Observer) -> Iterator[tuple[Stack, bool]]:
    """Yield the stack to run on, and whether it was made for this run."""
    request, scenario = plan.request, plan.scenario

    options = Options(engine=request.engine, endpoint=request.endpoint, region=request.region)
    with use_stack(request.stack) as found:
        if found is not None:
            choose_target(stack_paths(found.name), options)  # which refuses another one than it is deployed with
            if request.region not in (None, found.region):
                raise RequestError(
                    f"The stack {found.name} is in {found.region}, not {request.region}; leave out --region."
                )
            if request.speed is not None:
                check_speed(found, request.speed)
            check_distance(found, request.latency)
            yield found, False
            return
    if request.stack:
        raise RequestError(
            f"The stack {request.stack} is not up; `invoke up --stack {request.stack}` brings it up, "
            "and without --stack a temporary one is made."
        )
    observer.stage("bringing up a temporary stack")
    elsewhere = request.endpoint or os.environ.get(ENDPOINT_VARIABLE)
    if elsewhere:
        elsewhere = check_url("--endpoint" if request.endpoint else ENDPOINT_VARIABLE, elsewhere)
        said = f"--endpoint {elsewhere}" if request.endpoint else f"{ENDPOINT_VARIABLE} {elsewhere}"
        check_endpoint(scenario, ELSEWHERE, where=said)
        if request.speed is not None:
            raise RequestError(f"--speed is for the embedded endpoint, and {said} names another; leave one out.")
        timeout_scale = stretch_for(latency_to(elsewhere, ProgramConfig().aws_region, request.latency))
        speed = 1.0
    else:
        speed = (request.speed or default_speed(scenario, request)) / stretch_for((request.latency or 0) / 1000)
        timeout_scale = 1
    making = (
        _kept_stack(scenario, options, speed, timeout_scale)
        if request.keep
        else temporary_stack([scenario.resources], options, speed=speed, timeout_scale=timeout_scale)
    )
    with making as stack:
        yield stack, True


def latency_to(endpoint_url: str | None, region: str, given: int | None, login: Login | None = None) -> float:
    """Return the round trip to an endpoint in seconds: as given in milliseconds, or as measured.

    Raises:
        UnsuitableError: the endpoint does not answer.
    """
    if given is not None:
        return given / 1000
    sqs = aws_client("sqs", endpoint_url=endpoint_url, region=region, login=login)
    try:
        return measure_latency(lambda: sqs.list_queues(MaxResults=1))
    except (BotoCoreError, ClientError) as error:
        raise UnsuitableError(
            f"The endpoint {endpoint_url or 'of AWS'} cannot be asked for its queues: {error}"
        ) from None


def check_endpoint(scenario: Scenario, tier: str, *, where: str) -> None:
    """Refuse an endpoint on which a scenario cannot be judged, before anything is staged.

    Raises:
        UnsuitableError: the scenario needs the embedded endpoint, or that or AWS.
    """
    allowed = {"embedded endpoint": (LOCAL,), "embedded endpoint or AWS": (LOCAL, AWS)}.get(scenario.judged_on)
    if allowed is not None and tier not in allowed:
        alone = "embedded endpoint alone" if len(allowed) == 1 else f"{scenario.judged_on} alone"
        raise UnsuitableError(
            f"The scenario {scenario.name} can be judged on the {alone}, and {where} is another one: it needs an "
            f"endpoint that {scenario.needs}. Leave --endpoint and --stack out for a temporary stack with an embedded "
            "endpoint."
        )


def check_distance(stack: Stack, given: int | None = None) -> None:
    """Refuse a stack whose timeouts are too short for the distance to its endpoint.

    Args:
        stack: the stack that is up.
        given: the round trip in milliseconds; None measures it, where the endpoint is not the embedded one.

    Raises:
        UnsuitableError: they are too short, so a correct consumer would be convicted.
    """
    if stack.endpoint_history is not None:
        wanted = stretch_for((given or 0) / 1000)
        has = 1 / endpoint.speed_of(stack.endpoint_url) if wanted > 1 and stack.endpoint_url else 1.0
    else:
        wanted = stretch_for(latency_to(stack.endpoint_url, stack.region, given, stack.login))
        has = stack.timeout_scale
    if wanted > has:
        raise UnsuitableError(
            f"A round trip to the endpoint of the stack {stack.name} takes too long for its visibility timeouts: they "
            f"would have to be {wanted} times as long. Set timeoutScale to {wanted} and `invoke up` again, or leave "
            "the stack out for a temporary one, which is stretched by itself."
        )


def speed_of(scenario: Scenario, *, endpoint: str | None = None, handler: bool = False, program: bool = False) -> float:
    """Return how many seconds the queues' clock runs in a real one by default; AWS's own is as it is.

    Args:
        scenario: what is run.
        endpoint: the URL of another endpoint than the embedded one.
        handler: whether a Lambda handler takes the place of a consumer that polls.
        program: whether a program takes the place of our consumer, which may need a second to start.
    """
    if endpoint:
        return 1.0
    if program:
        return min(scenario.speed, PROGRAM_SPEED)
    return scenario.speed / STRETCH if handler and scenario.function is None else scenario.speed


def default_speed(scenario: Scenario, request: RunRequest) -> float:
    """Return the speed of a run on a temporary stack of its own; see :func:`speed_of`.

    A run has the machine to itself, unlike the runs of a suite, and our own handler is known to be quick.
    """
    if scenario.function is not None and not (request.handler or request.keep) and has_free_processors():
        return FREE_FUNCTION_SPEED
    return speed_of(scenario, handler=request.handler is not None, program=is_program(request.consumer))


def check_speed(stack: Stack, speed: float) -> None:
    """Refuse another speed than the one that a stack's clock has already."""
    present = endpoint.speed_of(stack.endpoint_url) if stack.endpoint_url and stack.endpoint_history else 1.0
    if present != speed:
        raise RequestError(
            f"The clock of the stack {stack.name} runs at speed {present:g}, not {speed:g}; "
            "leave out --speed, or take the stack down for a temporary one."
        )


@contextmanager
def _kept_stack(scenario: Scenario, options: Options, speed: float, timeout_scale: int) -> Iterator[Stack]:
    """Yield a stack that is an ordinary one afterwards: ``invoke down --stack NAME`` takes it down."""
    name = f"{KEPT_PREFIX}{scenario.name}-{secrets.token_hex(2)}"
    overrides = overrides_for([scenario.resources], options, timeout_scale)
    with open_workspace(name, overrides=overrides, options=options, speed=speed) as workspace:
        try:
            workspace.up()
        except BaseException:
            workspace.dispose()
            raise
    stack = find_stack(name)
    if stack is None:
        raise InfraError(f"The stack {name} was brought up and is not there; see `invoke status --stack {name}`.")
    yield stack


def _lock_path(stack: Stack, scenario: Scenario) -> Path:

    return stack_paths(stack.name).directory / f"scenario-{scenario.name}.lock"
