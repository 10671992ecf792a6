"""A duplicate that came of a machine too busy convicts nobody; one that came of anything else convicts as always."""

from dataclasses import replace

import pytest

from scenarios.catalog import all_scenarios
from scenarios.checks.invariants import DUPLICATED_SIDE_EFFECT
from scenarios.history import ENDPOINT, LAB
from scenarios.parameters import Parameters
from scenarios.verdict import Conditions, Outcome, judge
from services.consumer.assumptions import ALL, Assumption
from tests.scenarios.recorded import Told

TIMEOUT = 2.0


def done_twice(*, waited=1.0, waiter="late", held=3.0, assumes=ALL, naive=False):
    """Tell of a consumer that held a message for some seconds, in which another one did it, and then did it as well."""
    told = Told(visibility_timeout=TIMEOUT, assumes=sorted(assumes), naive=naive)
    told.send("a", endpoint=True)
    told.receive("late", "a")
    told.now += held / 2
    told.handle("other", "a", count=2)
    told.now += held / 2 - 1.0
    if waited:
        told.event("lab", "waited", waiter=waiter, seconds=waited, within=2.0)
    told.effect("late", "a", executions=2)
    told.ledger(a=2)
    return told.history


def judged(history):
    scenario = replace(all_scenarios()["crash"], invariants=(DUPLICATED_SIDE_EFFECT,))
    return judge(scenario, history, Conditions(1, Parameters(1, 1), "local"))


def duplicates(verdict):
    return len(verdict.violations["duplicated-side-effect"])


@pytest.mark.parametrize("waiter", ["late", ENDPOINT, LAB])
def test_a_duplicate_of_a_consumer_that_the_machine_made_late_is_excused_and_no_pass(waiter):
    verdict = judged(done_twice(waiter=waiter))
    (excuse,) = verdict.excused
    assert duplicates(verdict) == 0
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (excuse.invariant, excuse.message_id) == ("duplicated-side-effect", "m-a")
    assert "late had message #0 in hand for" in verdict.reason
    assert verdict.as_json()["excused"] == [excuse._asdict()]


@pytest.mark.parametrize(
    "near",
    [
        {"waited": 0.0},
        {"waited": 0.4},
        {"waiter": "producer"},
        {"held": 1.1},
        {"assumes": ALL - {Assumption.SHORT_PAUSES}},
    ],
    ids=[
        "no wait",
        "a short wait",
        "another process's wait",
        "in time all the same",
        "it says that it lives with pauses",
    ],
)
def test_a_duplicate_of_anything_else_convicts(near):
    verdict = judged(done_twice(**near))
    assert duplicates(verdict) == 1
    assert not verdict.excused


def test_a_naive_twin_has_to_violate_on_a_busy_machine_as_well():
    assert duplicates(judged(done_twice(naive=True))) == 1
