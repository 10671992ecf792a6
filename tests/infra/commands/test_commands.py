"""The commands as people and scripts meet them, with real endpoints in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from infra.clients import aws_client
from infra.commands import stacks as commands
from infra.engines.state import Snapshot, write_snapshot
from infra.errors import ConfigError, EndpointError, StackBusyError, StackNotUpError, StateError
from infra.stack.dotenv import clear_dotenv, read_dotenv, write_dotenv
from infra.stack.endpoint import (
    Endpoint,
    StartingEndpoint,
    find_endpoint,
    is_alive,
    process_exists,
    read_endpoint,
    stop_endpoint,
)
from infra.stack.lock import hold_lock
from infra.stack.names import choose_stack
from infra.stack.paths import stack_paths
from infra.stack.stacks import find_stack, temporary_stack, use_stack
from infra.stack.workspace import open_workspace
from infra.topology import TOPOLOGY


def resources_of(entries):
    """Count the stack and its provider; for each scenario three components, two queues, two policies and two tables.

    A bucket is two more, with its component.
    """
    return 2 + 9 * len(entries) + 2 * sum(entry.bucket for entry in entries)


@pytest.fixture
def stacks(project):
    """A project whose stacks are taken down at the end, whatever became of them; `dev` is one scenario's."""
    (project / "Pulumi.dev.yaml").write_text('config: {queue-fundamentals:scenarios: ["happy"]}')
    yield project
    for directory in (project / ".queue-fundamentals").glob("*/"):
        endpoint = read_endpoint(stack_paths(directory.name))
        if endpoint is not None:
            stop_endpoint(endpoint)


def printed(capsys):
    return capsys.readouterr().out


@pytest.mark.processes
def test_a_stack_goes_up_and_down_as_the_commands_tell(stacks, capsys):
    (stacks / ".env").write_text("# mine\nMINE=1\n")
    names = [entry.name for entry in TOPOLOGY if entry.name in ("crash", "fifo-order", "happy", "large-payload")]
    (stacks / "Pulumi.dev.yaml").write_text(f"config: {{queue-fundamentals:scenarios: {json.dumps(names)}}}")
    resources = resources_of([entry for entry in TOPOLOGY if entry.name in names])
    assert commands.up("dev") == 0
    first = printed(capsys)
    assert "4 scenarios up in" in first
    assert f"{resources} created" in first
    assert " + create  aws:sqs/queue:Queue sqs-demo-dev-happy\n" in first

    assert commands.up("dev") == 0
    assert "Nothing to change" in printed(capsys)
    assert commands.preview("dev") == 0
    assert "Nothing to change" in printed(capsys)

    commands.outputs("dev", json=True)
    outputs = json.loads(printed(capsys))
    assert read_dotenv(stacks / ".env") == {
        "MINE": "1",
        "QUEUE_URL": outputs["happy"]["queueUrl"],
        "DLQ_ARN": outputs["happy"]["deadLetterQueueArn"],
        "AWS_REGION": "us-west-1",
        "MESSAGE_STATUS_TABLE": outputs["happy"]["statusTable"],
        "MESSAGE_SIDE_EFFECTS_TABLE": outputs["happy"]["sideEffectsTable"],
        "AWS_ENDPOINT_URL": find_stack("dev").endpoint_url,
    }
    commands.outputs("dev")
    assert f"happy.queueUrl = {outputs['happy']['queueUrl']}\n" in printed(capsys)

    commands.status("dev")
    shown = printed(capsys)
    assert "alive" in shown
    assert f"fifo-order  aws:sqs/queue:Queue  {outputs['fifo-order']['queueUrl']}\n" in shown

    sqs = aws_client("sqs", endpoint_url=find_stack("dev").endpoint_url, region="us-west-1")
    sqs.delete_queue(QueueUrl=outputs["crash"]["queueUrl"])
    sqs.close()
    commands.refresh("dev")
    assert "2 resources are gone" in printed(capsys)
    commands.up("dev", json=True)
    assert json.loads(printed(capsys))["counts"]["create"] == 2

    endpoint = find_endpoint(stack_paths("dev"))
    assert commands.down("dev") == 0
    assert f"{resources} deleted" in printed(capsys)
    assert not is_alive(endpoint)
    assert (stacks / ".env").read_text() == "# mine\nMINE=1\n"
    assert not stack_paths("dev").directory.exists()
    assert find_stack("dev") is None


