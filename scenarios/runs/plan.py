"""A run's plan: what a user asks for, checked and resolved once, for every tier.

A request holds options as they were given. A plan holds the scenario, its parameters, the seed and the consumer that
they come to; whatever runs a scenario is handed a plan, and looks nothing up again.
"""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from infra.stack.paths import project_root
from infra.stack.target import check_url
from scenarios.catalog import all_scenarios, find_scenario
from scenarios.checks.effects import LogEffect, SqlEffect
from scenarios.checks.external_program import command_line, is_program
from scenarios.checks.functions import Function, Handler, check_handler
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import RequestError
from scenarios.model import Scenario
from scenarios.mutants.workloads import ALL as WORKLOADS
from scenarios.parameters import COMMON, Parameters
from scenarios.simulation.lab import consumer_class

#: Our own handler, as a function has it.
OUR_HANDLER = "services.consumer.lambda_handler.handler"
#: A seed that no option gives is drawn from this many.
SEEDS = 2**32
#: What runs the commands where the project is installed on its own.
PROGRAM = "queue-fundamentals"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run.

    Attributes:
        seed: None draws one.
        naive: run the scenario's naive twin.
        count: messages; None for the scenario's own.
        batch_size: messages a receive; None for the scenario's own.
        settings: parameters of the scenario, each as ``key=value``.
        consumer: a consumer in the place of ours: a class as ``module:Class``, or a command line; empty for ours.
        stack: the stack to run on; None for the one that is up, or else a temporary one.
        keep: leave up a stack that is made for this run.
        engine: who deploys a stack that is made for this run, ``embedded`` or ``pulumi``; None for the embedded one.
        endpoint: the URL of an AWS endpoint for a stack that is made for this run; None for one of its own.
        region: the region of a stack that is made for this run; None for the environment's, or else the program's own.
        speed: how many seconds the queues' clock runs in a real one; None for as the stack that is up has it, or else
            the scenario's own.
        latency: the round trip to the endpoint in milliseconds; None measures it, where it is not the embedded one.
        runs: where runs leave their directories; None for ``runs/`` in the project.
        strict: whether a check that cannot be judged makes a pass inconclusive.
        startup_timeout: real seconds for a program to start, and to ask for its first message; None for the usual.
        program: what the user's configuration file says of the program.
        handler: a Lambda handler in the place of our consumer; None for none.
    """

    scenario: str
    seed: int | None = None
    naive: bool = False
    count: int | None = None
    batch_size: int | None = None
    settings: tuple[str, ...] = ()
    consumer: str = ""
    stack: str | None = None
    keep: bool = False
    engine: str | None = None
    endpoint: str | None = None
    region: str | None = None
    speed: float | None = None
    latency: int | None = None
    runs: Path | None = None
    strict: bool = False
    startup_timeout: float | None = None
    program: ProgramConfig = field(default_factory=ProgramConfig)
    handler: Handler | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run was, as far as the command that repeats it has to say so.

    Attributes:
        stack: a stack that stays up after the run; None for one that was made for it.
        endpoint: an AWS endpoint that is not the stack's own; None for the embedded one, and for AWS.
        region: another region than the program's own; None for that.
    """

    stack: str | None = None
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A request that is checked and resolved.

    Attributes:
        request: what the user asked for.
        scenario: what is run.
        parameters: all of them, each in its range.
        seed: the given one, or one that was drawn.
        program: an external program and its arguments; empty for a class.
    """

    request: RunRequest
    scenario: Scenario
    parameters: Parameters
    seed: int
    program: tuple[str, ...] = ()

    @property
    def consumer(self) -> str:
        """The consumer's class as ``module:Class``; of an external program its command line."""
        return consumer_of(self.scenario, naive=self.request.naive, given=self.request.consumer)

    @property
    def function(self) -> Function | None:
        """The Lambda function that consumes; None for a consumer that polls by itself."""
        request, scenario = self.request, self.scenario
        settings = scenario.function_settings(request.handler, naive=request.naive)
        if request.handler is not None:
            return Function(request.handler, settings)
        if scenario.function is None:
            return None
        own = Handler(OUR_HANDLER, "python", project_root())
        return Function(own, settings, {"CONSUMER": self.consumer} if self.consumer else {})

    @property
    def producer(self) -> str:
        """The producer's class as ``module:Class``; empty for the producer itself."""
        return producer_of(self.scenario, naive=self.request.naive)

    def command(self, speed: float, place: Place) -> str:
        """Return the one command that repeats the run; ``speed`` is how fast the lab's clock ran."""
        return command_of(self.request, self.scenario, self.parameters, self.seed, speed=speed, place=place)


