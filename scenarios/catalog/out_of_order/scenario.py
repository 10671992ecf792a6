"""Out of order: an older update comes after a newer one, and the newer one stays.

Every message updates one of a few entities and says which version it makes. A standard queue delivers in any order, to
two consumers at once. The first write of one consumer is slow. Meanwhile the newest versions are sent, and the other
consumer writes them; the slow one's message comes again. Of many messages, the versions in between are sent last, and
all come too late. A retry is late on any queue: the other consumer's first write of version 1 of one entity fails. A
consumer writes on one condition: that the version is newer than the one that is there. The store looks and writes in
one step, so no consumer comes between. What comes too late is superseded, and is deleted like what was written. At the
end each entity is what its highest version made it.

    consumer-1    version 2 ──────────────────────────────────▶ version 10 is there: superseded
    consumer-2                 version 10 ───────▶ takes

The naive twin writes whatever comes. The last delivery wins, and it is version 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.catalog.out_of_order.checks import (
    OVERTAKEN,
    OVERTAKEN_WRITE,
    RACED,
    STALE_STATE,
    SUPERSEDED,
    UPDATE_DROPPED,
)
from scenarios.checks.invariants import ENDPOINT_MISMATCH, IN_FLIGHT_AT_THE_END, WRONGLY_DEAD_LETTERED
from scenarios.history import History
from scenarios.lab import ConsumerHandle, Lab, has_started, struck
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: Seconds that each write takes.
MOMENT = 0.05
#: Messages that are sent before the slow write begins, at most.
FIRST = 9
#: Visibility timeouts that the slow consumer's first write takes.
SLOW = 1.5


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
    entities = parameters.entities
    # However many there are: while the slow write lasts, the other consumer has to come to the newest version.
    older = min(parameters.count - entities, FIRST)
    late = parameters.count - entities - older
    first_late = 1 + -(-older // entities)
    # Each write takes a moment, so that two consumers write one entity at once.
    takes_a_moment = Fault("delay", "WriteState", nth=0, seconds=MOMENT)
    # One consumer's first write takes so long that the other writes the newest versions meanwhile: what it read before
    # holds no more, and only a condition in the write itself keeps it from going back.
    overtaken = Fault("delay", "WriteState", seconds=SLOW * lab.queue.visibility_timeout)
    fails_once = Fault("error", "WriteState", where={"entity": "e0", "version": 1})
    slow, quick = (
        lab.start_consumer(faults=[takes_a_moment, own], max_messages=parameters.batch_size)
        for own in (overtaken, fails_once)
    )
    lab.wait_for(has_started(slow, quick), deadline=20, what="both consumers to be ready")
    lab.produce(count=older, entities=entities)
    lab.wait_for(_is_at_work(slow), deadline=20, what="the slow write to begin")
    lab.produce(count=entities, entities=entities, first_version=first_late + -(-late // entities))
    if late:
        lab.wait_for(
            _is_quiet, deadline=30 + SLOW * lab.queue.visibility_timeout, what="the newest versions to be there"
        )
        lab.produce(count=late, entities=entities, first_version=first_late)

    lab.settle(deadline=30 + SLOW * lab.queue.visibility_timeout + 0.1 * parameters.count)
    lab.stop(slow, quick)


def _is_quiet(history: History) -> bool:
    """Tell whether nothing is left to do."""
    return not history.unsettled


def _is_at_work(slow: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that the slow consumer has begun a write, or that nothing is left for it to write."""
    return lambda history: struck(slow)(history) or not history.unsettled


SCENARIO = Scenario(
    name="out-of-order",
    summary="an older update arrives after a newer one; the consumer compares versions and keeps the newer state",
    theme="Order",
    pattern="versions, compared in the write",
    pace="fast",
    seconds=2,
    run=run,
    invariants=(STALE_STATE, UPDATE_DROPPED, WRONGLY_DEAD_LETTERED, IN_FLIGHT_AT_THE_END, ENDPOINT_MISMATCH),
    witnesses=(OVERTAKEN, SUPERSEDED, OVERTAKEN_WRITE, RACED),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.out_of_order.naive:LastWriteWins",
        without="comparing versions",
        violation="stale-state",
    ),
    consumer="services.consumer.versions:ReconcilingConsumer",
    # Ten versions of each entity: a consumer that compares them as texts takes "9" for the newest.
    defaults=UpdateParameters(count=30, batch_size=2),
    # Two versions of each entity at least, so that there is a newer one.
    least=UpdateParameters(count=6, batch_size=1),
    delivery=DeliveryRates(reorder=0.8, duplicate=0.0),
    any_program=True,
    by_request=True,
)
