"""One simulation, from a plan and a source of choices to a judged history: pure, and quick."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from typing import Final, get_args

from infra.config import ProgramConfig
from infra.topology import topology_of
from scenarios.checks.functions import FunctionSettings
from scenarios.errors import BrokenProgramError, DeadlineMissed, ScenarioError, Terminated
from scenarios.history import History
from scenarios.lab import QueueInfo
from scenarios.model import DeliveryRates, Scenario
from scenarios.parameters import Parameters
from scenarios.report.counterexample import format_counterexample
from scenarios.simulation.choices import Choices, SeededChoices
from scenarios.simulation.collector import no_collection
from scenarios.simulation.lab import (
    NOTHING,
    Cut,
    Handlers,
    NoFaults,
    Programs,
    RandomFaults,
    SimulatedLab,
    Staging,
)
from scenarios.simulation.random_faults import Kind, Role, kinds_of
from scenarios.simulation.tables import TableModel
from scenarios.simulation.tactics import ROTATION, Tactic, tactical_faults
from scenarios.simulation.world import names_for
from scenarios.verdict import Conditions, Verdict, judge
from services.consumer.assumptions import Assumption
from services.consumer.consumer import Consumer
from services.operations import PutItem
from services.producer.producer import Producer

TIER = "sim"

#: How a standard queue delivers in a with_faults run, besides as its scenario says; its duplicates stay the scenario's.
CHAOTIC = DeliveryRates(reorder=0.3, underfill=0.3)
#: How often, in percent, an answer that may be stale is stale in such a run: a read that is not consistent, the counts.
STALENESS = 25


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """What to simulate.

    Attributes:
        consumer: the class of the consumers.
        producer: the class of the producers.
        tables: the status table and the ledger.
        queue: what the queue is like, where the scenario has none in the topology.
        business_field: the payload field by which a side effect is known, empty for the message's own id.
        with_faults: whether things go wrong that no scenario asks for.
        tactics: how they may be chosen; each history draws one.
        dropped: the consumer's assumptions that the random faults need not keep to.
        command: the command that does the same again.
        programs: makes the consumers of one history, where they are programs; None for ``consumer``.
        handlers: makes the functions of one history, where their handler is a user's own; None for ``consumer``.
        function: how the consumers are set up as functions; None for consumers that poll.
        handler: the user's own handler, as its option has it; empty for none.
    """

    scenario: Scenario
    parameters: Parameters
    seed: int
    consumer: type[Consumer] = Consumer
    producer: type[Producer] = Producer
    tables: type[TableModel] = TableModel
    queue: QueueInfo | None = None
    business_field: str = ""
    naive: bool = False
    with_faults: bool = False
    tactics: tuple[Tactic, ...] = ROTATION
    dropped: frozenset[Assumption] = frozenset()
    command: str = ""
    consumer_name: str = ""
    programs: Callable[[], Programs] | None = None
    handlers: Callable[[], Handlers] | None = None
    function: FunctionSettings | None = None
    handler: str = ""

    @property
    def assumes(self) -> frozenset[Assumption]:
        """What random faults keep to."""
        return self.consumer.assumes - self.dropped

    @property
    def queue_info(self) -> QueueInfo:
        """What the queue is like."""
        return self.queue or queue_of(self.scenario)

    def kinds_of(self, role: Role) -> tuple[Kind, ...]:
        """Return the kinds of random fault that a process of a role can meet."""
        return kinds_of(role, self.assumes, fifo=self.queue_info.fifo, dropped=self.dropped)


@dataclass(frozen=True, slots=True, repr=False)
class Simulation:
    """What came of it.

    Attributes:
        logs: of consumers that are programs, the last lines that they printed, by process.
    """

    verdict: Verdict
    history: History
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return a line: a failing test prints it, and the history has thousands."""
        conditions = self.verdict.conditions
        named = f"{self.verdict.scenario.name}, {conditions.parameters.count} messages, seed {conditions.seed}"
        faults = len(self.history.faults)
        return f"<Simulation of {named}: {self.verdict.outcome}, {faults} faults, {len(self.history.records)} records>"

    def counterexample(self) -> str:
        """Return the history as a person reads it, with what it violates."""
        return "\n".join(format_counterexample(self.verdict, self.history))


