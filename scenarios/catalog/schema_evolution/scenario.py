"""Schema evolution: two versions of producer and consumer are in flight together, and none misreads the other.

A deployment is never a moment. First a producer adds a field, and a consumer that has never heard of it does the
message all the same. Then a new consumer comes beside the old one. It knows version 2, in which an amount is cents of a
currency, and reads what version 1 sends as well, through an upcaster. Only when the last old consumer is gone does a
new producer begin to send version 2, beside an old one that goes on with version 1 for a long time. And two messages
are of versions that no consumer here knows. One looks familiar, for all the old fields are in it; but there an amount
is how many, and the cents are the price of one. Both go to the dead-letter queue as they are, and are not half
understood.

    producers    1 and a field ─── 1 ──────────────────── 1 and 2
    consumers    knows 1 ───────── knows 1, knows 2 ───── knows 2

The naive twin reads the one version that it was made for, field by field. The dead-letter queue fills with good
messages.
"""

from __future__ import annotations

from scenarios.catalog.schema_evolution.checks import MISREAD, NEWER_VERSION_KEPT, SIDE_BY_SIDE, UPCAST, ignored
from scenarios.checks.invariants import STANDARD
from scenarios.history import History
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: A field that came with no new version.
ADDED = "gift_note"
#: Seconds that the old consumer's side effects take, so that the new one has its share.
MOMENT = 0.1
VERSION_1 = {"amount": 12}
VERSION_1_AND_A_FIELD = {**VERSION_1, ADDED: "for you"}
VERSION_2 = {"schema": 2, "amount_cents": 1250, "currency": "SEK"}
#: It looks familiar, and means two pieces at 6.25.
VERSION_3 = {"schema": 3, "amount": 2, "amount_cents": 625, "currency": "SEK"}
VERSION_4 = {"schema": 4, "lines": [{"cents": 700}, {"cents": 550}]}


def run(lab: Lab) -> None:
    """Stage the scenario."""
    deadline = 30 + (0.1 + MOMENT) * lab.parameters.count
    # To those who are here now, a message from the future is poison.
    for future in (VERSION_3, VERSION_4):
        lab.produce(count=1, poison_count=1, fields=future)

    takes_a_moment = Fault("delay", "PerformSideEffect", nth=0, seconds=MOMENT)
    old = lab.start_consumer("knows-1", schema_version=1, faults=[takes_a_moment], max_messages=1)
    lab.produce(fields=VERSION_1_AND_A_FIELD)
    lab.wait_for(_all_are_answered, deadline=deadline, what="the old consumer to meet the new field")

    # Who reads comes first: nothing of version 2 is sent while a consumer runs that cannot read it.
    new = lab.start_consumer("knows-2", schema_version=2, max_messages=lab.parameters.batch_size)
    lab.wait_for(has_started(new), deadline=20, what="the new consumer to be ready")
    lab.produce(fields=VERSION_1)
    lab.wait_for(_all_are_answered, deadline=deadline, what="both consumers to be at work")
    lab.stop(old)

    lab.produce(fields=VERSION_2)
    lab.produce(fields=VERSION_1)
    lab.settle(deadline=deadline)
    lab.stop(new)


def _all_are_answered(history: History) -> bool:
    """Return whether each good message is out of the queue, or was rejected by the consumer that received it last."""
    answers = {record["message_id"]: record["outcome"] for record in history.events("handled")}
    return all(message.poison or answers.get(message.message_id) == "rejected" for message in history.unsettled)


SCENARIO = Scenario(
    name="schema-evolution",
    summary="two versions of producers and consumers run together; a message of a future version is kept",
    theme="Message contents",
    pattern="tolerant reader, two-step change",
    pace="fast",
    seconds=4.5,
    run=run,
    invariants=(*STANDARD, MISREAD),
    witnesses=(ignored(ADDED), SIDE_BY_SIDE, UPCAST, NEWER_VERSION_KEPT),
    consumer="services.consumer.schema:SchemaConsumer",
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.schema_evolution.naive:StrictReader",
        without="reading older versions and ignoring unknown fields",
        violation="wrongly-dead-lettered",
    ),
    defaults=Parameters(count=4, batch_size=1),
    # One for each of two consumers.
    least=Parameters(count=2, batch_size=1),
    delivery=DeliveryRates(duplicate=0.0),
)