def test_down_refresh_and_status_of_nothing_say_so(project, capsys):
    for command in (commands.down, commands.refresh, commands.status):
        assert command("dev") == 0
        assert "not up" in printed(capsys)
    with pytest.raises(StackNotUpError, match="invoke up"):
        commands.outputs("dev")
    assert commands.preview("dev") == 0
    assert f"{resources_of(TOPOLOGY)} created" in printed(capsys)
    assert not (project / ".queue-fundamentals").exists()


@pytest.mark.processes
def test_an_endpoint_that_died_is_noticed_and_up_makes_everything_anew_on_the_same_port(stacks, capsys):
    commands.up("dev")
    before = find_stack("dev").endpoint_url
    paths = stack_paths("dev")
    endpoint = find_endpoint(paths)
    os.kill(endpoint.pid, signal.SIGKILL)
    stop_endpoint(endpoint)
    with pytest.raises(EndpointError, match="invoke up"):
        find_stack("dev")
    with pytest.raises(EndpointError, match="invoke up"):
        commands.refresh("dev")
    capsys.readouterr()
    commands.status("dev")
    assert "not running" in printed(capsys)
    commands.up("dev")
    output = capsys.readouterr()
    assert "created again" in output.err
    assert "11 created" in output.out
    assert find_stack("dev").endpoint_url == before
    os.kill(find_endpoint(paths).pid, signal.SIGKILL)
    assert commands.down("dev") == 0
    assert "nothing in it any more" in printed(capsys)
    assert not paths.directory.exists()


@pytest.mark.processes
def test_another_process_is_not_taken_for_the_endpoint_and_not_stopped(stacks):
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    paths = stack_paths("dev")
    stale = Endpoint("http://127.0.0.1:9", bystander.pid, "old", str(paths.history))
    assert not is_alive(stale)
    stop_endpoint(stale)
    assert bystander.poll() is None
    bystander.communicate(b"\n")


@pytest.mark.processes
def test_a_temporary_stack_is_gone_at_the_end_also_after_an_error(stacks):
    seen = []
    with pytest.raises(ZeroDivisionError), temporary_stack(["crash", "fifo-order"]) as stack:  # noqa: PT012 - the block is the test
        seen.append(stack)
        assert stack.scenarios == ("crash", "fifo-order")
        assert stack.scenario("crash").visibility_timeout == 2
        assert stack.scenario("fifo-order").fifo
        assert stack.endpoint_history.exists()
        with pytest.raises(StackNotUpError, match="happy"):
            stack.scenario("happy")
        raise ZeroDivisionError
    assert list((stacks / ".queue-fundamentals").glob("*/")) == []
    assert not (stacks / ".env").exists()


