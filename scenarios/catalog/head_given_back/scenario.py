"""A failed head is given back at once: another consumer takes it while the rest of its group is in flight.

Each message group holds two messages, and one receive brings several groups whole. The side effect of the first
message, the head of its group, fails. The consumer gives it back with visibility timeout 0, so that the retry need not
wait. A second consumer receives it meanwhile: a message in flight blocks its group only behind it.

    first    receives a b  c d     a fails and is given back     c takes long, d     b is given back
    second                              receives a, does a                           receives b, does b

The pattern stops the group of the failed head, so b is not begun until a is done. The naive twin goes on with b, and b
is done before a.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.head_given_back.checks import HEAD_TAKEN_OVER
from scenarios.checks.invariants import FIFO
from scenarios.checks.witnesses import FAILED_IN_A_GROUP
from scenarios.lab import Lab, struck
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: Messages of each group: a head, and one behind it.
GROUP_SIZE = 2


@dataclass(frozen=True, slots=True)
class HeadParameters(Parameters):
    """What a user may change.

    Attributes:
        work: seconds that one message of another group takes, so that the first consumer holds its batch meanwhile.
    """

    work: float = parameter(1.5, "seconds that one message of another group takes", min=0.5, max=5)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = HeadParameters.of(lab)
    sent = lab.produce(groups=parameters.count // GROUP_SIZE)
    head, other = sent[0], sent[1]
    unavailable = Fault("error", "PerformSideEffect", where={"key": head.key})
    long_work = Fault("delay", "PerformSideEffect", where={"key": other.key}, seconds=parameters.work)
    first = lab.start_consumer("first", faults=[unavailable, long_work], max_messages=parameters.batch_size)
    lab.wait_for(struck(first), deadline=20, what="the head's side effect to fail")
    second = lab.start_consumer("second", max_messages=parameters.batch_size)
    lab.settle(deadline=40 + parameters.work + 0.1 * parameters.count)
    lab.stop(first, second)


SCENARIO = Scenario(
    name="head-given-back",
    summary="a consumer returns the failed head of a group at once; another takes it, and the group waits for it",
    theme="Order",
    pattern="stop the group whose head is given back",
    pace="fast",
    seconds=3,
    run=run,
    invariants=FIFO,
    witnesses=(
        FAILED_IN_A_GROUP,
        HEAD_TAKEN_OVER,
    ),
    consumer="services.consumer.give_back:GiveBackConsumer",
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.head_given_back.naive:GoesOnBehindTheHead",
        without="stopping the group whose head is given back",
        violation="order-violated",
    ),
    defaults=HeadParameters(count=10, batch_size=10),
    # The head's group whole, and another group that keeps the first consumer at work meanwhile.
    least=Parameters(count=4, batch_size=4),
)
