"""Duplicate delivery: work outlives the visibility timeout, and the message comes again while it is being done.

Two consumers wait; each takes a message and works on it for longer than the queue keeps it invisible. The quicker one
is free again while the slow one is still at work. It receives the very message that is being worked on, finds it
claimed, and leaves it. The slow one finishes; its delete comes with a stale receipt handle, succeeds and deletes
nothing. At the next delivery the work is found complete, and that delivery is deleted.

The naive twin does not claim: the quick consumer does the work as well, and the customer pays twice.
"""

from __future__ import annotations

from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import DELIVERED_AGAIN_AT_WORK
from scenarios.lab import Lab, has_started, struck
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: How many visibility timeouts the first piece of work lasts: of the slow consumer, and of the quick one.
WORK, QUICK_WORK = 3.0, 1.2
#: How many visibility timeouts a claim holds: it must outlive the work, or the second consumer takes it over.
LEASE = 6.0


def run(lab: Lab) -> None:
    """Stage the scenario."""
    timeout = lab.queue.visibility_timeout
    slow, quick = (
        lab.start_consumer(
            name,
            faults=[Fault("delay", "PerformSideEffect", seconds=work * timeout)],
            claim_lease_seconds=LEASE * timeout,
            max_messages=1,
        )
        for name, work in (("slow", WORK), ("quick", QUICK_WORK))
    )
    # Both are ready before there is anything to do: no start of a process lasts into the work.
    lab.wait_for(has_started(slow, quick), deadline=20, what="both consumers to be ready")
    lab.produce()
    lab.wait_for(struck(slow), deadline=20, what="the slow consumer to be at work")
    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(slow, quick)


SCENARIO = Scenario(
    name="duplicates",
    summary="work outlasts the visibility timeout, so the message is delivered again; its claim still holds",
    theme="The same work, twice",
    pattern="a lease that outlives the work",
    pace="fast",
    seconds=4.5,
    run=run,
    invariants=STANDARD,
    witnesses=(DELIVERED_AGAIN_AT_WORK,),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.happy.naive:WithoutGuard",
        without="claims",
        violation="duplicated-side-effect",
    ),
    defaults=Parameters(count=4, batch_size=1),
    max_batch_size=1,
    # No duplicates of the queue's own: whatever comes twice here, comes because the work took too long.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    any_effect=True,
)
