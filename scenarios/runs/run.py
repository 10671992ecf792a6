"""Run a scenario on the local tier: find or make a stack, stage the story, judge what it left, and clean up.

A function of Python first: it prints nothing. The command line in ``scenarios.commands.scenario`` shows what it returns.
"""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import InfraError
from infra.files import write_atomically
from infra.stack import endpoint
from infra.stack.paths import project_root
from infra.stack.paths import project_root, stack_paths
from infra.stack.paths import stack_paths
from infra.stack.stacks import Stack, find_stack, temporary_stack, use_stack
from infra.stack.target import Options, choose_target
from infra.stack.workspace import open_workspace
from infra.topology import topology_of
from scenarios.catalog import all_scenarios, find_scenario
from scenarios.errors import DeadlineMissed, RequestError, UnsuitableError
from scenarios.checks.external_program import command_line, is_program
from scenarios.history import History
from scenarios.history.files import MERGED, HistoryTail, write_history
from scenarios.local.spawner import Spawner, nursery
from scenarios.runs.plan import RunPlan, RunRequest, plan_run
from scenarios.runs.directory import VERDICT, new_run_directory, only_run, point_latest_at
from scenarios.local.logs import logs_of
from scenarios.local.observer import Nobody, Observer
from scenarios.local.lab import Setup, SubprocessLab
from scenarios.parameters import COMMON
from scenarios.parameters import Parameters
from scenarios.model import Scenario
from scenarios.report.html import REPORT, render
from scenarios.checks.other_consumers import taken_by_others
from scenarios.verdict import Conditions, Outcome, Verdict, judge

TIER = "local"

#: Begins the names of stacks that a run made and was asked to leave up.
KEPT_PREFIX = "kept-"




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
    """Run a scenario once.

    Raises:
        ScenarioError: it cannot be run, or not to its end; ``str(error)`` is a sentence for the user.
        InfraError: likewise, for the stack.
    """
    began = time.monotonic()
    plan = plan_run(request)
    watcher = observer or Nobody()
    # First the nursery: it imports while the stack comes up.
    with nursery(str(runs_of(request.runs))) as births, _stack(plan, watcher) as (stack, fresh):
        return run_on(RunEnvironment(stack, fresh, births), plan, watcher, began=began)


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """What a run stands on.

    Attributes:
        stack: where its queues and tables are.
        fresh: whether nothing can be left in the stack from an earlier run of the same scenario.
        births: the nursery of its services; None to start each from nothing.
    """

    stack: Stack
    fresh: bool
    births: Spawner | None = None


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
    with only_run(_lock_path(stack, scenario), scenario.name, stack.name):
        directory = new_run_directory(runs_of(request.runs), scenario.name, seed, datetime.now().astimezone())
        watcher.began(seed, directory)
        setup = Setup(
            scenario=scenario,
            parameters=parameters,
            seed=seed,
            naive=request.naive,
            consumer=plan.consumer,
            producer=plan.producer,
            stack=stack,
            resources=stack.scenario(scenario.resources),
            fresh=environment.fresh,
            directory=directory,
            births=environment.births,
            program=plan.program,
        )
        history, missed = _stage(setup, watcher)
        speed = float(history.events("run")[0]["speed"])
        verdict = judge(
            scenario,
            history,
            Conditions(
                seed=seed,
                parameters=parameters,
                tier=TIER,
                naive=request.naive,
                consumer=request.consumer,
                missed=missed,
                command=plan.command(speed),
                speed=speed,
                strict=request.strict,
            ),
        )
        kept = environment.fresh and request.keep
        unpassed = plan.program and verdict.outcome is not Outcome.PASS
        logs = logs_of(directory / "processes", _consumers_of(history)) if unpassed else {}
        result = RunResult(verdict, history, directory, stack.name, kept, time.monotonic() - began, logs)
        write_atomically(directory / VERDICT, json.dumps(result.as_json(), indent=2).encode() + b"\n", durable=False)
        write_atomically(directory / REPORT, render(verdict, history, logs).encode(), durable=False)
        point_latest_at(directory)
        watcher.stage("cleaning up")
    return result


def _consumers_of(history: History) -> list[str]:
    return [record["process"] for record in history.events("started")]




def _stage(setup: Setup, observer: Observer) -> tuple[History, str]:
    """Stage the story; return its history, and what was waited for in vain."""

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
    """Give up a run whose messages somebody else has taken: it would be convicted of what is missing.

    Raises:
        UnsuitableError: somebody has.
    """
    taken = taken_by_others(history)
    if taken:
        raise UnsuitableError(
            "Somebody who is none of this run's processes has received messages of the queue "
            f"{history.facts.queue} and deleted them ({len(taken)}, {history.name(taken[0])} among them), so nothing "
            "can be judged; end that consumer first, or let the run have a stack of its own. A consumer of yours is "
            "such a somebody where it goes to the queue by another way than the one that is recorded."
        )


def _leave_what_there_is(directory: Path) -> None:
    tail = HistoryTail(directory / "processes")
    tail.poll()
    write_history(tail.history, directory / MERGED)


@contextmanager
def _stack(plan: RunPlan, observer: Observer) -> Iterator[tuple[Stack, bool]]:
    """Yield the stack to run on, and whether it was made for this run."""
    request, scenario = plan.request, plan.scenario

    options = Options(engine=request.engine, endpoint=request.endpoint) if request.engine or request.endpoint else None
    with use_stack(request.stack) as found:
        if found is not None:
            if options is not None:
                choose_target(stack_paths(found.name), options)  # which refuses another one than it is deployed with
            if request.speed is not None:
                check_speed(found, request.speed)
            yield found, False
            return
    if request.stack:
        raise RequestError(
            f"The stack {request.stack} is not up; `invoke up --stack {request.stack}` brings it up, "
            "and without --stack a temporary one is made."
        )
    observer.stage("bringing up a temporary stack")
    speed = request.speed or speed_of(scenario, endpoint=request.endpoint)
    making = (
        _kept_stack(scenario, options, speed)
        if request.keep
        else temporary_stack([scenario.name], options, speed=speed)
    )
    with making as stack:
        yield stack, True


def speed_of(scenario: Scenario, *, endpoint: str | None = None) -> float:
    """Return how many seconds the queues' clock runs in a real one where nobody says; AWS's own is as it is."""
    return 1.0 if endpoint else scenario.speed


def check_speed(stack: Stack, speed: float) -> None:
    """Refuse another speed than the one that a stack's clock has already."""

    present = endpoint.speed_of(stack.endpoint_url) if stack.endpoint_url and stack.endpoint_history else 1.0
    if present != speed:
        raise RequestError(
            f"The clock of the stack {stack.name} runs at speed {present:g}, not {speed:g}; "
            "leave out --speed, or take the stack down for a temporary one."
        )


@contextmanager
def _kept_stack(scenario: Scenario, options: Options | None, speed: float) -> Iterator[Stack]:
    """Yield a stack that is an ordinary one afterwards: ``invoke down --stack NAME`` takes it down."""

    name = f"{KEPT_PREFIX}{scenario.name}-{secrets.token_hex(2)}"
    overrides = {"scenarios": [scenario.name]}
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


