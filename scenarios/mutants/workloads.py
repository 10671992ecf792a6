"""Workloads: scenarios for the simulation alone, with untidy messages and several consumers, and nothing staged.

A scenario shows one thing on purpose. A workload is where mutants are hunted and patterns are tested: whatever goes
wrong in it, goes wrong by a random fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from scenarios.catalog.graceful_shutdown.checks import ABANDONED, BEGUN_AFTER_SIGTERM
from scenarios.catalog.partial_batch.checks import REFUSED_AND_FORGOTTEN
from scenarios.checks.invariants import FIFO, STANDARD, Invariant
from scenarios.lab import Lab, QueueInfo
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.simulation.lab import SimulatedLab
from scenarios.simulation.message_mixes import POISON_MARKER, MessageMix, draw_messages
from services.faults import Fault

#: Lab seconds within which everything must be settled, apart from the time that random faults take.
DEADLINE = 60.0

STANDARD_QUEUE = QueueInfo(visibility_timeout=2, max_receive_count=8, fifo=False)
CHAOTIC = DeliveryRates(reorder=0.1, duplicate=0.1, underfill=0.1)
EIGHT_MESSAGES = Parameters(count=8, batch_size=4)
#: What our consumer promises beyond what every consumer does.
_OF_OUR_PATTERNS = (REFUSED_AND_FORGOTTEN, BEGUN_AFTER_SIGTERM, ABANDONED)


@dataclass(frozen=True, slots=True)
class Workload:
    """A scenario that only the simulation can tell, and the queue that it needs.

    Attributes:
        scenario: its scenario and its invariants; it has no witness, since it stages nothing.
        queue: what its queue is like.
        business_field: the payload field by which a side effect is known, empty for the message's own id.
    """

    scenario: Scenario
    queue: QueueInfo
    business_field: str = ""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What distinguishes one workload from another.

    Attributes:
        draws_count: a history has a number of messages of its own, from half of ``count`` up to all of it.
    """

    name: str
    summary: str
    mix: MessageMix
    settings: Mapping[str, Any]
    queue: QueueInfo = STANDARD_QUEUE
    consumers: int = 2
    faults: tuple[Fault, ...] = ()
    parameters: Parameters = EIGHT_MESSAGES
    delivery: DeliveryRates = CHAOTIC
    invariants: tuple[Invariant, ...] = STANDARD
    any_program: bool = False
    draws_count: bool = False


def _workload(shape: _Shape) -> Workload:
    def run(lab: Lab) -> None:
        # The messages are drawn, which no lab of real processes can do.
        simulated = cast("SimulatedLab", lab)
        count = lab.parameters.count
        if shape.draws_count:
            count -= simulated.choices.below((count + 1) // 2)
        messages = draw_messages(simulated.choices, shape.mix, count)
        settings = {**shape.settings, "max_messages": lab.parameters.batch_size}
        consumers = [lab.start_consumer(faults=shape.faults, **settings) for _ in range(shape.consumers)]
        simulated.send(messages)
        lab.settle(deadline=DEADLINE)
        lab.stop(*consumers)

    scenario = Scenario(
        name=shape.name,
        summary=shape.summary,
        pace="fast",
        run=run,
        invariants=shape.invariants if shape.any_program else (*shape.invariants, *_OF_OUR_PATTERNS),
        witnesses=(),
        naive_twin=NaiveTwin(
            "scenarios.catalog.happy.naive:WithoutGuard",
            "claims and the look into the ledger",
            "duplicated-side-effect",
        ),
        defaults=shape.parameters,
        delivery=shape.delivery,
        any_program=shape.any_program,
    )
    return Workload(scenario, shape.queue, shape.mix.business_field)


# --- the workloads --------------------------------------------------------------------------------------------------

ORDERS = _workload(
    _Shape(
        name="orders",
        summary="poison, malformed bodies and second copies among good messages, on a standard queue",
        mix=MessageMix(poison=10, malformed=10, repeated=10),
        settings={"reject_payload_marker": POISON_MARKER},
    )
)
BUSINESS_KEYS = _workload(
    _Shape(
        name="business-keys",
        summary="several messages ask for the same business transaction",
        mix=MessageMix(shared_key=40, business_field="order_id"),
        settings={"business_idempotency_field": "order_id"},
    )
)
ODD_KEYS = _workload(
    _Shape(
        name="odd-keys",
        summary="business keys that hardly differ, and keys that are missing, empty or of a wrong type",
        mix=MessageMix(repeated=10, odd_key=90, no_key=15, business_field="order_id"),
        settings={"business_idempotency_field": "order_id"},
        parameters=Parameters(count=18, batch_size=5),
        draws_count=True,
    )
)
LONG_WORK = _workload(
    _Shape(
        name="long-work",
        summary="work that outlives the visibility timeout, kept by a heartbeat",
        mix=MessageMix(repeated=10),
        settings={"heartbeat_seconds": 0.5},
        # Two of a batch: what stands behind the first waits for longer than its timeout, and then takes long as well.
        faults=(
            Fault("delay", "PerformSideEffect", nth=1, seconds=3.0),
            Fault("delay", "PerformSideEffect", nth=2, seconds=5.0),
        ),
    )
)
FEW_RECEIVES = _workload(
    _Shape(
        name="few-receives",
        summary="work that outlives the visibility timeout, where each receive counts",
        mix=MessageMix(),
        settings={"heartbeat_seconds": 0.5},
        queue=QueueInfo(visibility_timeout=2, max_receive_count=3, fifo=False),
        faults=(Fault("delay", "PerformSideEffect", nth=1, seconds=5.0),),
        delivery=DeliveryRates(reorder=0.1, duplicate=0.0, underfill=0.1),
        parameters=Parameters(count=4, batch_size=1),
    )
)
GROUPS = _workload(
    _Shape(
        name="groups",
        summary="message groups on a FIFO queue",
        mix=MessageMix(groups=2),
        settings={},
        queue=QueueInfo(visibility_timeout=2, max_receive_count=8, fifo=True),
        delivery=DeliveryRates(0.0, 0.0, 0.0),
        invariants=FIFO,
    )
)
ZOMBIES = _workload(
    _Shape(
        name="zombies",
        summary="each consumer fails once at slow work, on a queue that repeats itself",
        mix=MessageMix(),
        settings={},
        queue=QueueInfo(visibility_timeout=2, max_receive_count=20, fifo=False),
        faults=(
            Fault("delay", "PerformSideEffect", nth=0, seconds=1.0),
            Fault("error", "PerformSideEffect"),
        ),
        delivery=DeliveryRates(reorder=0.0, duplicate=0.5, underfill=0.0),
        parameters=Parameters(count=3, batch_size=1),
    )
)

#: What a program is explored in where nothing else is asked for: it knows of no poison and no second copies.
DELIVERIES = _workload(
    _Shape(
        name="deliveries",
        summary="good messages alone, on a standard queue that repeats itself",
        mix=MessageMix(),
        settings={},
        parameters=Parameters(count=4, batch_size=2),
        # A program's histories are few, so that its look-then-act has to meet a second delivery soon.
        delivery=DeliveryRates(reorder=0.1, duplicate=0.4, underfill=0.1),
        any_program=True,
    )
)

ALL: tuple[Workload, ...] = (ORDERS, BUSINESS_KEYS, ODD_KEYS, LONG_WORK, FEW_RECEIVES, GROUPS, ZOMBIES, DELIVERIES)
