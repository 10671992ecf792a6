"""Partial batches: ten messages come together, and each is answered for alone.

A consumer receives batches that hold good messages and poison. It does the good ones and deletes just those, with one
DeleteMessageBatch a batch. The first such call fails as a whole, and is repeated. A later one succeeds, and yet some of
its entries have failed, as SQS may answer under HTTP 200: just these are tried again. No work is done twice for it.
Poison comes again until the queue moves it to the dead-letter queue.

The naive twin acknowledges a batch as a whole or not at all. One poison message holds the good ones of its batch in
the queue until they are dead-lettered with it.
"""

from __future__ import annotations

from scenarios.catalog.partial_batch.checks import (
    DELETED_AGAIN,
    DELETED_AT_A_LATER_TRY,
    FAILED_IN_PART,
    GOOD_AMONG_POISON,
    REFUSED_AND_FORGOTTEN,
)
from scenarios.catalog.poison.scenario import MARKER, POISON_EVERY
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import DEAD_LETTERED_EXACTLY
from scenarios.lab import Lab
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault


def run(lab: Lab) -> None:
    """Stage the scenario."""
    lab.produce(poison_every=POISON_EVERY)

    overloaded = Fault("error", "Delete", code="ServiceUnavailable")
    in_part = Fault("partial-failure", "Delete", nth=3, entries=(0, 2))
    consumer = lab.start_consumer(
        faults=[overloaded, in_part], reject_payload_marker=MARKER, max_messages=lab.parameters.batch_size
    )
    rounds = lab.queue.max_receive_count + 1
    lab.settle(deadline=30 + rounds * lab.queue.visibility_timeout + 0.1 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="partial-batch",
    summary="good messages and poison share a batch; each message has an outcome of its own",
    theme="Work that fails",
    pattern="an outcome for each message",
    pace="fast",
    run=run,
    invariants=(*STANDARD, REFUSED_AND_FORGOTTEN, DELETED_AGAIN),
    witnesses=(GOOD_AMONG_POISON, DELETED_AT_A_LATER_TRY, FAILED_IN_PART, DEAD_LETTERED_EXACTLY),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.partial_batch.naive:AllOrNothingBatch",
        without="an answer for each message of a batch",
        violation="wrongly-dead-lettered",
    ),
    defaults=Parameters(count=30, batch_size=10),
    least=Parameters(count=2 * POISON_EVERY, batch_size=POISON_EVERY),
    # In order and filled up: each batch holds both kinds.
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
    any_program=True,
    any_handler=True,
)
