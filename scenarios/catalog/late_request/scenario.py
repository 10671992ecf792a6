"""A late request: a call times out, and takes effect long afterwards, when the work has been done by another call.

A timeout says that no answer came. The request may still stand in a proxy's queue, in a retry of a client library, or
in a network that was cut and heals. A consumer that looks into the ledger meanwhile finds nothing, and calls again:

    call ─▶ . . . . . . . . . . . . . . . . . . . . . . . . . . . .─▶ arrives: a second time?
       ✗ timeout          look: nothing there ─▶ call ─▶ done

Nothing that a caller does before its call can help: no look, no claim, no lease, no fencing token of its own. Only the
system that does the work can tell, at the moment at which it does it: by an idempotency key, or by a token that it
compares itself and by which it refuses whatever is older.

The naive twin looks into the ledger before every call, and pays twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.late_request.checks import OUTRUN, has_arrived
from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab, struck
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class LateRequestParameters(Parameters):
    """What a user may change.

    Attributes:
        late: seconds from the timeout of a request until it takes effect.
    """

    late: float = parameter(3.0, "seconds from a request's timeout until it takes effect", min=2.5, max=30)


def run(lab: Lab) -> None:
    """Tell the story."""
    parameters = LateRequestParameters.of(lab)
    lab.produce()

    late = [Fault("late-request", "PerformSideEffect", seconds=parameters.late)]
    times_out = lab.start_consumer("times-out", faults=late, max_messages=parameters.batch_size)
    lab.wait_for(struck(times_out), deadline=30, what="a request to time out")
    rescuer = lab.start_consumer("rescuer", max_messages=parameters.batch_size)
    lab.wait_for(has_arrived, deadline=30 + parameters.late, what="the late request to arrive")
    lab.settle(deadline=30 + 0.1 * parameters.count)
    lab.stop(times_out, rescuer)


SCENARIO = Scenario(
    name="late-request",
    summary="a call times out and arrives after another consumer's; the API knows its key, and does nothing",
    theme="Several systems, no transaction",
    pattern="a key that the external system honours",
    pace="fast",
    seconds=5,
    run=run,
    invariants=STANDARD,
    witnesses=(OUTRUN,),
    consumer="services.consumer.idempotency_key:IdempotencyKeyConsumer",
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.late_request.naive:LooksBeforeItActs",
        without="a key by which the external system refuses the second call",
        violation="duplicated-side-effect",
    ),
    defaults=LateRequestParameters(count=10, batch_size=10),
    # No duplicates of the queue's own: whatever is called for twice here, is called for because of the timeout.
    delivery=DeliveryRates(duplicate=0.0),
)
