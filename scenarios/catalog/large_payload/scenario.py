"""Large payloads: what is too large for a message lies in a bucket, and the message says where.

A producer uploads a payload, then sends a reference. One dies between the two: its objects are orphans, which no
message will ever ask for. Another sends everything. A payload is taken out of the bucket by mistake; its message can
never be worked on, is rejected like poison, and goes to the dead-letter queue without harm to the others. A consumer
fetches, works, deletes the message, and only then removes the object. The queue takes none of its deletes, and it dies
right after the removal. So a message comes again that is done and whose payload is no longer there, and no consumer
needs it. At the end a clean-up removes the orphans, and finds nothing else.

    victim     fetch ─▶ perform ─▶ complete ─▶ delete: fails ─▶ remove ─▶ ✗
    rescuer                                          completed: nothing to fetch ─▶ delete

The naive twin removes the object as soon as it has fetched it. It dies with the payload in hand, the message comes
again, and a good message is dead-lettered for want of its payload.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.large_payload.checks import (
    ACKED_WITHOUT_PAYLOAD,
    COMES_AGAIN_DONE,
    DIED_AFTER_REMOVAL,
    DONE_WITHOUT_PAYLOAD,
    GONE_REJECTED,
    LARGER_THAN_A_MESSAGE,
    ORPHAN_LEFT,
    ORPHAN_SWEPT,
    PAYLOAD_FORGOTTEN,
    WRONGLY_DEAD_LETTERED,
)
from scenarios.checks.invariants import (
    DELETED_BEFORE_DONE,
    DUPLICATED_SIDE_EFFECT,
    ENDPOINT_MISMATCH,
    IN_FLIGHT_AT_THE_END,
    LOST,
    UNREQUESTED_SIDE_EFFECT,
)
from scenarios.lab import Lab, has_died, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: Messages of the producer that dies before it sends them.
UNSENT = 2
#: How many deletes fail: more than anybody tries of one message at a receive, and few enough that no message of the
#: least number runs out of receives, where its consumer tries once.
FAILED_DELETES = 6


@dataclass(frozen=True, slots=True)
class PayloadParameters(Parameters):
    """What a user may change.

    Attributes:
        payload: bytes of content of each payload.
    """

    payload: int = parameter(
        1_200_000, "bytes of each payload; a message holds 1,048,576", min=1_048_576, max=5_000_000
    )


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = PayloadParameters.of(lab)
    unsent = Fault("crash", "Send", "before")
    dying = lab.start_producer("dying", faults=[unsent], count=UNSENT, payload_bytes=parameters.payload)
    lab.wait_for(has_ended(dying), deadline=40, what="a producer to die between upload and send")

    sent = lab.produce(payload_bytes=parameters.payload)
    lab.remove_payload(sent[-1])

    undeleted = [Fault("error", "Delete", nth=attempt) for attempt in range(1, FAILED_DELETES + 1)]
    dies = Fault("crash", "RemoveObject", "after")
    victim = lab.start_consumer("victim", faults=[*undeleted, dies], max_messages=1)
    lab.wait_for(has_died(victim), deadline=30, what="a consumer to die after it has removed a payload")
    rescuer = lab.start_consumer("rescuer", max_messages=parameters.batch_size)
    rounds = lab.queue.max_receive_count + 1
    lab.settle(deadline=30 + rounds * lab.queue.visibility_timeout + 0.2 * parameters.count)
    lab.stop(rescuer)
    lab.sweep_payloads()


SCENARIO = Scenario(
    name="large-payload",
    summary="messages refer to objects: an upload without its send, missing objects, and a crash in between",
    theme="Message contents",
    pattern="upload, then send the reference",
    pace="fast",
    seconds=4.5,
    run=run,
    invariants=(
        LOST,
        DUPLICATED_SIDE_EFFECT,
        UNREQUESTED_SIDE_EFFECT,
        DELETED_BEFORE_DONE,
        WRONGLY_DEAD_LETTERED,
        ACKED_WITHOUT_PAYLOAD,
        DONE_WITHOUT_PAYLOAD,
        IN_FLIGHT_AT_THE_END,
        PAYLOAD_FORGOTTEN,
        ORPHAN_LEFT,
        ENDPOINT_MISMATCH,
    ),
    witnesses=(LARGER_THAN_A_MESSAGE, ORPHAN_SWEPT, GONE_REJECTED, DIED_AFTER_REMOVAL, COMES_AGAIN_DONE),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.large_payload.naive:RemovesFirst",
        without="keeping the object until its message is deleted",
        violation="wrongly-dead-lettered",
    ),
    consumer="services.consumer.large_payload:LargePayloadConsumer",
    defaults=PayloadParameters(count=6, batch_size=2),
    # One whose payload is gone, and enough others to share the deletes that fail.
    least=Parameters(count=6, batch_size=1),
    # In order and once: the victim's message is one whose payload is there.
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0, underfill=0.0),
    any_program=True,
    by_request=True,
)