def simulate(
    plan: SimulationPlan, choices: Choices, random_faults: RandomFaults | None = None, cut: Cut = NOTHING
) -> Simulation:
    """Tell a scenario's story once, and judge it.

    Args:
        plan: what to simulate.
        choices: decide everything that the plan does not.
        random_faults: what goes wrong beyond the scenario, in the place of what a with_faults plan draws.
        cut: what is left out of the scenario.

    Raises:
        LabError: a process ended although nothing had struck it.
    """
    if plan.programs is not None or plan.handlers is not None:
        return _simulate(plan, choices, random_faults, cut)
    with no_collection():
        return _simulate(plan, choices, random_faults, cut)


def _simulate(plan: SimulationPlan, choices: Choices, random_faults: RandomFaults | None, cut: Cut) -> Simulation:
    scenario = plan.scenario
    if random_faults is None:
        random_faults = draw_faults(plan, choices) if plan.with_faults else NoFaults()
    delivery = scenario.delivery
    if plan.with_faults and choices.below(2):
        delivery = replace(delivery, reorder=CHAOTIC.reorder, underfill=CHAOTIC.underfill)
    queue = plan.queue_info
    programs = plan.programs() if plan.programs is not None else None
    handlers = plan.handlers() if plan.handlers is not None else None
    function = plan.function
    if function is None and scenario.function is not None:
        function = scenario.function_settings(naive=plan.naive)
    lab = SimulatedLab(
        Staging(
            scenario=scenario.name,
            parameters=plan.parameters,
            seed=plan.seed,
            naive=plan.naive,
            queue=queue,
            names=names_for(scenario.name, fifo=queue.fifo),
            consumer=plan.consumer,
            delivery=delivery,
            random_faults=random_faults,
            producer=plan.producer,
            tables=plan.tables,
            business_field=plan.business_field,
            purge_seconds=scenario.purge_seconds,
            delay_budget=scenario.delay_budget,
            gives_back=scenario.gives_back,
            assumes=plan.assumes,
            staleness=STALENESS if plan.with_faults else 0,
            cut=cut,
            function=function,
            programs=programs,
            handlers=handlers,
            leases_items=plan.with_faults and programs is None and handlers is None and leases_items(plan),
        ),
        choices,
    )
    lab.open()
    missed = ""
    try:
        # What a consumer prints must not be taken for our own output.
        with redirect_stdout(sys.stderr):
            try:
                scenario.run(lab)
            except DeadlineMissed as error:
                missed = str(error)
            history = lab.finish()
    except Terminated:
        raise
    except SystemExit:
        raise BrokenProgramError(
            f"{plan.consumer.__module__}:{plan.consumer.__qualname__} has called sys.exit, which would end the "
            "simulation; a consumer ends by returning."
        ) from None
    finally:
        for own in (programs, handlers):
            if own is not None:
                own.close()
        lab.close()
    conditions = Conditions(
        seed=plan.seed,
        parameters=plan.parameters,
        tier=TIER,
        naive=plan.naive,
        consumer=plan.consumer_name,
        missed=missed,
        command=plan.command,
        function=handlers is not None,
        handler=plan.handler,
    )
    return Simulation(judge(scenario, history, conditions), history, {} if programs is None else programs.logs)


def leases_items(plan: SimulationPlan) -> bool:
    """Return whether a consumer writes items with a condition, which may be leases, by a rehearsal without faults.

    What strikes before the first of them must leave time for it as well. Who lives with long pauses is spared nothing.
    """
    if Assumption.SHORT_PAUSES not in plan.assumes:
        return False
    known = (plan.consumer, plan.scenario.name)
    if known not in _LEASES_ITEMS:
        _LEASES_ITEMS[known] = False
        with suppress(ScenarioError):
            rehearsed = simulate(replace(plan, with_faults=False, seed=0), SeededChoices(0))
            writes = rehearsed.history.calls("PutItem")
            _LEASES_ITEMS[known] = any(PutItem(**call.arguments).is_conditional for call in writes)
    return _LEASES_ITEMS[known]


#: What is known of the consumers in this process, by class and scenario.
_LEASES_ITEMS: Final[dict[tuple[type[Consumer], str], bool]] = {}


def draw_faults(plan: SimulationPlan, choices: Choices) -> RandomFaults:
    """Return what goes wrong beyond the story, by a tactic that the choices draw."""
    tactic = choices.pick(plan.tactics)
    kinds = {role: plan.kinds_of(role) for role in get_args(Role)}
    return tactical_faults(tactic, choices, plan.parameters.count, kinds)


def queue_of(scenario: Scenario) -> QueueInfo:
    """Return what the queue of a scenario is like, by the same topology and the same defaults as in the other tiers."""
    defaults = ProgramConfig()
    entry = topology_of(scenario.name)
    return QueueInfo(defaults.visibility_timeout(entry), defaults.receive_count(entry), entry.fifo)
