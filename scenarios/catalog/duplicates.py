"""Duplicate delivery: work outlives the visibility timeout, and the message comes again while it is being done.

A slow consumer takes a message and works on it for longer than the queue keeps it invisible. A quick one joins. It
receives the very message that is being worked on, finds it claimed, and leaves it. The slow one finishes; its delete
comes with a stale receipt handle, succeeds and deletes nothing. At the next delivery the work is found complete, and
that delivery is deleted.

The naive twin does not claim: the quick consumer does the work as well, and the customer pays twice.
"""

from __future__ import annotations

from scenarios.invariants import STANDARD
from scenarios.labs.base import Lab, struck
from scenarios.model import DeliveryRates, NaiveTwin, Parameters, Scenario
from scenarios.witnesses import DELIVERED_AGAIN_AT_WORK
from services.faults import Fault

#: How many visibility timeouts the slow consumer's work lasts.
WORK = 2.5
#: How many visibility timeouts a claim holds: it must outlive the work, or the second consumer takes it over.
LEASE = 6.0


def run(lab: Lab) -> None:
    """Tell the story."""
    timeout = lab.queue.visibility_timeout
    slow_work = Fault("delay", "PerformSideEffect", seconds=WORK * timeout)

    slow = lab.start_consumer("slow", faults=[slow_work], claim_lease_seconds=LEASE * timeout, max_messages=1)
    lab.produce()
    lab.wait_for(struck(slow), deadline=20, what="the slow consumer to be at work")

    quick = lab.start_consumer("quick", claim_lease_seconds=LEASE * timeout, max_messages=lab.parameters.batch_size)
    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(slow, quick)


SCENARIO = Scenario(
    name="duplicates",
    summary="work outlives the visibility timeout, and the message is delivered again meanwhile",
    pace="fast",
    run=run,
    invariants=STANDARD,
    witnesses=(DELIVERED_AGAIN_AT_WORK,),
    naive_twin=NaiveTwin(
        consumer="services.consumer.naive:WithoutGuard",
        without="claims",
        violation="duplicated-side-effect",
    ),
    defaults=Parameters(count=6, batch_size=1),
    # No duplicates of the queue's own: whatever comes twice here, comes because the work took too long.
    delivery=DeliveryRates(duplicate=0.0),
)