def plan_run(request: RunRequest) -> RunPlan:
    """Check a request, and resolve what it names.

    Raises:
        RequestError: there is no such scenario or consumer, a value is out of range, or two options exclude each other.
        ConfigError: the endpoint is no URL.
    """
    _check_no_workload(request.scenario)
    scenario = find_scenario(request.scenario)
    parameters = parameters_of(request, scenario)
    if request.naive and request.consumer:
        raise RequestError("--naive and --consumer both name a consumer; give one of them.")
    if request.handler is not None:
        check_own_handler(request.handler, scenario)
        if isinstance(request.program.effect, SqlEffect | LogEffect):
            raise RequestError(
                f"A handler's side effect is the ledger's or an HTTP call, and {request.program.effect.words} is "
                "watched for programs alone; leave effect out of the configuration."
            )
        other = "--naive" if request.naive else "--consumer" if request.consumer else ""
        if other:
            raise RequestError(f"{other} and --handler both name a consumer; give one of them.")
        if request.endpoint:
            raise RequestError(
                "A --handler is run by the embedded endpoint, and --endpoint names another; leave it out."
            )
    elif scenario.function is not None and is_program(request.consumer):
        raise RequestError(f"The consumer of {scenario.name} is a Lambda function; name yours by --handler.")
    _check_own_consumer(request, scenario)
    if request.endpoint:
        check_url("--endpoint", request.endpoint)
    if request.speed is not None and request.endpoint:
        raise RequestError("--speed is for the embedded endpoint, and --endpoint names another; leave one of them out.")
    program = command_line(request.consumer) if is_program(request.consumer) else ()
    seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    return RunPlan(request, scenario, parameters, seed, program)


def _check_no_workload(name: str) -> None:
    """Refuse a workload, which the explorer alone can run."""
    if any(workload.scenario.name == name for workload in WORKLOADS):
        raise RequestError(f"{name} is a workload, and no scenario; `invoke explore --name {name}` explores it.")


def _check_own_consumer(request: RunRequest, scenario: Scenario) -> None:
    """Refuse a program that cannot be judged, or a class that cannot be loaded; our own consumer is neither."""
    if is_program(request.consumer):
        check_program(request.consumer, scenario)
        check_effect(request.program, scenario)
    elif request.consumer:
        consumer_class(request.consumer)


def consumer_of(scenario: Scenario, *, naive: bool, given: str = "") -> str:
    """Return the consumer of a run: the naive twin's, the given one, or the scenario's own."""
    return (naive and scenario.naive_twin.consumer) or given or scenario.consumer


def producer_of(scenario: Scenario, *, naive: bool) -> str:
    """Return the producer of a run: the naive twin's, or the scenario's own."""
    return (naive and scenario.naive_twin.producer) or scenario.producer


def applicable(
    consumer: str, handler: Handler | None = None, config: ProgramConfig | None = None
) -> tuple[Scenario, ...]:
    """Return the scenarios that a consumer can be put through: all for our own, of a program what can be seen.

    Raises:
        RequestError: it is a program that is not there.
    """
    found = tuple(all_scenarios().values())
    if handler is not None:
        return tuple(scenario for scenario in found if scenario.any_handler)
    if is_program(consumer):
        command_line(consumer)
        watched = config is not None and isinstance(config.effect, SqlEffect | LogEffect)
        return tuple(
            each for each in found if each.any_program and not each.by_request and (each.any_effect or not watched)
        )
    # A class takes the place of the consumer itself, and not of one with a pattern of its own.
    return tuple(scenario for scenario in found if not (consumer and (scenario.consumer or scenario.producer)))


def check_own_handler(handler: Handler, scenario: Scenario) -> None:
    """Refuse a handler that is not there, or that a scenario could not be judged with."""
    check_handler(handler)
    if not scenario.any_handler:
        able = ", ".join(name for name, each in all_scenarios().items() if each.any_handler)
        raise RequestError(
            f"The scenario {scenario.name} takes no Lambda handler (docs/lambda.md says why); a handler can be put "
            f"through: {able}."
        )


