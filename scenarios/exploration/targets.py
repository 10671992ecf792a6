"""What can be explored, in words that travel between processes and into files."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scenarios.catalog import all_scenarios
from scenarios.checks.effects import RUN, Effect, HttpEffect, SqlEffect
from scenarios.checks.external_program import command_line, is_program
from scenarios.checks.functions import Handler
from scenarios.checks.program_config import ProgramConfig, patterns_of, read_config
from scenarios.errors import RequestError
from scenarios.lab import QueueInfo
from scenarios.lockstep.clock import why_not
from scenarios.model import Scenario
from scenarios.mutants.catalogue import MUTANTS, Mutant
from scenarios.mutants.workloads import ALL as WORKLOADS
from scenarios.parameters import COMMON, Parameters
from scenarios.runs.plan import check_own_handler, chosen_parameters, consumer_of, producer_of
from scenarios.simulation.lab import Handlers, Programs, consumer_class, producer_class
from scenarios.simulation.run import SimulationPlan, queue_of
from services.consumer.assumptions import Assumption
from services.consumer.consumer import Consumer

#: What a program can be explored in whose side effects are watched: no fault of theirs strikes at a side effect.
WATCHABLE = frozenset({"backlog-drain", "deliveries", "poison"})
#: Scenarios that take a handler in real time alone, each with the reason.
NOT_SIMULATED_WITH_A_HANDLER: Mapping[str, str] = {}
#: What a file must say of a target.
_NEEDED = ("name", "count", "batch_size", "settings", "dropped")
#: Seeds of histories are below this.
SEEDS = 2**48


@dataclass(frozen=True, slots=True)
class Target:
    """A scenario, who consumes in it, and whether things go wrong that it does not ask for.

    Attributes:
        name: of a scenario or of a workload.
        consumer: a consumer in the place of ours, as ``module:Class``, or a program's command line; empty for ours.
        mutant: the name of a mutant in the place of ours; empty for none.
        settings: parameters of the scenario's own that differ from its defaults.
        dropped: the consumer's assumptions that the faults need not keep to.
        startup_timeout: of a program, real seconds until it must have asked for something; None for the usual.
        follows: of a program, the patterns that it declares; None for what the configuration file says.
        handler: a Lambda handler in the place of ours, ``module.function``; empty for ours.
        code: where the handler's code lies.
        function: what its options set of ``FunctionSettings``, by name.
    """

    name: str
    count: int
    batch_size: int
    naive: bool = False
    consumer: str = ""
    mutant: str = ""
    with_faults: bool = True
    settings: tuple[tuple[str, float], ...] = ()
    dropped: tuple[str, ...] = ()
    startup_timeout: float | None = None
    follows: tuple[str, ...] | None = None
    handler: str = ""
    code: str = ""
    function: tuple[tuple[str, Any], ...] = ()

    @property
    def own_handler(self) -> Handler | None:
        """The user's own Lambda handler; None for none."""
        return Handler(self.handler, None, Path(self.code), dict(self.function)) if self.handler else None

    @property
    def is_of_the_users(self) -> bool:
        """Whether the consumer's code asks for what it needs by itself: a program, or a handler."""
        return self.is_program or bool(self.handler)

    @property
    def is_program(self) -> bool:
        """Whether the consumer is a program."""
        return is_program(self.consumer)

    def plan(self, seed: int, command: str = "") -> SimulationPlan:
        """Return the plan of one history."""
        scenario, queue, business_field = find(self.name)
        config = self._config()
        if config is not None:
            visibility, receives = config.suited(queue.visibility_timeout, queue.max_receive_count)
            queue = replace(queue, visibility_timeout=visibility, max_receive_count=receives)
        mutant = find_mutant(self.mutant) if self.mutant else None
        spec = consumer_of(scenario, naive=self.naive, given="" if self.is_program else self.consumer)
        plan = SimulationPlan(
            scenario=scenario,
            parameters=self.parameters(scenario),
            seed=seed,
            consumer=consumer_class(spec),
            producer=producer_class(producer_of(scenario, naive=self.naive)),
            queue=queue,
            business_field=business_field,
            naive=self.naive,
            with_faults=self.with_faults,
            dropped=frozenset(map(Assumption, self.dropped)),
            command=command,
            consumer_name=_class_name(mutant.consumer) if mutant else self.consumer,
            handlers=self._handlers(),
            function=scenario.function_settings(self.own_handler) if self.handler else None,
            handler=self.handler,
            programs=None if config is None else self._programs(config),
        )
        if mutant is None:
            return plan
        return SimulationPlan(
            **{
                **{name: getattr(plan, name) for name in plan.__slots__},
                "consumer": mutant.consumer,
                "producer": mutant.producer,
                "tables": mutant.tables,
            }
        )

    def _config(self) -> ProgramConfig | None:
        """Return what the configuration file says of the program, and the options; None for a consumer of ours."""
        if not self.is_program:
            return None
        config = read_config(Path.cwd())
        return config if self.follows is None else replace(config, follows=patterns_of(self.follows, "follows"))

    def _programs(self, config: ProgramConfig) -> Callable[[], Programs]:
        # They load servers, clients and moto, which no simulation of a class needs.
        from scenarios.local.programs import STARTUP_TIMEOUT  # noqa: PLC0415
        from scenarios.lockstep.crew import ProgramSpec, crew_of  # noqa: PLC0415

        timeout = self.startup_timeout or config.startup_timeout
        return crew_of(ProgramSpec(command_line(self.consumer), timeout or STARTUP_TIMEOUT, config))

    def _handlers(self) -> Callable[[], Handlers] | None:
        handler = self.own_handler
        if handler is None:
            return None
        # They load an AWS SDK, moto and Lambda's own client of its runtime.
        from scenarios.lockstep.invocations import handlers_of  # noqa: PLC0415

        return handlers_of(handler, read_config(Path.cwd()))

    def parameters(self, scenario: Scenario) -> Parameters:
        """Return the scenario's parameters as this target has them."""
        return replace(scenario.defaults, count=self.count, batch_size=self.batch_size, **dict(self.settings))

    def as_json(self) -> dict[str, Any]:
        """Return the target as files hold it."""
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Target:
        """Return the target that a file holds.

        Raises:
            KeyError, TypeError, ValueError: the file lacks a part of it.
        """
        said = {item.name: content[item.name] for item in fields(cls) if item.name in {*content, *_NEEDED}}
        settings = tuple((name, value) for name, value in said["settings"])
        follows = None if said.get("follows") is None else tuple(said["follows"])
        function = tuple((name, _frozen(value)) for name, value in said.get("function", ()))
        rest = {"settings": settings, "dropped": tuple(said["dropped"]), "follows": follows, "function": function}
        return cls(**{**said, **rest})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def make_target(
    name: str,
    *,
    count: int | None = None,
    batch_size: int | None = None,
    settings: Sequence[str] = (),
    handler: Handler | None = None,
    **rest: Any,
) -> Target:
    """Return a target with the scenario's own parameters, or with those that are given.

    Args:
        name: of a scenario or of a workload.
        count: messages to send.
        batch_size: messages that a consumer receives at once.
        settings: parameters of the scenario's own, each as ``key=value``.
        handler: a Lambda handler in the place of our consumer; None for none.
        rest: see :class:`Target`.

    Raises:
        RequestError: there is no such story, a value is out of range, or the consumer is a program.
    """
    scenario, _, _ = find(name)
    consumer = rest.get("consumer", "")
    if is_program(consumer):
        _check_program(consumer, scenario)
    if handler is not None:
        check_simulated(handler, scenario)
        of_function = tuple(sorted((key, _frozen(value)) for key, value in handler.settings.items()))
        rest |= {"handler": handler.handler, "code": str(handler.code.resolve()), "function": of_function}
    chosen = chosen_parameters(scenario, count, batch_size, settings)
    naive = bool(rest.get("naive"))
    parameters = scenario.parameters(chosen, naive=naive)
    given = {**chosen, **(scenario.naive_twin.settings if naive else {})}
    own = tuple(sorted((key, value) for key, value in given.items() if key not in COMMON and value is not None))
    return Target(scenario.name, parameters.count, parameters.batch_size, settings=own, **rest)


