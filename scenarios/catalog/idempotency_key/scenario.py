"""An idempotency key: a call is done and its answer lost, and the next call with the same key does nothing.

A call to an external API can end in a way that no status table helps with: it times out. Perhaps it never arrived;
perhaps the charge is made and only the reply was lost. Here the first call of a consumer is done and its reply lost,
and another consumer dies with the answer in hand. The first calls again, the second one's message comes again to
somebody else, and both calls have the key that the first attempt had: it follows from the work, not from the attempt.
The API has seen it, does nothing, and answers as it did the first time.

    call, key K ─▶ done ─▶ ✗ reply          call, key K ─▶ done ─▶ reply ─▶ ✗ the consumer dies
    call, key K ─▶ known ─▶ reply           call, key K ─▶ known ─▶ reply          (a rescuer, later)

The naive twin makes up a new key for every attempt, and pays twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.idempotency_key.checks import RECOGNISED_AFTER_A_LOST_REPLY
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import crashed
from scenarios.lab import Lab, has_ended, struck
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class IdempotencyKeyParameters(Parameters):
    """What a user may change.

    Attributes:
        lost: replies that are lost, one after the other.
    """

    lost: int = parameter(1, "replies that are lost, one after the other", min=1, max=6)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = IdempotencyKeyParameters.of(lab)
    lab.produce()

    dies = lab.start_consumer("dies-with-the-answer", faults=[Fault("crash", "CallApi", "after")], max_messages=1)
    lab.wait_for(has_ended(dies), deadline=30, what="the doomed consumer to die")

    lost = [Fault("reply-lost", "CallApi", nth=number) for number in range(1, parameters.lost + 1)]
    calls_again = lab.start_consumer("calls-again", faults=lost, max_messages=parameters.batch_size)
    lab.wait_for(struck(calls_again), deadline=30, what="a reply to be lost")
    rescuer = lab.start_consumer("rescuer", max_messages=parameters.batch_size)
    lab.settle(deadline=30 + 0.1 * parameters.count)
    lab.stop(calls_again, rescuer)


SCENARIO = Scenario(
    name="idempotency-key",
    summary="a call's reply is lost; the API recognises the repeated call by its key, and does nothing again",
    theme="Several systems, no transaction",
    pattern="idempotency key",
    pace="fast",
    seconds=2,
    run=run,
    invariants=STANDARD,
    witnesses=(RECOGNISED_AFTER_A_LOST_REPLY, crashed("CallApi", "after")),
    consumer="services.consumer.idempotency_key:IdempotencyKeyConsumer",
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.idempotency_key.naive:NewKeyForEachAttempt",
        without="one key for all attempts",
        violation="duplicated-side-effect",
    ),
    defaults=IdempotencyKeyParameters(count=10, batch_size=10),
    least=Parameters(count=2, batch_size=1),
    # No duplicates of the queue's own: whatever is called for twice here, is called for because an answer was lost.
    delivery=DeliveryRates(duplicate=0.0),
)