def check_program(consumer: str, scenario: Scenario) -> None:
    """Refuse a program that is not there, or that a scenario could not be judged with."""
    command_line(consumer)
    if not scenario.any_program:
        able = ", ".join(name for name, each in all_scenarios().items() if each.any_program)
        raise RequestError(
            f"What {scenario.name} is about cannot be seen from outside a program, so --consumer takes a class for it; "
            f"a program can be put through: {able}."
        )


def check_effect(config: ProgramConfig, scenario: Scenario) -> None:
    """Refuse a scenario that strikes at the very side effect, where the lab only watches it."""
    if isinstance(config.effect, SqlEffect | LogEffect) and not scenario.any_effect:
        able = ", ".join(name for name, each in all_scenarios().items() if each.any_effect)
        raise RequestError(
            f"{scenario.name} strikes at the side effect itself, and {config.effect.words} is only watched; with such "
            f"an effect a program can be put through: {able}."
        )


def parameters_of(request: RunRequest, scenario: Scenario) -> Parameters:
    """Return the parameters of a run.

    Raises:
        RequestError: one of them cannot be used, or is given twice.
    """
    chosen = chosen_parameters(scenario, request.count, request.batch_size, request.settings)
    return scenario.parameters(chosen, naive=request.naive)


def chosen_parameters(
    scenario: Scenario, count: int | None, batch_size: int | None, settings: Sequence[str]
) -> Mapping[str, float | None]:
    """Return what ``--count``, ``--batch-size`` and ``--set`` ask for together.

    Raises:
        RequestError: two options set one parameter, or ``--set`` cannot be used.
    """
    chosen = scenario.settings(settings)
    options = {"count": count, "batch_size": batch_size}
    for name, value in options.items():
        if value is not None and name in chosen:
            raise RequestError(f"--{name.replace('_', '-')} and --set {name} say the same; give one of them.")
    return {**options, **chosen}


def invoked() -> str:
    """Return how the commands are called from where the user stands: elsewhere ``invoke`` is told where the project is.

    Installed on its own, the project has no tasks that ``invoke`` would find, and a program of its own name.
    """
    if Path(sys.argv[0]).name == PROGRAM:
        return PROGRAM
    root, here = project_root(), Path.cwd()
    return "invoke" if here.is_relative_to(root) else f"invoke -r {shlex.quote(str(root))}"


def command_of(
    request: RunRequest,
    scenario: Scenario,
    parameters: Parameters,
    seed: int,
    *,
    speed: float = 1.0,
    place: Place | None = None,
) -> str:
    """Return the one command that does the same again.

    Args:
        request: what the user asked for.
        scenario: what was run.
        parameters: with these.
        seed: and this.
        speed: how fast the lab's clock ran.
        place: where the run was; None for where the request says.
    """
    where = place or Place(request.stack, request.endpoint, request.region)
    words = [f"{invoked()} scenario", f"--name {scenario.name}", f"--seed {seed}"]
    words += words_of(scenario, parameters, naive=request.naive, consumer=request.consumer)
    words += request.handler.words() if request.handler is not None else []
    words += ["--strict"] * request.strict
    words += [shlex.quote(word) for word in request.program.given]
    if request.startup_timeout is not None:
        words.append(f"--startup-timeout {request.startup_timeout:g}")
    if request.speed is not None:
        words.append(f"--speed {request.speed:g}")
    elif (speed, scenario.speed) != (1.0, 1.0) and not where.endpoint:
        words.append(f"--speed {speed:g}")
    options = {
        "stack": where.stack,
        "engine": request.engine,
        "endpoint": where.endpoint,
        "region": where.region,
        "latency": request.latency,
    }
    for option, value in options.items():
        if value:
            words.append(f"--{option} {shlex.quote(str(value))}")
    return " ".join(words)


def words_of(scenario: Scenario, parameters: Parameters, *, naive: bool, consumer: str) -> list[str]:
    """Return the options that every tier's command shares; defaults are left out."""
    fixed = scenario.naive_twin.settings if naive else {}
    words = ["--naive"] * naive
    if consumer:
        words.append(f"--consumer {shlex.quote(consumer)}")
    for item in fields(parameters):
        value = getattr(parameters, item.name)
        if value != getattr(scenario.defaults, item.name) and item.name not in fixed:
            option = item.name.replace("_", "-")
            words.append(f"--{option} {value}" if item.name in COMMON else f"--set {item.name}={value}")
    return words