def check_simulated(handler: Handler, scenario: Scenario) -> None:
    """Refuse a handler that cannot be called in this process, or with this scenario.

    Raises:
        RequestError: it is no Python function, it is not there, the scenario cannot be judged with it, or a package
            that calling it takes is missing.
    """
    check_own_handler(handler, scenario)
    if handler.runtime not in (None, "python") or "/" in handler.handler:
        raise RequestError(
            f"The simulated tier calls Python handlers, and --handler {handler.handler} is none; `--tier local`, "
            "`invoke suite` and `invoke sweep` run it."
        )
    missing = [name for name in ("awslambdaric", "greenlet", "time_machine") if find_spec(name) is None]
    if missing:
        raise RequestError(
            f"A handler in the simulated tier needs {', '.join(missing)}: pip install 'queue-fundamentals[lambda]'."
        )
    if scenario.name in NOT_SIMULATED_WITH_A_HANDLER:
        raise RequestError(f"{scenario.name} {NOT_SIMULATED_WITH_A_HANDLER[scenario.name]}; leave out --tier sim.")


def _check_program(consumer: str, scenario: Scenario) -> None:
    """Refuse a program that cannot be explored here, or with this scenario.

    Raises:
        RequestError: it is not there, this machine cannot hold its clock, or the scenario cannot be judged with one.
    """
    command_line(consumer)
    _check_effect(read_config(Path.cwd()).effect, scenario)
    if reason := why_not():
        raise RequestError(
            f"`invoke explore` cannot explore a program here: {reason}. `invoke sweep` and `invoke suite` can."
        )
    if not scenario.any_program:
        able = [name for name, each in all_scenarios().items() if each.any_program]
        able += [workload.scenario.name for workload in WORKLOADS if workload.scenario.any_program]
        raise RequestError(
            f"What {scenario.name} is about cannot be explored with a program, so --consumer takes a class for it; "
            f"a program can be explored in: {', '.join(able)}."
        )


