"""Check before doing: a consumer pays and dies before it can write that down, and no other pays again.

No transaction spans an external system and our own table. A consumer claims a message, causes the side effect, and dies
by SIGKILL before it marks the work as completed. Our bookkeeping says STARTED, which may mean anything. The queue
hands the message out again; the next consumer takes over the claim when its lease is over, sees that it is not the
first to try, and asks the external system's own ledger. The effect is there, so it goes on to the bookkeeping.

    claim ─▶ perform the side effect ─▶ ✗  complete ─▶ delete
    claim ─▶ look up: it is there ────────▶ complete ─▶ delete

One more consumer dies an instant earlier, before its side effect. Its bookkeeping says the same, and the ledger says
that nothing was done; so the next consumer does the work. One that trusts its own mark deletes the message instead.

The naive twin claims as well, and never asks the ledger: the customer pays twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog.side_effects.checks import FOUND_IN_LEDGER
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import crashed
from scenarios.lab import Lab, has_ended
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters, parameter
from services.faults import Fault


@dataclass(frozen=True, slots=True)
class SideEffectsParameters(Parameters):
    """What a user may change.

    Attributes:
        victims: how many consumers die after their side effect; one more dies before it.
    """

    victims: int = parameter(2, "consumers that die after their side effect", min=1, max=10)


def run(lab: Lab) -> None:
    """Stage the scenario."""
    parameters = SideEffectsParameters.of(lab)
    lab.produce()

    dies = Fault("crash", "PerformSideEffect", "after")
    dies_before = Fault("crash", "PerformSideEffect", "before")
    victims = [
        lab.start_consumer(f"victim-{number}", faults=[dies], max_messages=1)
        for number in range(1, parameters.victims + 1)
    ]
    victims.append(lab.start_consumer("victim-before", faults=[dies_before], max_messages=1))
    lab.wait_for(has_ended(*victims), deadline=30, what="every victim to die")

    rescuer = lab.start_consumer("rescuer", max_messages=parameters.batch_size)
    lab.settle(deadline=30 + 0.1 * parameters.count)
    lab.stop(rescuer)


SCENARIO = Scenario(
    name="side-effects",
    summary="a consumer dies between a side effect and its bookkeeping; the ledger tells the next one",
    theme="A process dies or shuts down",
    pattern="check before doing, at the external system",
    pace="fast",
    seconds=2,
    run=run,
    invariants=STANDARD,
    witnesses=(crashed("PerformSideEffect", "after"), crashed("PerformSideEffect", "before"), FOUND_IN_LEDGER),
    naive_twin=NaiveTwin(
        consumer="scenarios.catalog.side_effects.naive:WithoutLedger",
        without="a look into the ledger before doing",
        violation="duplicated-side-effect",
    ),
    defaults=SideEffectsParameters(count=12, batch_size=10),
    # As many messages as the most victims, and one for the victim that dies before its side effect.
    least=Parameters(count=11, batch_size=1),
    # No duplicates of the queue's own: whatever comes twice here, comes because a consumer died.
    delivery=DeliveryRates(duplicate=0.0),
    any_program=True,
    any_handler=True,
    any_effect=True,
)
