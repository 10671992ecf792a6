"""Sets of scenarios: how they are judged without any process, and two real ones with few."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from scenarios.catalog import all_scenarios, find_scenario
from scenarios.commands.status_line import make_console
from scenarios.commands.suite import suite
from scenarios.commands.suite_output import SuiteProgress
from scenarios.history.files import read_history
from scenarios.runs import suite as suites
from scenarios.runs.suite import Entry, SuiteRequest, run_suite, worst
from scenarios.verdict import Outcome
from tests.scenarios.local.test_local_tier import SCENARIOS, processes_of


def entry(outcome, *, naive=False, twin_met=None, error="", undeclared=False):
    if error:
        return Entry(find_scenario("happy"), naive, None, error)
    verdict = SimpleNamespace(outcome=outcome, twin_met=twin_met, is_undeclared=undeclared)
    return Entry(find_scenario("happy"), naive, SimpleNamespace(verdict=verdict))


PASS, FAIL, UNCLEAR = entry(Outcome.PASS), entry(Outcome.FAIL), entry(Outcome.INCONCLUSIVE)
TWIN, TWIN_ELSEWHERE = (entry(Outcome.FAIL, naive=True, twin_met=met) for met in (True, False))


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([PASS, TWIN], 0),
        ([PASS, UNCLEAR], 2),
        ([UNCLEAR, FAIL, PASS], 1),
        ([PASS, TWIN_ELSEWHERE], 1),
        ([PASS, entry(None, error="no queue")], 2),
        ([PASS, entry(Outcome.INCONCLUSIVE, undeclared=True)], 0),
        ([UNCLEAR, entry(Outcome.INCONCLUSIVE, undeclared=True)], 2),
    ],
)
def test_the_exit_code_of_a_set_is_that_of_its_worst_run(entries, code):
    assert worst(entries) == code


@pytest.mark.parametrize(
    ("naive", "outcomes", "runs", "code"),
    [
        (False, [Outcome.INCONCLUSIVE, Outcome.PASS], 2, 0),
        (False, [Outcome.INCONCLUSIVE] * 9, 3, 2),
        (False, [Outcome.FAIL, Outcome.PASS], 1, 1),
        (False, [Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.PASS], 2, 1),
        (True, [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL], 3, 0),
    ],
    ids=["too late", "never", "a violation stands", "a violation when repeated stands", "a twin that was too late"],
)
def test_what_has_shown_nothing_is_repeated_by_itself_and_a_violation_never(monkeypatch, naive, outcomes, runs, code):
    happy, seen = find_scenario("happy"), []

    def run_on(environment, plan, watcher):
        seen.append(plan.request.naive)
        if plan.request.naive is not naive:
            return entry(Outcome.FAIL if plan.request.naive else Outcome.PASS, twin_met=True).result
        outcome = outcomes[seen.count(naive) - 1]
        return entry(outcome, twin_met=outcome is Outcome.FAIL).result

    environment = suites.RunEnvironment(SimpleNamespace(name="s"), fresh=True)
    monkeypatch.setattr(suites, "_environments", lambda request, spawner: nullcontext({"happy": environment}))
    monkeypatch.setattr(suites, "fork_server", lambda told: nullcontext())
    monkeypatch.setattr(suites, "run_on", run_on)
    told = Mock()
    entries = run_suite(SuiteRequest((happy,), twins=True), told)
    assert seen.count(naive) == runs
    assert worst(entries) == code
    assert [call.kwargs["again"] for call in told.ended.call_args_list].count(True) == runs - 1


def test_a_set_begins_with_what_takes_longest_and_tells_in_the_order_of_the_request(monkeypatch):
    chosen, began = tuple(map(find_scenario, ("happy", "heartbeat", "crash"))), []

    def run_on(environment, plan, watcher):
        began.append((plan.scenario.name, plan.request.naive))
        return entry(Outcome.FAIL if plan.request.naive else Outcome.PASS, twin_met=True).result

    environment = suites.RunEnvironment(SimpleNamespace(name="s"), fresh=True)
    monkeypatch.setattr(
        suites, "_environments", lambda request, spawner: nullcontext(dict.fromkeys(all_scenarios(), environment))
    )
    monkeypatch.setattr(suites, "fork_server", lambda told: nullcontext())
    monkeypatch.setattr(suites, "run_on", run_on)
    entries = run_suite(SuiteRequest(chosen, twins=True, jobs=1), Mock())
    longest_first = ["heartbeat", "crash", "happy"]
    assert began == [(name, naive) for naive in (False, True) for name in longest_first]
    assert [(each.scenario.name, each.naive) for each in entries] == [
        (each.name, naive) for naive in (False, True) for each in chosen
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pace": "swift"}, "error: --pace is fast or slow, not 'swift'."),
        ({"jobs": "0"}, "error: --jobs must be a whole number, from 1 to 256, and is 0."),
        ({"speed": "warp"}, "error: --speed must be a number from 0.1 to 100, and is 'warp'."),
        ({"speed": "nan"}, "error: --speed must be a number from 0.1 to 100, and is 'nan'."),
        ({"stack": "nowhere"}, "error: The stack nowhere is not up; `invoke up --stack nowhere` brings it up."),
    ],
)
def test_what_cannot_be_asked_of_a_set_is_one_sentence_and_exit_64(project, capsys, options, sentence):
    assert suite(**options) == 64
    assert capsys.readouterr().err.strip() == sentence


@pytest.fixture
def two(monkeypatch):
    scenarios = {name: find_scenario(name) for name in ("happy", "poison")}
    monkeypatch.setattr("scenarios.runs.plan.all_scenarios", lambda: scenarios)


@pytest.mark.processes
@pytest.mark.thorough
def test_a_set_runs_side_by_side_on_one_stack_at_a_higher_speed_with_its_twins(project, two, capsys):
    assert suite("fast", twins=True, seed=7, speed=3, json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(run["scenario"], run["naive"], run["verdict"]) for run in said["runs"]] == [
        ("happy", False, "pass"),
        ("poison", False, "pass"),
        ("happy", True, "fail"),
        ("poison", True, "fail"),
    ]
    runs = list((project / "runs").glob("2*"))
    assert len(runs) == 4
    # The endpoint says itself how fast its clock runs.
    assert {read_history(run / "history.jsonl").events("run")[0]["speed"] for run in runs} == {3.0}
    assert processes_of(project) == []
    assert not list((project / ".queue-fundamentals").glob("tmp-*"))


@pytest.mark.processes
@pytest.mark.thorough
def test_every_other_fast_scenario_passes_and_its_twin_shows_its_violation_and_no_other(project):
    # Those that are missing here run one by one in test_local_tier.
    chosen = tuple(
        scenario for name, scenario in all_scenarios().items() if scenario.pace == "fast" and name not in SCENARIOS
    )
    entries = run_suite(SuiteRequest(chosen, twins=True, seed=7), SuiteProgress(make_console(stderr=True)))
    for entry in entries:
        verdict = entry.result.verdict
        violated = {name for name, found in verdict.violations.items() if found}
        if entry.naive:
            assert violated == {entry.scenario.naive_twin.violation}, (entry.scenario.name, verdict.reason)
        else:
            assert verdict.outcome is Outcome.PASS, (entry.scenario.name, verdict.reason)
    assert len(entries) == 2 * len(chosen) > 0
    assert processes_of(project) == []


@pytest.mark.processes
@pytest.mark.thorough
def test_the_slow_scenarios_pass_at_a_speed_of_their_own_beside_a_fast_one(project):
    chosen = (find_scenario("happy"), *(each for each in all_scenarios().values() if each.pace == "slow"))
    entries = run_suite(SuiteRequest(chosen, seed=7), SuiteProgress(make_console(stderr=True)))
    assert len(entries) == len(chosen) > 1
    for entry in entries:
        verdict = entry.result.verdict
        assert verdict.outcome is Outcome.PASS, (entry.scenario.name, verdict.reason)
        assert verdict.as_json()["speed"] == entry.scenario.speed
        assert verdict.conditions.command.endswith("--seed 7" if entry.scenario.speed == 1 else "--seed 7 --speed 10")
    # A clock has one speed, so there is a stack for each.
    assert len({(entry.result.stack, entry.scenario.speed) for entry in entries}) == 2
    assert processes_of(project) == []


@pytest.mark.processes
@pytest.mark.thorough
def test_a_run_that_cannot_be_ended_well_is_an_entry_of_its_set_and_not_its_end(project, two, capsys, monkeypatch):
    run_on = suites.run_on

    def broken(environment, plan, watcher):
        if plan.scenario.name == "happy":
            raise suites.ScenarioError("it rains")
        return run_on(environment, plan, watcher)

    monkeypatch.setattr(suites, "run_on", broken)
    assert suite("fast") == 2
    said = capsys.readouterr().out
    assert "happy: it rains" in said
    assert "1 of 2 ok" in said


@pytest.mark.processes
@pytest.mark.thorough
def test_an_interrupted_set_leaves_no_process(project):
    program = "import sys; from scenarios.commands.suite import suite; sys.exit(suite('fast'))"
    with (project / "said").open("wb") as said:
        run = subprocess.Popen(
            [sys.executable, "-c", program], cwd=project, stdout=said, stderr=said, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 30
        while len(list(project.glob("runs/*/processes/*consumer*.jsonl"))) < 2:
            assert run.poll() is None, (project / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGINT)
        assert run.wait(timeout=30) == 130, (project / "said").read_text()
    finally:
        run.kill()
        run.wait()
    assert processes_of(project) == []
    assert "Traceback" not in (project / "said").read_text()
