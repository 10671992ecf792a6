"""A state machine for a consumer: Hypothesis sends, starts, strikes, waits and stops in any order it likes.

    from scenarios.strategies import ConsumerMachine

    class CarefulMachine(ConsumerMachine):
        consumer = Careful

    TestCareful = CarefulMachine.TestCase

A scenario tells one story; the machine tells any. After each rule no side effect may have been done twice. In the end
the queue is drained and the whole history is judged. A failing example is shrunk to the fewest rules that fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scenarios.errors import DeadlineMissed
from scenarios.lab import ConsumerHandle, QueueInfo
from scenarios.model import DeliveryRates
from scenarios.mutants.workloads import GROUPS, ORDERS
from scenarios.parameters import Parameters
from scenarios.report.counterexample import format_counterexample
from scenarios.simulation.choices import LARGEST_BOUND, ReplayedChoices
from scenarios.simulation.lab import SimulatedLab, Staging
from scenarios.simulation.random_faults import RandomFault, Role
from scenarios.simulation.run import TIER
from scenarios.simulation.world import names_for
from scenarios.strategies.simulated import random_faults
from scenarios.verdict import Conditions, Outcome, judge
from services.consumer.consumer import Consumer

#: Consumers that run at the same time, and consumers that are asked to end, at most.
MOST_CONSUMERS, MOST_ENDS = 3, 2
#: Receives after which a message is dead-lettered: room for the faults of several consumers.
RECEIVES = 12
#: Seconds in which the queue is drained at the end.
DRAINED_WITHIN = 600.0
#: A choice that Hypothesis does not draw is the tamest one.
MOST_CHOICES = 200


class ConsumerMachine(RuleBasedStateMachine):
    """The rules. Subclass it, name your consumer, and collect its ``TestCase``.

    Attributes:
        consumer: the class under test.
        settings: its options, as for ``lab.start_consumer``.
        queue: what the queue is like; by default a standard queue with a visibility timeout of 2 s.
        delivery: how a standard queue delivers.
        business_field: the payload field by which a side effect is known; empty for the producer's own id.
    """

    consumer: ClassVar[type[Consumer]] = Consumer
    settings: ClassVar[dict[str, Any]] = {}
    queue: ClassVar[QueueInfo] = QueueInfo(visibility_timeout=2, max_receive_count=RECEIVES, fifo=False)
    delivery: ClassVar[DeliveryRates] = DeliveryRates(reorder=0.2, underfill=0.2)
    business_field: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._faults: Sequence[RandomFault] = ()
        self._running: list[ConsumerHandle] = []
        self._ends = 0
        self._lab: SimulatedLab | None = None

    # --- the rules ---------------------------------------------------------------------------------------------------

    @initialize(numbers=st.lists(st.integers(0, LARGEST_BOUND - 1), max_size=MOST_CHOICES))
    def begin(self, numbers: list[int]) -> None:
        """Begin a run: an empty queue, and a source of choices for latencies and deliveries."""
        queue = self.queue
        name = type(self).__name__
        staging = Staging(
            scenario=name,
            parameters=Parameters(1, 1),
            seed=0,
            naive=False,
            queue=queue,
            names=names_for(name, fifo=queue.fifo),
            consumer=self.consumer,
            delivery=self.delivery,
            random_faults=self,
            business_field=self.business_field,
            gives_back=True,
            assumes=self.consumer.assumes,
        )
        self._lab = SimulatedLab(staging, ReplayedChoices(numbers))
        self._lab.open()

    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        """Send messages, with nothing going wrong at the producer."""
        self.lab.produce(count=count)

    @precondition(lambda self: len(self._running) < MOST_CONSUMERS)
    @rule(faults=st.lists(random_faults(), max_size=3), batch=st.integers(1, 10))
    def start_consumer(self, faults: list[RandomFault], batch: int) -> None:
        """Start a consumer that meets these faults, as far as its pattern's limits allow."""
        self._faults = sorted(faults, key=lambda fault: fault.at)
        self._running.append(self.lab.start_consumer(**{"max_messages": batch, **self.settings}))

    @rule(tenths=st.integers(1, 50))
    def wait(self, tenths: int) -> None:
        """Let time pass, in tenths of a second."""
        self.lab.pass_time(tenths / 10)

    @precondition(lambda self: self._running and self._ends < MOST_ENDS)
    @rule(which=st.integers(0, MOST_CONSUMERS - 1))
    def ask_to_end(self, which: int) -> None:
        """Ask a consumer to end, and wait until it has."""
        self._ends += 1
        ending = self._running.pop(which % len(self._running))
        self.lab.ask_to_end(ending)
        self.lab.stop(ending)

    # --- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_done_twice(self) -> None:
        """Look into the ledger after each rule."""
        if self._lab is not None:
            twice = {key: count for key, count in self._lab.world.tables.executions.items() if count > 1}
            if twice:
                raise AssertionError(f"done more than once: {twice}\n{self._judged('')[0]}")

    def teardown(self) -> None:
        """Drain the queue with a consumer that meets no faults, and judge the history."""
        if self._lab is None:
            return
        if not self._running:
            self._faults = ()
            self._running.append(self._lab.start_consumer(**{"max_messages": 10, **self.settings}))
        missed = ""
        try:
            self._lab.settle(deadline=DRAINED_WITHIN)
        except DeadlineMissed as error:
            missed = str(error)
        text, failed = self._judged(missed)
        if failed:
            raise AssertionError(text)

    # --- helpers -----------------------------------------------------------------------------------------------------

    @property
    def lab(self) -> SimulatedLab:
        """The lab of this run."""
        assert self._lab is not None  # noqa: S101 - no rule comes before ``begin``
        return self._lab

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - the rule that started it has drawn them
        """See :class:`scenarios.simulation.lab.RandomFaults`."""
        faults, self._faults = self._faults, ()
        return faults if role == "consumer" else ()

    def _judged(self, missed: str) -> tuple[str, bool]:
        """Return the story of the run, and whether it violates anything."""
        history = self.lab.finish()
        workload = GROUPS if self.queue.fifo else ORDERS
        scenario = replace(workload.scenario, name=type(self).__name__)
        conditions = Conditions(seed=0, parameters=Parameters(1, 1), tier=TIER, missed=missed)
        verdict = judge(scenario, history, conditions)
        return "\n".join(format_counterexample(verdict, history)), verdict.outcome is Outcome.FAIL
