"""Far from loopback: every fast scenario and twin comes out the same at 80 and 160 ms, through a delaying proxy."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from infra.clients import aws_client
from infra.stack.stacks import temporary_stack
from scenarios.catalog import all_scenarios
from scenarios.errors import UnsuitableError
from scenarios.local.latency import PROBES, ROUND_TRIP, measure_latency, stretch_for
from scenarios.local.observer import NoObserver
from scenarios.local.spawner import fork_server
from scenarios.runs.plan import RunRequest, plan_run
from scenarios.runs.run import RunEnvironment, check_distance, run_on
from scenarios.verdict import Outcome
from tests.scenarios.local.far import delayed

FAST = sorted(name for name, scenario in all_scenarios().items() if scenario.pace == "fast")


def test_a_run_is_stretched_in_proportion_to_the_round_trip():
    assert [stretch_for(seconds) for seconds in (0, 0.001, ROUND_TRIP, 0.021, 0.08, 0.16)] == [1, 1, 1, 2, 4, 8]


def test_the_first_round_trip_opens_the_connection_and_does_not_count():
    ticks = iter([0, 5, *(time for probe in range(1, PROBES) for time in (10 * probe, 10 * probe + 0.1))])
    assert measure_latency(lambda: None, clock=lambda: next(ticks)) == pytest.approx(0.1)


@pytest.mark.processes
@pytest.mark.thorough
def test_a_stack_that_is_too_tight_for_the_distance_is_refused(project):
    with temporary_stack(["happy"]) as stack, delayed(stack.endpoint_url, 0.08) as url:
        far = replace(stack, endpoint_url=url, endpoint_history=None)
        with pytest.raises(UnsuitableError, match="Set timeoutScale to"):
            check_distance(far)
        check_distance(replace(stack, endpoint_history=None), given=15)


@pytest.mark.processes
@pytest.mark.thorough
def test_a_scenario_that_needs_the_embedded_endpoint_is_refused_elsewhere_before_it_stages_anything(project):
    with temporary_stack(["check-race"]) as stack:
        elsewhere = RunEnvironment(replace(stack, endpoint_history=None), fresh=True)
        with pytest.raises(UnsuitableError, match="check-race can be judged on the embedded endpoint alone"):
            run_on(elsewhere, plan_run(RunRequest("check-race", seed=7)), NoObserver())
    assert not (project / "runs").exists()


@pytest.mark.processes
@pytest.mark.thorough
def test_the_proxy_is_as_far_away_as_it_says(project):
    with temporary_stack(["happy"]) as stack, delayed(stack.endpoint_url, 0.08) as url:
        sqs = aws_client("sqs", endpoint_url=url, region=stack.region)
        assert measure_latency(lambda: sqs.list_queues(MaxResults=1), time.perf_counter) >= 0.08


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("milliseconds", [80, 160])
def test_every_fast_scenario_and_its_twin_come_out_the_same_far_away(project, milliseconds):
    stretch = stretch_for(milliseconds / 1000)
    with (
        temporary_stack(FAST, speed=1 / stretch) as stack,
        delayed(stack.endpoint_url, milliseconds / 1000) as url,
        fork_server("far away") as spawner,
        ThreadPoolExecutor(9 * (os.cpu_count() or 1)) as pool,
    ):
        far = RunEnvironment(replace(stack, endpoint_url=url), fresh=False, spawner=spawner)

        def run(name):
            return [run_once(far, name, naive) for naive in (False, True)]

        found = [entry for entries in pool.map(run, FAST) for entry in entries]
    assert not [entry for entry in found if entry]


def run_once(far, name, naive):
    """Run a scenario or its twin; return what was wrong, None for nothing. What is inconclusive is run again."""
    for _ in range(3):
        verdict = run_on(far, plan_run(RunRequest(name, seed=7, naive=naive)), NoObserver()).verdict
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            break
    good = verdict.twin_met if naive else verdict.outcome is Outcome.PASS
    return None if good else (name, naive, verdict.reason)
