"""Backlog: the consumers come back after an outage, and do what still matters.

No consumer runs, and messages pile up for longer than they are worth anything. Then three consumers come back at once,
to a store that is slow under the burst and a queue that delivers some messages twice. Each message says when it was
made. What is older than the limit is acknowledged and noted as expired; it has no side effect. What is younger is done
once, however often it was received. When the backlog is gone, new messages come, and they are done as ever.

The naive twin does everything in its turn: the stale first, in vain, while the fresh grow old behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scenarios.catalog.backlog_drain.checks import (
    DELETED_FRESH,
    DRAINED_TOGETHER,
    EXPIRED,
    EXPIRED_TOO_EARLY,
    FRESH_DONE,
    NEITHER_DONE_NOR_EXPIRED,
    PILED_UP,
    STALE_WORK,
)
from scenarios.checks.invariants import (
    DUPLICATED_SIDE_EFFECT,
    ENDPOINT_MISMATCH,
    IN_FLIGHT_AT_THE_END,
    UNREQUESTED_SIDE_EFFECT,
    WRONGLY_DEAD_LETTERED,
)
from scenarios.checks.witnesses import DUPLICATED
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

CONSUMERS = 3
#: So many times as long as a message is worth anything.
OUTAGE = 1.5
#: Seconds that a claim takes longer under the burst.
SLOW_STORE = 0.02
#: One message in so many comes when the backlog is gone.
AFTERWARDS = 5


@dataclass(frozen=True, slots=True)
class BacklogParameters(Parameters):
    """What a user may change.

    Attributes:
        max_age: seconds after which a message is stale.
    """

    max_age: float = parameter(1.5, "seconds after which a message is stale", min=0.5, max=30)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = BacklogParameters.of(lab)
    afterwards = parameters.count // AFTERWARDS
    backlog = parameters.count - afterwards
    # Ten batches or so, spread over the outage.
    lab.produce(
        count=backlog,
        rate=backlog / (OUTAGE * parameters.max_age),
        batch_size=min(10, max(1, backlog // 10)),
        timestamp_field="created_at",
    )

    busy_store = Fault("delay", "Claim", nth=0, seconds=SLOW_STORE)
    consumers = [
        lab.start_consumer(faults=[busy_store], max_messages=parameters.batch_size, max_age_seconds=parameters.max_age)
        for _ in range(CONSUMERS)
    ]
    lab.settle(deadline=40 + 0.1 * parameters.count)

    lab.produce(count=afterwards, timestamp_field="created_at")
    lab.settle(deadline=30 + 0.1 * parameters.count)
    lab.stop(*consumers)


SCENARIO = Scenario(
    name="backlog-drain",
    summary="messages pile up in an outage; several consumers work off the backlog, and skip stale messages",
    theme="Load",
    pattern="freshness rule, idempotent under load",
    pace="fast",
    seconds=4,
    run=run,
    invariants=(
        STALE_WORK,
        EXPIRED_TOO_EARLY,
        NEITHER_DONE_NOR_EXPIRED,
        DUPLICATED_SIDE_EFFECT,
        UNREQUESTED_SIDE_EFFECT,
        DELETED_FRESH,
        WRONGLY_DEAD_LETTERED,
        IN_FLIGHT_AT_THE_END,
        ENDPOINT_MISMATCH,
    ),
    witnesses=(PILED_UP, DRAINED_TOGETHER, EXPIRED, FRESH_DONE, replace(DUPLICATED, required=False)),
    naive_twin=NaiveTwin(
        consumer="services.consumer.consumer:Consumer",
        without="a freshness rule",
        violation="stale-work",
    ),
    consumer="services.consumer.freshness:FreshnessConsumer",
    defaults=BacklogParameters(count=50, batch_size=5),
    # Work for several consumers, at three of whom a small backlog would be gone before the last had started.
    least=BacklogParameters(count=40, batch_size=1),
    delivery=DeliveryRates(duplicate=0.1),
    any_program=True,
    any_effect=True,
)