LEFT_BEHIND = """
import os, signal
from infra.stack.stacks import temporary_stack
with temporary_stack(["happy"]) as stack:
    print(stack.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.processes
def test_what_a_killed_run_left_is_cleaned_up_by_the_next(stacks):
    killed = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND], cwd=stacks, capture_output=True, text=True, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    orphan = find_endpoint(stack_paths(killed.stdout.strip()))
    assert orphan is not None
    with temporary_stack(["happy"]), temporary_stack(["happy"]):  # and of two that live neither takes the other down
        assert not is_alive(orphan)
        assert len(list((stacks / ".queue-fundamentals").glob("tmp-*"))) == 2


def test_a_second_process_on_the_same_stack_is_refused(project):
    paths = stack_paths("dev")
    with hold_lock(paths.lock, "stack dev"):
        write_snapshot(paths.state, Snapshot("queue-fundamentals", "dev"))
        for command in (commands.up, commands.refresh, commands.down):
            with pytest.raises(StackBusyError, match=f"Process {os.getpid()} is at work on stack dev"):
                command("dev")
    assert not paths.endpoint.exists()
    with hold_lock(paths.lock, "stack dev"):
        pass


@pytest.mark.processes
def test_an_endpoint_whose_starter_was_killed_is_stopped_or_taken_over_but_never_forgotten(stacks):
    paths = stack_paths("dev")
    first = StartingEndpoint(paths, "us-west-1")
    abandoned = read_endpoint(paths)
    assert abandoned.pid == first.process_id
    endpoint = StartingEndpoint(paths, "us-west-1").wait()
    assert is_alive(endpoint)
    assert process_exists(abandoned.pid) is (endpoint.pid == abandoned.pid)


def test_a_state_cut_in_half_starts_no_endpoint_and_stays(project):
    paths = stack_paths("dev")
    paths.directory.mkdir(parents=True)
    paths.state.write_text('{"format": ')
    for command in (commands.up, commands.down, commands.preview, commands.status, commands.outputs):
        with pytest.raises(StateError, match="kept as it is"):
            command("dev")
    assert paths.state.read_text() == '{"format": '
    assert not paths.endpoint.exists()


@pytest.mark.processes
def test_a_note_of_the_endpoint_that_is_damaged_is_refused_and_kept_and_no_endpoint_is_lost(stacks):
    commands.up("dev")
    paths = stack_paths("dev")
    good = paths.endpoint.read_text()
    for damaged in (
        good[: len(good) // 2],
        '{"pid": "x"}',
        '{"pid":1,"url":"u","instance":3,"history":"h"}',
        '{"pid":1,"url":"http://[::1","instance":"i","history":"h"}',
        "{}",
        "[]",
    ):
        paths.endpoint.write_text(damaged)
        for command in (commands.up, commands.down, commands.status):
            with pytest.raises(EndpointError, match=r"is cut or corrupt .* kept as it is"):
                command("dev")
        assert paths.endpoint.read_text() == damaged
    paths.endpoint.write_text(good)
    assert is_alive(read_endpoint(paths))
    assert commands.down("dev") == 0


@pytest.mark.parametrize("command", [commands.up, commands.status, commands.down])
def test_a_file_where_the_stacks_are_to_be_is_told_of(project, command):
    (project / ".queue-fundamentals").write_text("mine")
    with pytest.raises(
        StateError, match="is a file, and the state of each stack needs a directory of that name; move it"
    ):
        command("dev")
    assert (project / ".queue-fundamentals").read_text() == "mine"


@pytest.mark.processes
def test_a_stack_is_not_taken_down_from_under_a_run(stacks):
    commands.up("dev")
    with (
        hold_lock(stack_paths("dev").directory / "scenario-happy.lock", "happy"),
        pytest.raises(StackBusyError, match=r"A run \(scenario-happy\) is at work on stack dev"),
    ):
        commands.down("dev")
    assert find_stack("dev") is not None
    assert commands.down("dev") == 0


@pytest.mark.processes
def test_a_stack_in_use_is_not_taken_down_and_one_that_goes_down_is_not_used(stacks):
    commands.up("dev")
    with use_stack("dev") as found:
        assert found.scenario("happy").queue_url
        with pytest.raises(StackBusyError, match=r"A run \(use-\d+-\w+\) is at work on stack dev"):
            commands.down("dev")
    # A `down` that has looked for users and found none, and has not deleted anything yet.
    with ThreadPoolExecutor(1) as threads:
        with open_workspace("dev") as workspace:
            used = threads.submit(lambda: _enter(use_stack("dev")))
            with pytest.raises(TimeoutError):
                used.result(timeout=0.5)
            workspace.down()
        assert used.result(timeout=20) is None
    assert not stack_paths("dev").directory.exists()


def _enter(context):
    with context as entered:
        return entered


@pytest.mark.processes
def test_temporary_files_of_a_killed_up_are_swept_by_the_next(stacks):
    commands.up("dev")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    half = stack_paths("dev").directory / f".state.json.{ended.pid}.tmp"
    half.write_text("half")
    commands.up("dev")
    assert not half.exists()
    modes = {path.name: path.stat().st_mode & 0o777 for path in stack_paths("dev").directory.iterdir()}
    assert {"state.json", "target.json", "endpoint.json", "endpoint.log", "endpoint.history.jsonl"} <= set(modes)
    assert set(modes.values()) == {0o600}
    commands.down("dev")


@pytest.mark.processes
def test_a_profile_that_does_not_exist_is_nothing_to_an_endpoint_on_loopback(stacks, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert commands.up("dev") == 0
    assert commands.down("dev") == 0


@pytest.mark.parametrize("spoil", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"A=\xff\n")])
def test_an_env_file_that_cannot_be_read_is_said_before_anything_is_made(project, spoil):
    spoil(project / ".env")
    with pytest.raises(ConfigError, match=r"\.env cannot be read as text"):
        commands.up("dev")
    assert not stack_paths("dev").endpoint.exists()


@pytest.mark.parametrize("name", ["a b", "../up", "a/b/c/d", "/a", "a/", "acme/tmp-1", "ä", "x" * 41, "tmp-1", "a.b"])
def test_a_name_that_cannot_be_a_stacks_is_refused(name):
    with pytest.raises(ConfigError):
        choose_stack(name)


def test_the_stack_is_the_given_one_else_pulumis_else_the_login_names(monkeypatch):
    monkeypatch.setenv("PULUMI_STACK", "from-pulumi")
    assert choose_stack("given") == "given"
    assert choose_stack() == "from-pulumi"
    monkeypatch.delenv("PULUMI_STACK")
    monkeypatch.setattr("getpass.getuser", lambda: "ada.lovelace@example")
    assert choose_stack() == "ada-lovelace-example"


def test_dotenv_keeps_other_lines_and_clears_only_its_own_values(tmp_path):
    path = tmp_path / ".env"
    write_dotenv(path, {"A": "1", "B": "x=y"})
    write_dotenv(path, {"A": "2"})
    assert read_dotenv(path) == {"B": "x=y", "A": "2"}
    clear_dotenv(path, {"A": "1"})
    assert read_dotenv(path) == {"B": "x=y", "A": "2"}
    clear_dotenv(path, {"A": "2"})
    assert path.read_text() == "B=x=y\n"
    clear_dotenv(path, {"B": "x=y"})
    assert not path.exists()


def test_the_example_in_git_has_the_variables_that_an_up_writes():
    example = read_dotenv(Path(__file__).parents[3] / ".env.example")
    assert example.keys() >= {*commands._OUTPUTS, "AWS_REGION", "AWS_ENDPOINT_URL"}


CONSUMER = """
config:
  queue-fundamentals:scenarios: [happy]
  queue-fundamentals:lambdaConsumers:
    happy: {code: ./handler, handler: app.handler, runtime: python3.12, maximumConcurrency: 2}
