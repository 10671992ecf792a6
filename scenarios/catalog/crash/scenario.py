"""Crash recovery: a consumer can die at any line, and no message is lost or done twice.

Five consumers take one message at a time, and each dies by SIGKILL at another point of a message's way:

    receive ─▶ claim ─▶ perform the side effect ─▶ complete ─▶ delete
           ✗        ✗  ✗                        ✗             ✗ (of its second message)

No consumer deletes what they had in hand, so the queue hands it out again when its visibility timeout is over. A sixth
consumer finishes everything. It finds claims whose leases have run out, a side effect that the ledger already has,
and work that is complete and only wants its delete.

A consumer that marks a message as processed and then acts dies between the two, before its side effect: the next one
finds the mark, deletes the message, and the work is lost.

The naive twin keeps no claims and asks no ledger: what died after its side effect is done a second time.
"""

from __future__ import annotations

from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import crashed
from scenarios.lab import Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from services.faults import Fault

#: Who dies where, and after how many messages: the last one has done its first message in full.
DOOMED = (
    ("dies-after-receive", Fault("crash", "Receive", "after"), 1),
    ("dies-after-claim", Fault("crash", "Claim", "after"), 1),
    ("dies-before-side-effect", Fault("crash", "PerformSideEffect", "before"), 1),
    ("dies-after-side-effect", Fault("crash", "PerformSideEffect", "after"), 1),
    ("dies-before-delete", Fault("crash", "Delete", "before", nth=2), 2),
)
#: A consumer that makes no claims does not die after one. It dies before its second delete, as the last one does.
AT_THE_LATEST = DOOMED[-1][1]


def run(lab: Lab) -> None:
    """Stage the scenario."""
    lab.produce()

    # One message at a time, so that it is known with which one a consumer dies. The limit matters to the naive twin
    # alone: it makes no claim, so it cannot die after one, and must leave the messages of the others to them.
    doomed = [
        lab.start_consumer(name, faults=_faults(fault), max_messages=1, message_limit=messages)
        for name, fault, messages in DOOMED
    ]
    lab.wait_for(has_ended(*doomed), deadline=30, what="every doomed consumer to die")

    rescuer = lab.start_consumer("rescuer", max_messages=lab.parameters.batch_size)
    lab.settle(deadline=30 + 0.1 * lab.parameters.count)
    lab.stop(rescuer)


def _faults(fault: Fault) -> list[Fault]:
    """Return the faults of a doomed consumer: one that makes no claims cannot die after one."""
    return [fault, AT_THE_LATEST] if fault.operation == "Claim" else [fault]


SCENARIO = Scenario(
    name="crash",
    summary="consumers die at five points of their work; another consumer finishes each message",
    theme="A process dies or shuts down",
    pattern="claim, complete, then delete",
    pace="fast",
    run=run,
    invariants=STANDARD,
    witnesses=tuple(crashed(fault.operation, fault.point) for _, fault, _ in DOOMED),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.happy.naive:WithoutGuard",
        without="claims and the look into the ledger",
        violation="duplicated-side-effect",
    ),
    defaults=Parameters(count=20, batch_size=10),
    least=Parameters(count=sum(messages for _, _, messages in DOOMED), batch_size=1),
    # No duplicates of the queue's own: whatever comes twice here, comes because a consumer died.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    any_handler=True,
    any_effect=True,
)
