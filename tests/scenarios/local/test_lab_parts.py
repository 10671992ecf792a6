"""The parts of the local lab that need no processes."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from scenarios.errors import BusyError, ScenarioError
from scenarios.lab import ConsumerHandle, has_died
from scenarios.local.environment import SERVICE_VARIABLES, WHO_ASKS, as_options, as_variables, service_environment
from scenarios.runs.directory import new_run_directory, only_run, point_latest_at
from services.consumer.settings import ConsumerSettings
from services.producer.settings import ProducerSettings
from tests.scenarios.recorded import Told, operation_of

NOON = datetime(2025, 1, 2, 12, 0, 0, tzinfo=UTC)
RESOURCES = SimpleNamespace(queue_url="http://127.0.0.1:1/0/q", status_table="s", side_effects_table="e", bucket="")


def environment(endpoint_url, login=None, **inherited):
    stack = SimpleNamespace(endpoint_url=endpoint_url, region="r", login_variables=login or {})
    return service_environment(stack, RESOURCES, inherited)


def test_every_variable_of_a_service_is_kept_from_the_users_own_environment():
    aws_identity = {"aws_profile", "aws_access_key_id"}
    read = ConsumerSettings.model_fields.keys() | ProducerSettings.model_fields.keys()
    assert {name.lower() for name in SERVICE_VARIABLES} == read - aws_identity


def test_the_users_own_settings_do_not_reach_a_service_and_the_rest_does():
    made = environment("http://127.0.0.1:1", CRASH_RATE="1", QUEUE_URL="x", AWS_PROFILE="mine", DATABASE="here")
    assert "CRASH_RATE" not in made
    assert "AWS_PROFILE" not in made
    assert (made["QUEUE_URL"], made["DATABASE"]) == (RESOURCES.queue_url, "here")


def test_on_aws_the_users_own_credentials_stay():
    made = environment(None, AWS_PROFILE="mine")
    assert made["AWS_PROFILE"] == "mine"
    assert "AWS_ENDPOINT_URL" not in made


@pytest.mark.parametrize(
    "login",
    [
        {"AWS_PROFILE": "stacks"},
        {"AWS_ACCESS_KEY_ID": "role", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_SESSION_TOKEN": "made-up"},
    ],
    ids=["a profile", "a role"],
)
def test_on_aws_the_stacks_configuration_says_who_asks(login):
    mine = {"AWS_PROFILE": "mine", "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_REGION": "x"}
    made = environment(None, login, **mine)
    assert {name: value for name, value in made.items() if name in WHO_ASKS} == login
    assert made["AWS_REGION"] == "r"


def test_settings_become_variables_and_options_become_arguments():
    assert as_variables({"max_messages": 3}) == {"MAX_MESSAGES": "3"}
    assert as_options({"count": 3, "poison_every": 2, "fields": {"a": 1}}) == [
        *("--n", "3"),
        *("--poison-every", "2"),
        *("--fields", '{"a": 1}'),
    ]


def test_two_runs_of_the_same_second_and_seed_have_directories_of_their_own(tmp_path):
    first, second = (new_run_directory(tmp_path / "runs", "crash", 7, NOON) for _ in range(2))
    assert (first.name, second.name) == ("20250102-120000-crash-7", "20250102-120000-crash-7-2")


def test_latest_names_the_last_run_and_leaves_nothing_else(tmp_path):
    for seed in (7, 8):
        directory = new_run_directory(tmp_path, "crash", seed, NOON)
        point_latest_at(directory)
        assert (tmp_path / "latest").resolve() == directory
    assert len(list(tmp_path.iterdir())) == 3


def test_what_has_the_name_of_the_link_to_the_latest_run_is_told_of_before_the_run(tmp_path):
    (tmp_path / "latest").mkdir()
    with pytest.raises(ScenarioError, match="latest must be the link to the latest run, and is something else; move"):
        new_run_directory(tmp_path, "crash", 7, NOON)
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_a_second_run_of_a_scenario_on_a_stack_is_refused_until_the_first_is_over(tmp_path):
    lock = tmp_path / "stack" / "lock"
    with (
        only_run(lock, "crash", "dev"),
        pytest.raises(BusyError, match="Another run of crash is at work on the stack dev"),
        only_run(lock, "crash", "dev"),
    ):
        pass
    with only_run(lock, "crash", "dev"):
        pass


def doomed(process="victim", *, planned=True, ended=True, kind="crash", settled=False):
    """One message, and a fault that strikes who has it."""
    told = Told()
    told.send("a")
    told.receive(process, "a")
    at = told.begin(process, "Complete", key="a", fencing_token=1)
    fault = {"kind": kind, "operation": "Complete", "point": "after"} | ({"nth": 1} if planned else {})
    told.recorder(process).fault(at, operation_of("Complete", {}), fault)
    if ended:
        told.exit(process, -9)
    if settled:
        told.receive("other", "a", count=2)
        told.delete("other", "a")
    return told.history


@pytest.mark.parametrize("process", ["victim", "victim-2"], ids=["itself", "who took its place"])
def test_a_doomed_consumer_has_died_when_its_scripted_crash_has_ended_it(process):
    assert has_died(ConsumerHandle("victim"))(doomed(process))


@pytest.mark.parametrize("near", [{"planned": False}, {"ended": False}, {"kind": "delay"}, {"process": "rescuer"}])
def test_a_doomed_consumer_lives_until_then_unless_nothing_is_left_to_do(near):
    died = has_died(ConsumerHandle("victim"))
    assert not died(doomed(**near))
    assert died(doomed(**near, settled=True))
