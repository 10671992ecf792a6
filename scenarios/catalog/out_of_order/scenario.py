"""Out of order: an older update comes after a newer one, and the newer one stays.

Every message updates one of a few entities and says which version it makes. A standard queue delivers in any order, to
two consumers at once; and a retry is late on any queue: the first write of version 1 of one entity fails, so that
message comes again when its visibility timeout is over, and its successors have been written. The consumer writes on
one condition: that the version is newer than the one that is there. The store looks and writes in one step, so no
consumer comes between. What comes too late is superseded, and is deleted like what was written. At the end each entity
is what its highest version made it.

    consumer-1    version 3 ─────────────────▶ takes
    consumer-2        version 2 ─────────────────▶ version 3 is there: superseded

The naive twin writes whatever comes. The last delivery wins, and it is version 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.out_of_order.checks import OVERTAKEN, RACED, STALE_STATE, SUPERSEDED, UPDATE_DROPPED
from scenarios.checks.invariants import ENDPOINT_MISMATCH, IN_FLIGHT_AT_THE_END, WRONGLY_DEAD_LETTERED
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: Seconds that each write takes.
MOMENT = 0.05
#: The part of a visibility timeout that the slow consumer's first write of each of these versions takes.
SLOW = 0.8
OVERTAKEN_WRITES = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class UpdateParameters(Parameters):
    """What a user may change.

    Attributes:
        entities: how many entities the messages update in turn.
    """

    entities: int = parameter(3, "entities that the messages update in turn", min=1, max=3)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = UpdateParameters.of(lab)
    # Each write takes a moment, so that two consumers write one entity at once.
    takes_a_moment = Fault("delay", "WriteState", nth=0, seconds=MOMENT)
    # Whichever consumer gets it first. Any other message is written by the time that this one is visible again.
    fails_once = Fault("error", "WriteState", where={"entity": "e0", "version": 1})
    # One consumer's writes take so long that the other writes newer versions meanwhile: what it read before holds no
    # more, and only a condition in the write itself keeps it from going back.
    slow = SLOW * lab.queue.visibility_timeout
    overtaken = [Fault("delay", "WriteState", where={"version": version}, seconds=slow) for version in OVERTAKEN_WRITES]
    faults = [takes_a_moment, fails_once]
    consumers = [
        lab.start_consumer(faults=own, max_messages=parameters.batch_size) for own in ([*faults, *overtaken], faults)
    ]
    lab.wait_for(has_started(*consumers), deadline=20, what="both consumers to be ready")
    lab.produce(entities=parameters.entities)

    lab.settle(deadline=30 + lab.queue.visibility_timeout + 0.1 * parameters.count)
    lab.stop(*consumers)


SCENARIO = Scenario(
    name="out-of-order",
    summary="an older update arrives after a newer one; the consumer compares versions and keeps the newer state",
    theme="Order",
    pattern="versions, compared in the write",
    pace="fast",
    seconds=2,
    run=run,
    invariants=(STALE_STATE, UPDATE_DROPPED, WRONGLY_DEAD_LETTERED, IN_FLIGHT_AT_THE_END, ENDPOINT_MISMATCH),
    witnesses=(OVERTAKEN, SUPERSEDED, RACED),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.out_of_order.naive:LastWriteWins",
        without="comparing versions",
        violation="stale-state",
    ),
    consumer="services.consumer.versions:ReconcilingConsumer",
    defaults=UpdateParameters(count=12, batch_size=2),
    # Two versions of the first entity, so that there is a newer one.
    least=UpdateParameters(count=4, batch_size=1),
    delivery=DeliveryRates(reorder=0.8, duplicate=0.0),
    any_program=True,
    by_request=True,
)
