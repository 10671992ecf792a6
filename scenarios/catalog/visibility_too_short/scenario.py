"""A visibility timeout that is too short: the setting itself is the bug, and no code is at fault.

Work that takes longer than the visibility timeout is delivered again while it is being done, and the claim that lasts
as long as the timeout runs out with it. Here work takes more than a second, on a queue whose timeout covers it with
room for the slow day, for a retry inside and for a whole batch. Two consumers share the messages, and nothing comes
twice.

What to set: several times the time that one batch takes, or a heartbeat where that time is not known. Longer costs a
crashed consumer's messages the wait; shorter costs duplicates. The queue here has six times the longest work, which is
AWS's advice for a queue that Lambda reads; the scenario shows that it is enough, and not that less would be too little.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

The naive twin takes every message for one second, as from a queue with a guessed timeout.
"""

from __future__ import annotations

from scenarios.catalog.visibility_too_short.checks import longer_than
from scenarios.catalog.visibility_too_short.naive import TOO_SHORT
from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: Seconds that the first piece of work takes, of one consumer and of the other: who is free first has time to receive
#: the other's message again.
WORK, SHORTER_WORK = 2.5, 1.2


def run(lab: Lab) -> None:
    """Stage the scenario."""
    first, second = (
        lab.start_consumer(name, faults=[Fault("delay", "PerformSideEffect", seconds=work)], max_messages=1)
        for name, work in (("first", WORK), ("second", SHORTER_WORK))
    )
    lab.wait_for(has_started(first, second), deadline=20, what="both consumers to be ready")
    lab.produce()
    lab.settle(deadline=30 + lab.queue.visibility_timeout + 0.1 * lab.parameters.count)
    lab.stop(first, second)


SCENARIO = Scenario(
    name="visibility-too-short",
    summary="work outlasts a guessed visibility timeout and is done twice; a timeout that covers the work holds",
    theme="Work that takes long",
    pattern="a timeout that covers the slowest day",
    pace="fast",
    seconds=4,
    run=run,
    invariants=STANDARD,
    witnesses=(longer_than(TOO_SHORT),),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.visibility_too_short.naive:ShortVisibility",
        without="a visibility timeout that covers the work",
        violation="duplicated-side-effect",
    ),
    defaults=Parameters(count=4, batch_size=1),
    max_batch_size=1,
    # No duplicates of the queue's own: whatever comes twice here, comes because the timeout was short.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    any_effect=True,
)
