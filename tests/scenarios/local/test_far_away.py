"""Far from loopback: every fast scenario and twin comes out the same at 80 and 160 ms, through a delaying proxy."""

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from moto.server import ThreadedMotoServer

from infra.clients import aws_client
from infra.stack.stacks import temporary_stack
from scenarios.catalog import all_scenarios
from scenarios.errors import UnsuitableError
from scenarios.local.latency import PROBES, ROUND_TRIP, measure_latency, stretch_for
from scenarios.local.observer import NoObserver
from scenarios.local.spawner import fork_server
from scenarios.runs.plan import RunRequest, plan_run
from scenarios.runs.run import RunEnvironment, check_distance, run_on, run_scenario
from scenarios.verdict import Outcome
from tests.scenarios.local.far import delayed
from tests.scenarios.local.others import another_consumer

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
    with temporary_stack(["noisy-neighbour"]) as stack:
        elsewhere = RunEnvironment(replace(stack, endpoint_history=None), fresh=True)
        with pytest.raises(
            UnsuitableError, match="noisy-neighbour can be judged on the embedded endpoint or AWS alone"
        ):
            run_on(elsewhere, plan_run(RunRequest("noisy-neighbour", seed=7)), NoObserver())
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


# --- endpoints that do not record their own side -------------------------------------------------------------------

#: What needed the embedded endpoint's own history once.
ONCE_EMBEDDED = ("check-race", "dlq-redrive", "duplicates")


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("name", ONCE_EMBEDDED)
def test_a_scenario_is_judged_without_the_endpoints_own_history(project, name):
    with temporary_stack([name]) as stack, fork_server("elsewhere") as spawner:
        elsewhere = RunEnvironment(replace(stack, endpoint_history=None), fresh=False, spawner=spawner)
        assert not [found for naive in (False, True) if (found := run_once(elsewhere, name, naive))]


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["check-race", "crash", "duplicates", "fifo-order"])
def test_a_scenario_is_judged_on_motos_server(project, moto_server, name):
    for naive in (False, True):
        verdict = run_scenario(RunRequest(name, seed=7, naive=naive, endpoint=moto_server)).verdict
        assert verdict.twin_met if naive else verdict.outcome is Outcome.PASS, verdict.reason
        assert verdict.as_json()["tier"] == "endpoint"
        assert verdict.as_json()["endpoint"] == f"endpoint {moto_server}"
        assert f"--endpoint {moto_server}" in verdict.conditions.command


@pytest.mark.processes
@pytest.mark.thorough
def test_a_twin_that_nothing_went_wrong_for_proves_nothing(project, moto_server):
    """moto's server delivers nothing twice."""
    verdict = run_scenario(RunRequest("happy", seed=7, naive=True, endpoint=moto_server)).verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the failure that it does not survive did not occur" in verdict.reason


@pytest.mark.processes
@pytest.mark.thorough
def test_an_endpoint_without_move_tasks_ends_a_redrive_with_a_sentence(project, moto_server):
    with pytest.raises(UnsuitableError, match="No dead letter can be moved back by a message move task: http://127"):
        run_scenario(RunRequest("dlq-redrive", seed=7, endpoint=moto_server))


@pytest.mark.processes
@pytest.mark.thorough
def test_a_consumer_that_deletes_a_runs_messages_elsewhere_ends_the_run_without_a_verdict(project):
    with temporary_stack(["crash"]) as stack:
        elsewhere = RunEnvironment(replace(stack, endpoint_history=None), fresh=True)
        with (
            another_consumer(stack, "crash"),
            pytest.raises(UnsuitableError, match=r"outside this run has deleted .* the endpoint lost them \(1, "),
        ):
            run_on(elsewhere, plan_run(RunRequest("crash", seed=4)), NoObserver())


@pytest.fixture
def moto_server(monkeypatch):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()
