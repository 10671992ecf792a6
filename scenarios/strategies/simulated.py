"""Hypothesis strategies for message mixes, fault schedules and whole simulations: for our tests, and for yours.

    from hypothesis import given
    from scenarios.strategies import simulations

    @given(simulations("crash", consumer=MyConsumer))
    def test_my_consumer_survives_crashes(simulation):
        assert not any(simulation.verdict.violations.values()), simulation.counterexample()

Hypothesis draws every choice of the simulation, so a failing example is shrunk to the simplest story that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.errors import InvalidArgument

from scenarios.checks.json_schema import bodies
from scenarios.exploration.targets import find
from scenarios.simulation.choices import Choices, DrawnChoices
from scenarios.simulation.lab import RandomFaults, consumer_class, producer_class
from scenarios.simulation.message_mixes import MessageMix, draw_messages
from scenarios.simulation.random_faults import (
    CONSUMER_KINDS,
    PRODUCER_KINDS,
    SIZES,
    Kind,
    RandomFault,
    Role,
    draw_random_faults,
)
from scenarios.simulation.run import Simulation, SimulationPlan, simulate
from scenarios.simulation.tactics import PRODUCER_SPREAD
from services.consumer.consumer import Consumer
from services.faults import FAULTABLE, Fault
from services.operations import OutgoingMessage

__all__ = [
    "FaultSchedule",
    "bodies",
    "choices",
    "fault_schedules",
    "message_mixes",
    "messages",
    "random_faults",
    "simulations",
    "story_faults",
]

#: Operations of a producer alone, and those with which a consumer begins.
_NO_WORK = frozenset(
    {"AppendToLog", "CheckTables", "CommitChange", "DescribeQueue", "MarkSent", "Purge", "ReadOutbox", "Send"}
)
#: Operations of a consumer that a scenario's fault can name, beyond those with which it begins.
CONSUMER_OPERATIONS = tuple(sorted(set(FAULTABLE) - _NO_WORK))


@st.composite
def choices(draw: st.DrawFn) -> Choices:
    """Return a source of choices that Hypothesis drives and shrinks."""
    return DrawnChoices(lambda bound: draw(st.integers(0, bound - 1)))


@st.composite
def message_mixes(draw: st.DrawFn, *, fifo: bool = False, business_field: str = "") -> MessageMix:
    """Return which messages there may be; groups for a FIFO queue, shared and odd keys where keys have a field."""
    percent = st.integers(0, 50)
    return MessageMix(
        poison=draw(percent),
        malformed=draw(percent),
        repeated=draw(percent),
        shared_key=draw(percent) if business_field else 0,
        odd_key=draw(percent) if business_field else 0,
        no_key=draw(percent) if business_field else 0,
        business_field=business_field,
        groups=draw(st.integers(1, 4)) if fifo else 0,
    )


@st.composite
def messages(
    draw: st.DrawFn, mix: MessageMix | None = None, *, min_count: int = 1, max_count: int = 10
) -> tuple[OutgoingMessage, ...]:
    """Return messages of a mix; without one, of any mix for a standard queue."""
    chosen = draw(message_mixes()) if mix is None else mix
    return draw_messages(draw(choices()), chosen, draw(st.integers(min_count, max_count)))


def random_faults(kinds: Sequence[Kind] = CONSUMER_KINDS, *, last: int = 30) -> st.SearchStrategy[RandomFault]:
    """Return one random fault of a process, at one of its first ``last`` operations."""
    return st.builds(RandomFault, st.sampled_from(tuple(kinds)), st.integers(1, last), st.integers(0, SIZES - 1))


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """What goes wrong beyond a scenario, process by process.

    Attributes:
        producer: with each producer.
        consumers: with the consumers, in the order in which they start; nothing with any further one.
    """

    producer: tuple[RandomFault, ...] = ()
    consumers: tuple[tuple[RandomFault, ...], ...] = ()

    def begin(self) -> RandomFaults:
        """Return what one simulation asks."""
        return _Schedule(self)


class _Schedule:
    def __init__(self, schedule: FaultSchedule) -> None:
        self._producer = schedule.producer
        self._consumers = iter(schedule.consumers)

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - their order alone counts
        return next(self._consumers, ()) if role == "consumer" else self._producer


@st.composite
def fault_schedules(draw: st.DrawFn, *, max_consumers: int = 5, spread: int = 12) -> FaultSchedule:
    """Return a schedule; each random fault of it strikes where the budget allows (see docs/simulation.md)."""
    source = draw(choices())
    return FaultSchedule(
        draw_random_faults(source, PRODUCER_KINDS, PRODUCER_SPREAD),
        tuple(draw_random_faults(source, CONSUMER_KINDS, spread) for _ in range(draw(st.integers(0, max_consumers)))),
    )


def story_faults(*, max_seconds: float = 1.0) -> st.SearchStrategy[Fault]:
    """Return a fault that a scenario can ask for in every tier: a crash, an error or a delay."""
    operation, nth = st.sampled_from(CONSUMER_OPERATIONS), st.integers(1, 4)
    return st.one_of(
        st.builds(lambda at, n: Fault("error", at, nth=n), operation, nth),
        st.builds(
            lambda at, n, seconds: Fault("delay", at, nth=n, seconds=seconds),
            operation,
            nth,
            st.floats(0.001, max_seconds).map(lambda seconds: round(seconds, 3)),
        ),
        st.builds(
            lambda at, n, point: Fault("crash", at, point, n), operation, nth, st.sampled_from(("before", "after"))
        ),
    )


@st.composite
def simulations(
    draw: st.DrawFn,
    name: str,
    *,
    consumer: type[Consumer] | None = None,
    count: int | None = None,
    batch_size: int | None = None,
    with_faults: bool = True,
) -> Simulation:
    """Return judged simulations of a scenario, or of a workload of the simulation.

    Args:
        draw: Hypothesis's own.
        name: of the scenario or workload.
        consumer: the class of the consumers; by default the one that has the pattern under study.
        count: messages; by default drawn, from the fewest with which the scenario can be told up to its own number.
        batch_size: messages that a consumer receives at once; the scenario's own by default.
        with_faults: whether things go wrong that the scenario does not ask for.
    """
    scenario, queue, business_field = find(name)
    if count is None:
        count = draw(st.integers(scenario.least.count, max(scenario.least.count, scenario.defaults.count)))
    plan = SimulationPlan(
        scenario=scenario,
        parameters=scenario.parameters({"count": count, "batch_size": batch_size}),
        seed=0,
        consumer=consumer or consumer_class(scenario.consumer),
        producer=producer_class(scenario.producer),
        queue=queue,
        business_field=business_field,
        with_faults=with_faults,
    )
    simulation = simulate(replace(plan, seed=draw(st.integers(0, 99))), draw(choices()))
    _aim_for_trouble(simulation)
    return simulation


def _aim_for_trouble(simulation: Simulation) -> None:
    """Have Hypothesis look for histories with many faults and redeliveries."""
    history = simulation.history
    redelivered = sum(delivery.receive_count > 1 for delivery in history.deliveries)
    with suppress(InvalidArgument):  # drawn outside of a test, as by ``example()``
        target(float(len(history.faults)), label="faults")
        target(float(redelivered), label="redeliveries")
