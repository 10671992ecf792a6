"""The race between check and do: two consumers look at the same time, and only one of them acts.

"Look whether it was done, do it if not" is right for one consumer. Between the look and the deed of two there is a
gap, and at least once delivery puts two of them into it. Here the queue delivers every message twice within one
visibility timeout, to two consumers that wait for it, and each side effect takes a moment. Both would look, both would
see nothing, both would do it. So the check is a claim: one conditional write that looks and takes in one step. One of
the two wins it, and the other leaves the message alone.

    looks: nothing there ──────────▶ does it          claims: granted ─────────▶ does it
            looks: nothing there ─────▶ does it               claims: refused

A queue that cannot be told to deliver twice seldom does. Where no two consumers have met, one more message follows,
and the work on it outlasts the visibility timeout: any queue delivers it to the other consumer meanwhile.

The naive twin looks into the ledger, then acts.
"""

from __future__ import annotations

from dataclasses import replace

from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import (
    CLAIM_CONTENTION,
    DELIVERED_AGAIN_AT_WORK,
    DUPLICATED,
    find_delivered_again_at_work,
)
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: Seconds between the check and the end of the deed: the gap that two can meet in.
GAP = 0.2
#: The same where the queue delivers nothing twice by itself, in visibility timeouts; and how long a claim then holds.
LONG_GAP, LEASE = 1.5, 4.0


def run(lab: Lab) -> None:
    """Stage the scenario."""
    takes_a_moment = Fault("delay", "PerformSideEffect", nth=0, seconds=GAP)
    consumers = [lab.start_consumer(faults=[takes_a_moment], max_messages=lab.parameters.batch_size) for _ in range(2)]
    lab.wait_for(has_started(*consumers), deadline=20, what="both consumers to be ready")
    lab.produce()

    lab.settle(deadline=30 + (GAP + 0.1) * lab.parameters.count)
    lab.stop(*consumers)
    # Lambda kills a function before its work can outlast the timeout.
    is_function = bool(lab.history.calls("InvokeFunction"))
    if find_delivered_again_at_work(lab.history) is None and not is_function:
        outlast_the_timeout(lab)


def outlast_the_timeout(lab: Lab) -> None:
    """Let the work on one more message outlast the visibility timeout; the other consumer has its hands free."""
    timeout = lab.queue.visibility_timeout
    takes_long = Fault("delay", "PerformSideEffect", nth=0, seconds=LONG_GAP * timeout)
    consumers = [
        lab.start_consumer(faults=[takes_long], claim_lease_seconds=LEASE * timeout, max_messages=1) for _ in range(2)
    ]
    lab.wait_for(has_started(*consumers), deadline=20, what="both consumers to be ready again")
    lab.produce(count=1)
    lab.settle(deadline=30 + 2 * LONG_GAP * timeout)
    lab.stop(*consumers)


SCENARIO = Scenario(
    name="check-race",
    summary="two consumers meet between the check and the side effect; the claim admits one of them",
    theme="The same work, twice",
    pattern="check and claim in one conditional write",
    pace="fast",
    seconds=2,
    run=run,
    invariants=STANDARD,
    witnesses=(DELIVERED_AGAIN_AT_WORK, CLAIM_CONTENTION, replace(DUPLICATED, required=False)),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.check_race.naive:ChecksThenActs",
        without="checking and claiming in one step",
        violation="duplicated-side-effect",
    ),
    defaults=Parameters(count=4, batch_size=1),
    delivery=DeliveryRates(reorder=0.0, duplicate=1.0, underfill=0.0),
    any_program=True,
    any_handler=True,
)