"""


@pytest.mark.processes
def test_a_stack_with_a_function_consumes_what_is_sent_and_ends_with_it(stacks, capsys):
    (stacks / "handler").mkdir()
    (stacks / "handler" / "app.py").write_text("def handler(event, context):\n    print(event['Records'][0]['body'])\n")
    (stacks / "Pulumi.dev.yaml").write_text(CONSUMER)
    assert commands.up("dev") == 0
    said = " ".join(printed(capsys).split())
    assert "1 scenario up in" in said
    consumer = find_stack("dev").outputs["lambdaConsumers"]["happy"]["function"]
    group = f"/aws/lambda/{consumer}"
    assert f"Function {consumer} consumes the queue of happy. Its log group: {group}" in said
    assert commands.status("dev") == 0
    assert "aws:lambda/eventSourceMapping:EventSourceMapping" in printed(capsys)

    url = find_stack("dev").endpoint_url
    with closing(client_of("sqs", url)) as sqs, closing(client_of("logs", url)) as logs:
        sqs.send_message(QueueUrl=find_stack("dev").scenario("happy").queue_url, MessageBody="order 1")
        deadline = time.monotonic() + 30
        while "order 1" not in log_of(logs, group):
            assert time.monotonic() < deadline, log_of(logs, group)
    pids = children_of(read_endpoint(stack_paths("dev")).pid)
    assert commands.down("dev") == 0
    assert not any(process_exists(pid) for pid in pids)
    assert "its endpoint has ended" in printed(capsys)


def client_of(service, url):
    return aws_client(service, endpoint_url=url, region="us-west-1")


def log_of(logs, group):
    return "".join(event["message"] for event in logs.filter_log_events(logGroupName=group)["events"])


def children_of(pid):
    """Return the processes that one has started, where the system tells."""
    return [int(each) for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()]
