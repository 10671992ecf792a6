"""A partition: one of two consumers is cut off from queue and tables for longer than its lease, amid its work.

The network is cut between one consumer and AWS, and everything else goes on. The consumer does not notice: it computes,
and it can reach the external system. Its heartbeat reaches neither table nor queue, so its claim and its message run
out. That is as it should be, since from outside a consumer that is cut off looks like one that is dead:

    cut-off   claims a ─ works . . . . . . . . . . . . . . . . . . . . . ─ asks for its claim in vain, lets a be
                      │ no heartbeat arrives: no way to queue and tables
    other                                  receives a, claims it, does it, deletes it

A lease says until when others keep off, and no longer. So a consumer makes sure of its claim once more, between its
work and its side effect, and asks the table, not its memory. Where it cannot ask it does not act: the message stays in
the queue, and whoever can reach the table does it.

The naive twin goes on with what it holds. It finishes its work and causes the side effect a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.partition.checks import LET_GO, TAKEN_OVER
from scenarios.checks.invariants import STANDARD
from scenarios.lab import Lab, has_started
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault

#: Heartbeats in a visibility timeout; the first of them that renews a claim finds the network cut.
BEATS = 3
#: Visibility timeouts that the work lasts: by then another consumer has received the message, and done it.
WORK = 2.0
#: And those that the other consumer's work lasts: meanwhile the first one gets a message too.
SHORTER_WORK = 0.25


@dataclass(frozen=True, slots=True)
class PartitionParameters(Parameters):
    """What a user may change.

    Attributes:
        cut_off: visibility timeouts for which the consumer reaches neither queue nor tables.
    """

    cut_off: float = parameter(2.5, "visibility timeouts for which the consumer is cut off", min=1.5, max=4)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = PartitionParameters.of(lab)
    timeout = lab.queue.visibility_timeout
    seconds = parameters.cut_off * timeout
    cut = [Fault("partition", "RenewClaim", seconds=seconds, reach=reach) for reach in ("store", "queue")]
    cut_off, other = (
        lab.start_consumer(
            name, faults=faults, heartbeat_seconds=timeout / BEATS, work_seconds=work * timeout, max_messages=1
        )
        for name, faults, work in (("cut-off", cut, WORK), ("other", [], SHORTER_WORK))
    )
    lab.wait_for(has_started(cut_off, other), deadline=20, what="the consumers to be ready")
    lab.produce()
    lab.settle(deadline=40 + seconds + (0.1 + SHORTER_WORK * timeout) * parameters.count)
    lab.stop(cut_off, other)


SCENARIO = Scenario(
    name="partition",
    summary="a consumer is cut off for longer than its lease; it asks for its claim once more, and lets the work be",
    theme="Work that takes long",
    pattern="ask for the claim between work and effect",
    pace="fast",
    seconds=6,
    run=run,
    invariants=STANDARD,
    witnesses=(TAKEN_OVER, LET_GO),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.partition.naive:GoesOnWithWhatItHolds",
        without="asking for the claim before the side effect",
        violation="duplicated-side-effect",
    ),
    defaults=PartitionParameters(count=4, batch_size=1),
    # One for each consumer.
    least=Parameters(count=2, batch_size=1),
    # One message at a time: the consumer that is cut off holds one, and the other does the rest meanwhile.
    max_batch_size=1,
    # No duplicates of the queue's own: whatever is done twice here, is done because of the partition. And the message
    # that comes again comes first, while its first consumer is at work.
    delivery=DeliveryRates(reorder=0.0, duplicate=0.0),
)