def _check_effect(effect: Effect | None, scenario: Scenario) -> None:
    """Refuse a side effect that cannot be watched in virtual time, or not in this scenario.

    Raises:
        RequestError: as said.
    """
    if effect is None or isinstance(effect, HttpEffect):
        return
    if effect.is_shared:
        raise RequestError(
            f"`invoke explore` repeats the keys of its messages in each history, and all histories would share "
            f"{effect.words}; give each its own by {RUN} in [effect] and in the program's configuration."
        )
    if isinstance(effect, SqlEffect) and not effect.url.startswith("sqlite"):
        raise RequestError(
            "`invoke explore` reads rows of SQLite alone: a database server is a process that it cannot hold still. "
            "`invoke sweep` and `invoke suite` take other databases."
        )
    if scenario.name not in WATCHABLE:
        raise RequestError(
            f"{scenario.name} strikes at the side effect itself, and `invoke explore` only watches {effect.words}; "
            f"with such an effect a program can be explored in: {', '.join(sorted(WATCHABLE))}."
        )


@cache
def find(name: str) -> tuple[Scenario, QueueInfo, str]:
    """Return a scenario or a workload, its queue, and the payload field of its business key.

    Raises:
        RequestError: there is neither of that name; the sentence names the nearest.
    """
    scenarios = all_scenarios()
    if name in scenarios:
        return scenarios[name], queue_of(scenarios[name]), ""
    for workload in WORKLOADS:
        if workload.scenario.name == name:
            return workload.scenario, workload.queue, workload.business_field
    known = (*scenarios, *(workload.scenario.name for workload in WORKLOADS))
    raise RequestError(f"There is nothing to explore by the name {name!r}; {_hint(name, known)}")


def find_mutant(name: str) -> Mutant:
    """Return a mutant by its name.

    Raises:
        RequestError: there is none of that name.
    """
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise RequestError(f"There is no mutant {name!r}; {_hint(name, [mutant.name for mutant in MUTANTS])}")


def history_seed(campaign: int, index: int) -> int:
    """Return the seed of a campaign's history, which is no other campaign's."""
    digest = hashlib.blake2b(f"{campaign}/{index}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")


def _class_name(kind: type[Consumer]) -> str:
    """Return a class as ``module:Class``: by any other name it would be taken for a program."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _hint(name: str, known: Any) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(known)}."
