"""The happy path: nothing breaks, and the queue still delivers twice.

SQS promises delivery at least once, so "exactly once" is the consumer's work even on a good day. Two consumers wait for
messages; the queue is set to hand every message out a second time within the same visibility timeout (where it lets
itself be set so). The consumer that claims a message first does it. The other finds it claimed or complete, and causes
nothing. In the end everything was done once and deleted, and the dead-letter queue is empty.

The naive twin trusts the queue to deliver once: it does what it receives, and does it twice.
"""

from __future__ import annotations

from dataclasses import replace

from scenarios.catalog.happy.checks import ALL_DELETED, ALL_SENT
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import DUPLICATED
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: Seconds for which each consumer's first piece of work lasts, so that the other has received before it is deleted.
FIRST_WORK = 0.5


def run(lab: Lab) -> None:
    """Stage the scenario."""
    takes_a_moment = Fault("delay", "PerformSideEffect", seconds=FIRST_WORK)
    consumers = [lab.start_consumer(faults=[takes_a_moment], max_messages=lab.parameters.batch_size) for _ in range(2)]
    lab.wait_for(has_started(*consumers), deadline=20, what="both consumers to be ready")
    lab.produce()

    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(*consumers)


SCENARIO = Scenario(
    name="happy",
    summary="each message is done once and deleted, although the queue delivers some twice",
    theme="The same work, twice",
    pattern="idempotent consumer",
    pace="fast",
    seconds=2,
    run=run,
    invariants=STANDARD,
    # A queue that cannot be told to deliver twice seldom does; the path is no less happy for it.
    witnesses=(ALL_SENT, ALL_DELETED, replace(DUPLICATED, required=False)),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.happy.naive:WithoutGuard",
        without="claims and the look into the ledger",
        violation="duplicated-side-effect",
    ),
    defaults=Parameters(count=10, batch_size=10),
    delivery=DeliveryRates(reorder=0.0, duplicate=1.0, underfill=0.0),
    any_program=True,
    any_handler=True,
    any_effect=True,
)
