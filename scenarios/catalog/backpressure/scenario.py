"""Backpressure: a producer outruns the consumers, and there are more of them for as long as it takes.

A producer sends almost one message a second, and each takes four seconds of work: one consumer can do a quarter of it.
The lab looks once a second at the backlog and how old the oldest message is, and an autoscaler decides. There
are more consumers until they keep up; then their number rests while the producer goes on. When it has ended and
nothing is left to do, one consumer after the other is asked to end, down to the one that there was in the beginning.

The naive twin has one consumer, whatever happens. Nothing is lost; but the queue is no place to wait in, and the oldest
message is older with each one that comes.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.backpressure.autoscaler import Autoscaler, Decision, Policy
from scenarios.catalog.backpressure.checks import OUTRUN, SCALED_IN, STEADY_STATE, steady, younger_than
from scenarios.checks.invariants import STANDARD
from scenarios.history import History
from scenarios.history.backlog import load_at
from scenarios.history.events import SCALED
from scenarios.lab import ConsumerHandle, Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter

#: Seconds that a message may be in the queue at most.
OLDEST = 90.0
#: Seconds between two looks.
EVERY = 1.0
POLICY = Policy()


@dataclass(frozen=True, slots=True)
class BackpressureParameters(Parameters):
    """What a user may change.

    Attributes:
        rate: messages a second.
        work: seconds of work for each message.
        most: consumers at most.
    """

    rate: float = parameter(0.8, "messages a second", min=0.5, max=2)
    work: float = parameter(4.0, "seconds of work for each message", min=1, max=8)
    most: int = parameter(POLICY.most, "consumers at most", min=1, max=16)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = BackpressureParameters.of(lab)
    worker = Crew(lab, parameters)
    worker.begin()
    producer = lab.start_producer(rate=parameters.rate)

    def look(history: History, moment: float) -> bool:
        """Scale; it is enough when all is done and every added consumer has gone."""
        worker.scale(history, moment)
        return has_ended(producer)(history) and not history.unsettled and worker.is_small

    lasts = parameters.count / parameters.rate + 2 * parameters.count * parameters.work
    lab.watch(look, every=EVERY, deadline=120 + lasts, what="the flood to come and go")
    lab.stop()


class Crew:
    """The consumers of a lab, as many as an autoscaler wants; the last to come is the first to go."""

    def __init__(self, lab: Lab, parameters: BackpressureParameters) -> None:
        self._lab = lab
        self._parameters = parameters
        self._autoscaler = Autoscaler(Policy(most=parameters.most))
        self._consumers: list[ConsumerHandle] = []

    @property
    def is_small(self) -> bool:
        """Whether there are no more than in the beginning."""
        return len(self._consumers) == self._autoscaler.policy.least

    def begin(self) -> None:
        """Start the consumers that there always are."""
        self._become(Decision(self._autoscaler.consumers, "the beginning"))

    def scale(self, history: History, moment: float) -> None:
        """Do what the autoscaler decides."""
        load = load_at(history, moment)
        decision = self._autoscaler.decide(load, moment)
        if decision is not None:
            self._become(decision, messages=load.messages, oldest=round(load.oldest, 1))

    def _become(self, decision: Decision, **seen: float) -> None:
        self._lab.note(SCALED, consumers=decision.consumers, why=decision.why, **seen)
        while len(self._consumers) < decision.consumers:
            self._consumers.append(
                self._lab.start_consumer(
                    max_messages=self._parameters.batch_size, side_effect_delay_seconds=self._parameters.work
                )
            )
        leaving = self._consumers[decision.consumers :]
        if leaving:
            del self._consumers[decision.consumers :]
            self._lab.stop(*leaving)


SCENARIO = Scenario(
    name="backpressure",
    summary="a producer outruns its consumers; more start until they keep up, and fewer run when it is quiet",
    theme="Load",
    pattern="scale on backlog per consumer and on age",
    pace="slow",
    seconds=9,
    run=run,
    invariants=(*STANDARD, younger_than(OLDEST), steady(POLICY.calm)),
    witnesses=(OUTRUN, STEADY_STATE, SCALED_IN),
    naive_twin=NaiveTwin(
        consumer="",
        without="more consumers for a larger backlog",
        violation="too-old",
        settings={"most": 1},
    ),
    defaults=BackpressureParameters(count=45, batch_size=1),
    least=Parameters(count=40, batch_size=1),
    # No duplicates of the queue's own: they would be work that no producer sent.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    speed=10.0,
    delay_budget=60.0,
)
