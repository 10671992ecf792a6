"""Filters: an event source mapping deletes what its filter does not match, and tells nobody.

Orders, refunds and audit notes share a queue, and the function is for orders and refunds. The filter names what it
keeps away: any kind but ``audit``. Notes are deleted without an invocation, and all work is done.

The naive twin's filter names what its author knew: ``"kind": ["order"]``. Refunds match nothing. The mapping deletes
them as well: there is no invocation, no error, no dead letter.
"""

from __future__ import annotations

from scenarios.catalog.lambda_filter.checks import FIELD, NOISE, NOISE_FILTERED, WORK_FILTERED
from scenarios.checks.functions import FUNCTION_SPEED, FunctionStage
from scenarios.checks.invariants import (
    DUPLICATED_SIDE_EFFECT,
    ENDPOINT_MISMATCH,
    IN_FLIGHT_AT_THE_END,
    UNREQUESTED_SIDE_EFFECT,
    WRONGLY_DEAD_LETTERED,
)
from scenarios.lab import Lab
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters

KINDS = ("order", "refund", NOISE)
#: It lets pass what it does not know.
KEEPS_AWAY = '{"body": {"kind": [{"anything-but": ["audit"]}]}}'
#: It lets pass what it knows.
MATCHES = '{"body": {"kind": ["order"]}}'


def run(lab: Lab) -> None:
    """Stage the scenario."""
    for kind in KINDS:
        lab.produce(count=lab.parameters.count, fields={FIELD: kind})

    consumer = lab.start_consumer(max_messages=lab.parameters.batch_size)
    lab.settle(deadline=30 + 0.3 * lab.parameters.count)
    lab.stop(consumer)


SCENARIO = Scenario(
    name="lambda-filter",
    summary="an event filter keeps audit notes away from a function; it must not eat a kind of work that is new",
    theme="Lambda",
    pattern="a filter that names what it keeps away",
    pace="fast",
    speed=FUNCTION_SPEED,
    seconds=4,
    run=run,
    invariants=(
        WORK_FILTERED,
        DUPLICATED_SIDE_EFFECT,
        UNREQUESTED_SIDE_EFFECT,
        WRONGLY_DEAD_LETTERED,
        IN_FLIGHT_AT_THE_END,
        ENDPOINT_MISMATCH,
    ),
    witnesses=(NOISE_FILTERED,),
    naive_twin=NaiveTwin(
        consumer="",
        without="letting pass what the filter does not know",
        violation="work-filtered",
        function={"filters": (MATCHES,)},
    ),
    consumer="services.consumer.lambda_handler:LambdaConsumer",
    function=FunctionStage(
        staged={"maximum_concurrency": 2}, pattern={"report_batch_item_failures": True, "filters": (KEEPS_AWAY,)}
    ),
    defaults=Parameters(count=4, batch_size=10),
    judged_on="embedded endpoint",
    any_handler=True,
)
