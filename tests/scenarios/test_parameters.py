import dataclasses
import sys

import pytest

from scenarios.catalog import find_scenario
from scenarios.checks.functions import Handler
from scenarios.errors import RequestError
from scenarios.local.timing import Timing
from scenarios.model import NaiveTwin
from scenarios.parameters import Parameters, parameter
from scenarios.runs import plan, run
from scenarios.runs.plan import Place, RunRequest, command_of, invoked, parameters_of
from scenarios.runs.run import speed_of
from services.faults import Fault


@dataclasses.dataclass(frozen=True, slots=True)
class Own(Parameters):
    work: float = parameter(2.5, "visibility timeouts that the work lasts", min=1, max=9)
    rounds: int = parameter(3, "rounds", min=1, max=5)


SCENARIO = dataclasses.replace(find_scenario("happy"), defaults=Own(10, 10))


def test_a_setting_takes_the_type_of_its_parameter_and_the_others_stay():
    assert parameters_of(RunRequest("happy", settings=("work=4", "count=7")), SCENARIO) == Own(7, 10, 4.0, 3)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("work", "--set takes key=value, such as count=20, and is 'work'."),
        ("wrok=1", "The scenario happy has no parameter 'wrok'; it has: count, batch_size, work, rounds."),
        ("work=much", "--set work must be a number, and is 'much'."),
        ("work=nan", "--set work must be a number, and is 'nan'."),
        ("rounds=2.5", "--set rounds must be a whole number, and is '2.5'."),
        ("rounds=6", "--set rounds is 6; the scenario happy needs 1 to 5."),
        ("work=0.5", "--set work is 0.5; the scenario happy needs 1 to 9."),
        ("batch-size=11", "--batch-size is 11; the scenario happy needs 1 to 10."),
    ],
)
def test_a_wrong_setting_is_a_sentence(given, sentence):
    with pytest.raises(RequestError) as refused:
        parameters_of(RunRequest("happy", settings=(given,)), SCENARIO)
    assert str(refused.value) == sentence


def test_a_parameter_that_is_given_twice_is_refused():
    with pytest.raises(RequestError, match="--count and --set count say the same"):
        parameters_of(RunRequest("happy", count=3, settings=("count=3",)), SCENARIO)
    with pytest.raises(RequestError, match="--set gives work twice"):
        parameters_of(RunRequest("happy", settings=("work=3", "work=3")), SCENARIO)


def test_the_command_that_repeats_a_run_holds_what_is_not_the_default():
    request = RunRequest("happy", settings=("work=4", "rounds=3"), speed=5)
    command = command_of(request, SCENARIO, parameters_of(request, SCENARIO), 9)
    assert command == "invoke scenario --name happy --seed 9 --set work=4.0 --speed 5"


def test_a_scenario_has_its_own_parameters_also_in_a_lab_that_was_not_told_of_them():
    class Told:
        parameters = Own(1, 2, 3.0)

    class NotTold:
        parameters = Parameters(1, 2)

    assert Own.of(Told) == Own(1, 2, 3.0)
    assert Own.of(NotTold) == Own(1, 2, 2.5)


def test_a_quicker_clock_shortens_what_a_service_times_itself_and_nothing_else():
    timing = Timing(speed=10.0, visibility_timeout=2.0)
    assert timing.settings({"heartbeat_seconds": 1.0, "wait_time_seconds": 5, "max_messages": 10}) == {
        "claim_lease_seconds": 0.18,
        "heartbeat_seconds": 0.1,
        "wait_time_seconds": 5,
        "max_messages": 10,
    }
    assert timing.settings({"claim_lease_seconds": 5.0}) == {"claim_lease_seconds": 0.5}
    assert timing.faults([Fault("delay", "Claim", seconds=3.0)]) == [Fault("delay", "Claim", seconds=0.3)]
    assert Timing(1.0, 2.0).settings({"heartbeat_seconds": 1.0}) == {"heartbeat_seconds": 1.0}


def test_a_producer_sends_as_many_in_a_second_of_a_quicker_clock_and_no_more_at_once():
    timing = Timing(speed=10.0, visibility_timeout=2.0)
    assert timing.options({"rate": 0.5, "count": 7}) == {"rate": 5.0, "batch_size": 1, "count": 7}
    assert timing.options({"rate": 4.0, "batch_size": 3}) == {"rate": 40.0, "batch_size": 3}
    assert timing.options({"purge_wait": 60.0, "batch_size": 10}) == {"purge_wait": 6.0, "batch_size": 10}
    assert Timing(1.0, 2.0).options({"rate": 4.0, "purge_wait": 60.0}) == {"rate": 4.0, "purge_wait": 60.0}


