"""Noisy neighbour: one tenant floods the queue, and the others do not wait behind its backlog.

Many customers share one queue. One of them sends 120 messages at once; five consumers have their hands full of
them, and most still wait. Now two others send three messages each. On a standard queue a MessageGroupId gives no order:
it names the tenant, and makes the queue a fair one. A tenant with many messages in flight waits for those with few.
The quiet tenants' messages are the next to be received, and the flood goes on after them.

The naive twin's producer names no tenant. All wait in one line, and the last message stands at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.catalog.noisy_neighbour.checks import LONG_LINE_SEEN, OVERTOOK, TENANT, TENANT_STARVED
from scenarios.checks.invariants import STANDARD
from scenarios.history import History
from scenarios.lab import Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter

NOISY = "noisy"
QUIET = ("quiet-1", "quiet-2")
#: Messages of each quiet tenant.
A_FEW = 3
#: How much slower each of five consumers is than the first. While one receives, the others must have many of the noisy
#: tenant's messages in hand; far from the queue, equal ones would receive in step, each when all hands are empty.
SLOWER = (1.0, 1.1, 1.2, 1.3, 1.4)


@dataclass(frozen=True, slots=True)
class NeighbourParameters(Parameters):
    """What a user may change.

    Attributes:
        work: seconds of work for each message.
    """

    work: float = parameter(0.05, "seconds of work for each message", min=0.02, max=1)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = NeighbourParameters.of(lab)
    lab.produce(fields={TENANT: NOISY}, group_by=TENANT)
    consumers = [
        lab.start_consumer(max_messages=parameters.batch_size, side_effect_delay_seconds=parameters.work * slower)
        for slower in SLOWER
    ]
    lab.wait_for(_received(3 * parameters.batch_size), deadline=30, what="the consumers to have their hands full")

    producers = [lab.start_producer(tenant, count=A_FEW, fields={TENANT: tenant}, group_by=TENANT) for tenant in QUIET]
    lab.wait_for(has_ended(*producers), deadline=30, what="the quiet tenants to send")
    lab.settle(deadline=60 + parameters.work * parameters.count)
    lab.stop(*consumers)


def _received(messages: int) -> Callable[[History], bool]:
    """Return the condition that so many messages were received."""
    return lambda history: len(history.deliveries_of) >= messages


SCENARIO = Scenario(
    name="noisy-neighbour",
    summary="one tenant floods the queue; the other tenants' messages are received before its backlog",
    theme="Load",
    pattern="fair queue by MessageGroupId",
    judged_on="embedded endpoint or AWS",
    needs="serves the tenants of a standard queue fairly",
    pace="fast",
    run=run,
    invariants=(*STANDARD, TENANT_STARVED),
    witnesses=(LONG_LINE_SEEN, OVERTOOK),
    naive_twin=NaiveTwin(
        consumer="",
        without="a MessageGroupId that names the tenant",
        violation="tenant-starved",
        producer="scenarios.catalog.noisy_neighbour.naive:WithoutTenant",
    ),
    defaults=NeighbourParameters(count=120, batch_size=10),
    # SQS takes a tenant for noisy from thirty messages in flight on, and the others must wait behind a line of its own.
    least=Parameters(count=100, batch_size=8),
    # No duplicates of the queue's own: a second delivery stands in no line.
    delivery=DeliveryRates(duplicate=0.0),
)
