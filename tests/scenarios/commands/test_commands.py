import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from infra.errors import EndpointError
from scenarios.catalog import find_scenario
from scenarios.commands import listings, options
from scenarios.commands import scenario as command
from scenarios.commands.output import Progress
from scenarios.errors import DeadlineMissed, ServiceFailedError, UnsuitableError
from scenarios.parameters import Parameters
from scenarios.runs.plan import Place, RunRequest, command_of, plan_run
from scenarios.runs.run import RunResult
from scenarios.verdict import Conditions, judge
from tests.scenarios.test_verdict import good, paid_twice


@pytest.fixture
def staged(monkeypatch, tmp_path):
    """Let no process be started: a request is answered with a told history, and kept."""
    requests = []

    def answer(told, **changes):
        def run_plan(plan, observer):
            request = plan.request
            requests.append(request)
            found = find_scenario(request.scenario)
            conditions = Conditions(7, Parameters(10, 10), "local", naive=request.naive, command="invoke again")
            observer.began(7, tmp_path)
            verdict = judge(found, told().history, conditions)
            return RunResult(**{"verdict": verdict, "history": told().history, "directory": tmp_path} | changes)

        monkeypatch.setattr(command, "run_plan", run_plan)
        return requests

    return lambda told, **changes: answer(told, **{"stack": "tmp-1", "kept": False, "seconds": 1.25} | changes)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": ""}, "error: Which scenario? Give --name; `invoke scenarios` lists them."),
        ({"name": "crash", "consumer": ""}, "error: --consumer is empty; name a class as module:Class, or a program."),
        ({"name": "chrash"}, "error: There is no scenario 'chrash'; did you mean crash?"),
        ({"name": "crash", "seed": "x"}, "error: --seed must be a whole number, 0 or more, and is 'x'."),
        (
            {"name": "crash", "seed": "9" * 19},
            f"error: --seed must be a whole number, 0 or more, of 18 digits at most, and is '{'9' * 19}'.",
        ),
        ({"name": "crash", "seed": "-1"}, "error: --seed must be a whole number, 0 or more, and is '-1'."),
        ({"name": "crash", "count": "1.5"}, "error: --count must be a whole number, 0 or more, and is '1.5'."),
        ({"name": "crash", "count": "2"}, "error: --count is 2; the scenario crash needs 6 to 100000."),
        ({"name": "crash", "batch_size": "11"}, "error: --batch-size is 11; the scenario crash needs 1 to 10."),
        ({"name": "heartbeat", "batch_size": "10"}, "error: --batch-size is 10; the scenario heartbeat needs 1."),
        ({"name": "fifo-order", "batch_size": "1"}, "error: --batch-size is 1; the scenario fifo-order needs 3 to 10."),
        (
            {"name": "crash", "consumer": "nonsense"},
            "error: --consumer is neither module:Class nor a program: 'nonsense' is not there, or cannot be executed.",
        ),
        (
            {"name": "crash", "consumer": "m:C", "naive": True},
            "error: --naive and --consumer both name a consumer; give one of them.",
        ),
        (
            {"name": "crash", "stack": "nowhere"},
            (
                "error: The stack nowhere is not up; `invoke up --stack nowhere` brings it up, "
                "and without --stack a temporary one is made."
            ),
        ),
        (
            {"name": "crash", "endpoint": "here"},
            "error: --endpoint must be the URL of an endpoint such as http://127.0.0.1:5000, and is 'here'.",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence_and_exit_64(project, capsys, options, sentence):
    assert command.scenario(**options) == 64
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == sentence
    assert not (project / "runs").exists()


def test_an_endpoint_of_the_environment_that_can_be_none_is_one_sentence(project, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "garbage")
    assert command.scenario("crash") == 64
    sentence = "error: AWS_ENDPOINT_URL must be the URL of an endpoint such as http://127.0.0.1:5000, and is 'garbage'."
    assert capsys.readouterr().err.splitlines()[-1] == sentence
    assert not (project / "runs").exists()


def test_a_working_directory_that_is_gone_is_one_sentence(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert command.scenario("crash") == 2
    assert capsys.readouterr().err == "error: The working directory is not there any more; change to another one.\n"


@pytest.mark.parametrize(
    "error", [UnsuitableError("No queue."), EndpointError("No endpoint."), DeadlineMissed("Late.")]
)
def test_what_goes_wrong_underneath_is_one_sentence_and_exit_2(monkeypatch, capsys, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(command, "run_plan", fails)
    assert command.scenario("crash") == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_json_is_an_object_also_where_a_run_ends_without_a_verdict(monkeypatch, capsys):
    def fails(*_):
        raise ServiceFailedError("consumer-1 ended.", ["TypeError: x"])

    monkeypatch.setattr(command, "run_plan", fails)
    code = command.scenario("crash", json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "verdict": None,
        "error": "consumer-1 ended.",
        "exit_code": code,
        "log": ["TypeError: x"],
    }
    assert said.err.endswith("  | TypeError: x\nerror: consumer-1 ended.\n")
    code = command.scenario("no-such-scenario", json=True)
    assert json.loads(capsys.readouterr().out)["exit_code"] == code

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_plan", interrupted)
    assert command.scenario("crash", json=True) == 130
    assert json.loads(capsys.readouterr().out)["exit_code"] == 130


def test_a_program_that_fails_has_the_end_of_its_log_on_the_terminal(staged, capsys):
    staged(paid_twice, logs={"consumer-1": ("first", "last")})
    command.scenario("crash")
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("the end of consumer-1's log:")
    assert lines[at + 1 : at + 3] == ["  | first", "  | last"]


def test_an_interrupted_run_ends_with_130(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_plan", interrupted)
    assert command.scenario("crash") == 130
    assert "Interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("told", "code", "word"), [(good, 2, "INCONCLUSIVE"), (paid_twice, 1, "FAIL")])
def test_a_run_prints_verdict_reason_place_and_how_to_repeat_it(staged, capsys, told, code, word):
    staged(told)
    assert command.scenario("crash", seed="7", count="20") == code
    said = capsys.readouterr().out
    assert "seed 7" in said
    assert any(line.startswith(f"{word}  ") for line in said.splitlines())
    assert "reproduce  invoke again" in said
    assert "took       1.2 s on stack tmp-1" in said


def test_options_arrive_as_text_or_as_numbers(staged):
    requests = staged(good)
    command.scenario("crash", seed="7", count=20, batch_size="")
    assert requests == [RunRequest("crash", seed=7, count=20)]


def test_the_configuration_file_names_the_program_where_no_option_does(staged, project):
    (project / "queue-fundamentals.toml").write_text("command = 'true x'\nstartup-timeout = 60\nstrict = true\n")
    requests = staged(good)
    command.scenario("crash", seed="7")
    command.scenario("crash", seed="7", consumer="false y", startup_timeout="5")
    command.scenario("crash", seed="7", naive=True)
    told = [(request.consumer, request.startup_timeout, request.strict) for request in requests]
    assert told == [("true x", 60, True), ("false y", 5.0, True), ("", None, False)]


def test_json_is_all_that_stands_on_standard_output(staged, capsys):
    staged(paid_twice)
    assert command.scenario("crash", json=True) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == "fail"
    assert "seed 7" in said.err


def test_a_twin_that_shows_its_violation_is_said_to(staged, capsys):
    staged(paid_twice)
    assert command.scenario("crash", naive=True) == 1
    assert "it must violate duplicated-side-effect" in capsys.readouterr().out


def test_a_twin_that_does_not_is_said_loudly(staged, capsys):
    staged(good)
    command.scenario("crash", naive=True)
    assert "THE NAIVE TWIN DID NOT VIOLATE duplicated-side-effect" in capsys.readouterr().out


def test_a_kept_stack_comes_with_the_way_to_take_it_down(staged, capsys):
    staged(good, kept=True, stack="kept-1")
    command.scenario("crash", keep=True)
    assert "`invoke down --stack kept-1` takes it down" in capsys.readouterr().out


def test_the_table_lists_every_scenario_with_its_twins_violation(capsys):
    assert listings.scenarios() == 0
    said = capsys.readouterr().out
    for name, violation in (("crash", "duplicated-side-effect"), ("fifo-order", "order-violated")):
        assert any(line.startswith(name) and violation in line for line in said.splitlines())


def test_the_table_as_json_is_json(capsys):
    assert listings.scenarios(json=True) == 0
    assert "crash" in {item["name"] for item in json.loads(capsys.readouterr().out)}


def test_the_command_that_repeats_a_run_names_what_differs_from_the_defaults_and_nothing_else():
    crash = find_scenario("crash")
    assert command_of(RunRequest("crash"), crash, crash.defaults, 7) == "invoke scenario --name crash --seed 7"
    request = RunRequest("crash", naive=True, stack="dev")
    assert command_of(request, crash, Parameters(30, 5), 7) == (
        "invoke scenario --name crash --seed 7 --naive --count 30 --batch-size 5 --stack dev"
    )


def test_elsewhere_than_on_a_terminal_a_stage_that_goes_on_is_one_line():
    out = io.StringIO()
    progress = Progress(Console(file=out), "title")
    with progress:
        for text in ("waiting for a", "waiting for a", "waiting for a", "waiting for b", "waiting for a"):
            progress.stage(text)
    assert [line.partition("s  ")[2] for line in out.getvalue().splitlines()[1:]] == [
        "waiting for a",
        "waiting for b",
        "waiting for a",
    ]


def test_the_users_messages_are_options_too_and_part_of_the_command_that_repeats_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("orders.jsonl").write_text('{"order": {"id": 1}}\n')
    chosen, config = options.configured_consumer("false y", "orders.jsonl", "$.order.id")
    assert (chosen, config.messages.key.text) == ("false y", "$.order.id")
    plan = plan_run(RunRequest("crash", seed=7, consumer=chosen, program=config))
    assert plan.command(1.0, Place()).endswith(
        " scenario --name crash --seed 7 --consumer 'false y' --messages orders.jsonl --message-key '$.order.id'"
    )


@pytest.mark.parametrize(
    ("options_", "sentence"),
    [
        ({"consumer": "false", "message_key": "id"}, "--message-key says where the key stands in the messages of"),
        ({"consumer": "m:C", "messages": "orders.jsonl"}, "--messages is for a program, such as --consumer 'node"),
        ({"tier": "sim", "messages": "orders.jsonl"}, "neither the simulated tier nor a naive twin runs one"),
        ({"consumer": "false", "messages": "none.jsonl"}, "The messages in none.jsonl cannot be read: "),
    ],
)
def test_messages_that_no_program_receives_are_refused(tmp_path, monkeypatch, capsys, options_, sentence):
    monkeypatch.chdir(tmp_path)
    Path("orders.jsonl").write_text('{"id": 1}\n')
    assert command.scenario("crash", **options_) == options.BAD_REQUEST
    assert sentence in capsys.readouterr().err