# --- naive twins by a parameter ----------------------------------------------------------------------------------

ONE_ROUND = dataclasses.replace(
    SCENARIO, naive_twin=NaiveTwin("", "rounds", "lost", settings={"rounds": 1}), speed=10.0
)


def test_a_parameter_makes_the_naive_twin_and_the_command_does_not_repeat_it():
    request = RunRequest("happy", naive=True)
    parameters = parameters_of(request, ONE_ROUND)
    assert parameters == Own(10, 10, 2.5, 1)
    assert command_of(request, ONE_ROUND, parameters, 9, speed=10.0) == (
        "invoke scenario --name happy --seed 9 --naive --speed 10"
    )
    assert parameters_of(RunRequest("happy"), ONE_ROUND) == Own(10, 10, 2.5, 3)


def test_a_parameter_that_makes_the_naive_twin_cannot_be_set_to_another_value():
    sentence = "--set rounds is 2; the naive twin of happy has 1."
    with pytest.raises(RequestError, match=sentence):
        parameters_of(RunRequest("happy", naive=True, settings=("rounds=2",)), ONE_ROUND)
    assert parameters_of(RunRequest("happy", naive=True, settings=("rounds=1",)), ONE_ROUND).rounds == 1


# --- speed -------------------------------------------------------------------------------------------------------


def test_a_scenario_has_a_speed_of_its_own_but_at_an_endpoint_that_keeps_time_itself():
    assert (speed_of(ONE_ROUND), speed_of(SCENARIO)) == (10.0, 1.0)
    assert speed_of(ONE_ROUND, endpoint="http://127.0.0.1:1") == 1.0
    assert (speed_of(ONE_ROUND, program=True), speed_of(SCENARIO, program=True)) == (4.0, 1.0)


@pytest.mark.parametrize(
    ("name", "options", "busy", "free"),
    [
        ("lambda-fifo", {}, 0.5, 2.0),
        ("lambda-fifo", {"naive": True}, 0.5, 2.0),
        ("lambda-fifo", {"handler": Handler("app.handler")}, 0.5, 0.5),
        ("lambda-fifo", {"keep": True}, 0.5, 0.5),
        ("fifo-order", {}, 1.0, 1.0),
        ("fifo-order", {"handler": Handler("app.handler")}, 0.4, 0.4),
    ],
)
def test_our_own_handler_runs_faster_where_the_machine_has_processors_to_spare(monkeypatch, name, options, busy, free):
    speeds = []
    for spare in (False, True):
        monkeypatch.setattr(run, "has_free_processors", lambda spare=spare: spare)
        speeds.append(run.default_speed(find_scenario(name), RunRequest(name, **options)))
    assert speeds == [busy, free]


@pytest.mark.parametrize(
    ("options", "speed", "ending"),
    [
        ({}, 10.0, "--speed 10"),
        ({}, 1.0, "--speed 1"),
        ({"speed": 4.0}, 4.0, "--speed 4"),
        ({"endpoint": "http://127.0.0.1:1"}, 1.0, "--endpoint http://127.0.0.1:1"),
        ({"speed": 4.0, "stack": "my stack"}, 4.0, "--speed 4 --stack 'my stack'"),
        ({"speed": 4.0, "region": "eu-west-1"}, 4.0, "--speed 4 --region eu-west-1"),
    ],
    ids=["its own", "that of the stack", "the one that was asked for", "an endpoint's", "a stack", "a region"],
)
def test_the_command_that_repeats_a_run_says_how_fast_its_clock_ran(options, speed, ending):
    command = command_of(RunRequest("happy", **options), ONE_ROUND, ONE_ROUND.defaults, 9, speed=speed)
    assert command == f"invoke scenario --name happy --seed 9 {ending}"


def test_the_command_that_repeats_a_run_says_where_the_run_really_was():
    request = RunRequest("happy", speed=1.0)  # nothing is said of a place, and the environment chose one
    place = Place(endpoint="http://127.0.0.1:1", region="eu-west-1")
    command = command_of(request, ONE_ROUND, ONE_ROUND.defaults, 9, place=place)
    assert command.endswith("--speed 1 --endpoint http://127.0.0.1:1 --region eu-west-1")


def test_the_command_names_the_project_outside_of_its_directory(tmp_path, monkeypatch):
    inside = tmp_path / "a project" / "docs"
    inside.mkdir(parents=True)
    monkeypatch.setattr(plan, "project_root", lambda: tmp_path / "a project")
    monkeypatch.chdir(inside)
    assert invoked() == "invoke"
    monkeypatch.chdir(tmp_path)
    assert invoked() == f"invoke -r '{tmp_path}/a project'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/queue-fundamentals", "scenario"])
    assert invoked() == "queue-fundamentals"
