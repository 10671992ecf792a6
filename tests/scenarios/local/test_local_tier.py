"""The scenarios end to end, on real processes and an endpoint of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from infra.clients import aws_client
from infra.commands.validate import validate
from infra.stack.stacks import find_stack
from infra.stack.workspace import open_workspace
from scenarios.catalog import find_scenario
from scenarios.errors import LabError, RequestError, ServiceFailedError, UnsuitableError
from scenarios.history.files import read_history
from scenarios.local.stack_resources import StackResources
from scenarios.model import DeliveryRates
from scenarios.runs import plan
from scenarios.runs.plan import RunRequest
from scenarios.runs.run import run_scenario
from scenarios.verdict import Outcome
from services.errors import MachineError
from tests.localaws.lab import get, post
from tests.scenarios.local.others import another_consumer
from tests.speeds import first_then_thorough

pytestmark = pytest.mark.processes

#: One on each kind of queue; tests/scenarios/runs/test_suite.py runs the others, side by side.
SCENARIOS = ("crash", "fifo-order")


@contextmanager
def stack_with(*scenarios):
    """A stack that is up for the time of a block."""
    with open_workspace("dev", overrides={"scenarios": list(scenarios)}) as workspace:
        workspace.up()
    try:
        yield find_stack("dev")
    finally:
        with open_workspace("dev") as workspace:
            workspace.discard()


def processes_of(project):
    """Return the command lines of the living processes that were told of this project."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(project).encode() in told:
                found.append((entry / "cmdline").read_bytes())
    return found


@pytest.mark.parametrize("name", first_then_thorough(1, SCENARIOS))
def test_a_scenario_passes_and_its_twin_fails_with_the_violation_it_names(project, name):
    passed = run_scenario(RunRequest(name, seed=7))
    assert passed.verdict.outcome is Outcome.PASS, passed.verdict.reason
    assert (project / "runs" / "latest").resolve() == passed.directory

    failed = run_scenario(RunRequest(name, seed=7, naive=True))
    assert failed.verdict.outcome is Outcome.FAIL
    assert failed.verdict.twin_met, failed.verdict.reason
    assert {name for name, found in failed.verdict.violations.items() if found} == {
        find_scenario(name).naive_twin.violation
    }

    # The same seed sent the same messages, each run left its files, and nothing else is left.
    sent = [[(m.message_id, m.key, m.group, m.poison) for m in run.history.sends] for run in (passed, failed)]
    assert sent[0] == sent[1]
    assert (passed.directory / "report.html").read_text().startswith("<!doctype html>")
    document = json.loads((passed.directory / "verdict.json").read_bytes())
    assert (document["verdict"], document["seed"]) == ("pass", 7)
    assert read_history(passed.directory / "history.jsonl").records == passed.history.records
    files = [path for path in passed.directory.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"history.jsonl", "verdict.json", "report.html"}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
    assert processes_of(project) == []
    assert not list((project / ".queue-fundamentals").glob("tmp-*"))


def test_a_stack_that_is_up_is_used_again_and_what_is_missing_in_it_is_named(project):
    first = run_scenario(RunRequest("happy", seed=1, keep=True))
    try:
        again = run_scenario(RunRequest("happy", seed=1, stack=first.stack, count=5))
        assert (first.kept, again.kept, again.stack) == (True, False, first.stack)
        assert again.verdict.outcome is Outcome.PASS, again.verdict.reason
        with pytest.raises(RequestError, match=f"The clock of the stack {first.stack} runs at speed 1, not 2;"):
            run_scenario(RunRequest("happy", stack=first.stack, speed=2))

        stack = find_stack(first.stack)
        table = stack.scenario("happy").side_effects_table
        aws_client("dynamodb", endpoint_url=stack.endpoint_url, region=stack.region).delete_table(TableName=table)
        before = sorted((project / "runs").iterdir())
        with pytest.raises(UnsuitableError, match=f"There is no table {table}"):
            run_scenario(RunRequest("happy", stack=first.stack))
        assert sorted((project / "runs").iterdir()) == before, "a run that is refused leaves no directory"
    finally:
        with open_workspace(first.stack) as workspace:
            workspace.discard()
    assert processes_of(project) == []


@pytest.mark.parametrize(
    ("deletes", "what"),
    first_then_thorough(1, [(True, "and deleted them"), (False, "which no consumer of this run got")]),
)
def test_a_run_whose_messages_another_consumer_takes_by_short_polls_is_no_conviction(project, deletes, what):
    # The scenario sends all of its messages before its consumers start.
    with (
        stack_with("crash") as stack,
        another_consumer(stack, "crash", deletes=deletes),
        pytest.raises(UnsuitableError, match=rf"outside this run .* {what} \(1, message #\d+ among them\)"),
    ):
        run_scenario(RunRequest("crash", stack="dev", seed=4))
    (directory,) = (project / "runs").iterdir()
    assert read_history(directory / "history.jsonl").endpoint("delivered")
    assert not (directory / "verdict.json").exists()
    assert processes_of(project) == []


def rates_of(stack, name):
    """How a scenario's queue on the embedded endpoint delivers at present."""
    return get(f"{stack.endpoint_url}/_localaws/queues/{stack.scenario(name).queue_name}/delivery")


@pytest.mark.thorough
def test_a_stacks_delivery_rates_are_as_before_when_a_run_has_passed_was_refused_or_was_killed(project, monkeypatch):
    with stack_with("happy") as stack:
        before = rates_of(stack, "happy")
        during = []

        def story(lab):
            during.append(rates_of(stack, "happy"))
            raise LabError("broken")

        run_scenario(RunRequest("happy", seed=3, stack="dev", count=2))
        assert rates_of(stack, "happy") == before
        monkeypatch.setattr(plan, "find_scenario", lambda _: replace(find_scenario("happy"), run=story))
        with pytest.raises(LabError, match="broken"):
            run_scenario(RunRequest("happy", seed=3, stack="dev"))
        assert during[0] != rates_of(stack, "happy") == before

        # What SIGKILL ends gives nothing back. The endpoint sees that the process is gone, at the next reset at latest.
        program = (
            "import os, signal; from infra.stack.stacks import find_stack; from scenarios.model import DeliveryRates\n"
            "from scenarios.local.stack_resources import StackResources; stack = find_stack('dev')\n"
            "hands = StackResources(stack, stack.scenario('happy'), lambda _: None)\n"
            "hands.reset(1, DeliveryRates(duplicate=1.0), fresh=True); os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        killed = subprocess.run([sys.executable, "-c", program], cwd=project, check=False)
        assert killed.returncode == -signal.SIGKILL
        other = stack.scenario("happy").dead_letter_queue_name
        post(f"{stack.endpoint_url}/_localaws/queues/{other}/reset", {})
        assert rates_of(stack, "happy") == before


def test_the_command_that_repeats_a_run_names_the_stack_that_was_found_and_the_verdict_where_it_ran(
    project, monkeypatch, tmp_path_factory
):
    with stack_with("happy"):
        monkeypatch.setenv("PULUMI_STACK", "dev")
        verdict = run_scenario(RunRequest("happy", seed=3, count=2)).verdict
        assert verdict.conditions.command == "invoke scenario --name happy --seed 3 --count 2 --stack dev"
        assert (verdict.as_json()["tier"], verdict.as_json()["endpoint"]) == ("local", "embedded endpoint")
        with pytest.raises(RequestError, match=r"The stack dev is in us-west-1, not eu-west-1; leave out --region\."):
            run_scenario(RunRequest("happy", region="eu-west-1"))


def test_a_changed_queue_is_refused_by_name_and_validate_names_it_as_well(project, capsys):
    with stack_with("happy") as stack:
        resources = stack.scenario("happy")
        sqs = aws_client("sqs", endpoint_url=stack.endpoint_url, region=stack.region)
        hands = StackResources(stack, resources, lambda _: None)

        def change(name, value):
            sqs.set_queue_attributes(QueueUrl=resources.queue_url, Attributes={name: value})

        before = sqs.get_queue_attributes(QueueUrl=resources.queue_url, AttributeNames=["All"])["Attributes"]
        policy = {"deadLetterTargetArn": resources.dead_letter_queue_arn, "maxReceiveCount": 1}
        promised = {"deadLetterTargetArn": resources.dead_letter_queue_arn, "maxReceiveCount": 2}
        for name, value, told, expected in (
            ("DelaySeconds", "900", 900, 0),
            ("VisibilityTimeout", "43200", 43200, resources.visibility_timeout),
            ("ReceiveMessageWaitTimeSeconds", "1", 1, resources.receive_wait),
            ("MessageRetentionPeriod", "60", 60, 345600),
            ("MaximumMessageSize", "1024", 1024, 262144),
            ("RedrivePolicy", json.dumps(policy), policy, promised),
        ):
            hands.check(fifo=False)
            change(name, value)
            sentence = f"{name} of the queue {resources.queue_name} is {told}, and the stack dev promises {expected}; "
            with pytest.raises(UnsuitableError, match=re.escape(sentence) + r"`invoke refresh`, then `invoke up`, "):
                hands.check(fifo=False)
            assert validate("dev") == 1
            assert f"{name} of {resources.queue_name} is {told}, and should be {expected}" in capsys.readouterr().out
            change(name, before[name])
        assert validate("dev") == 0
        change("DelaySeconds", "900")
        change("VisibilityTimeout", "1")
        with pytest.raises(UnsuitableError, match=r"VisibilityTimeout of the queue .* \(and DelaySeconds too\); "):
            run_scenario(RunRequest("happy", stack="dev"))
        sqs.close()
    assert processes_of(project) == []


def test_a_run_with_another_consumer_or_without_a_judgement_is_refused(project):
    with stack_with("happy") as stack:
        resources = stack.scenario("happy")
        sqs = aws_client("sqs", endpoint_url=stack.endpoint_url, region=stack.region)
        told = []

        def receive():
            told.append("begun")
            sqs.receive_message(QueueUrl=resources.queue_url, WaitTimeSeconds=20)

        stranger = threading.Thread(target=receive)
        stranger.start()
        deadline = time.monotonic() + 15
        refused = None
        while refused is None and time.monotonic() < deadline:
            try:
                # Until the stranger's poll has arrived, a run of no messages' worth does no harm.
                StackResources(stack, resources, lambda _: None).reset(1, DeliveryRates(), fresh=True)
            except UnsuitableError as error:
                refused = str(error)
        assert refused is not None
        assert f"Another consumer is receiving from the queue {resources.queue_name}" in refused
        with pytest.raises(UnsuitableError, match="Another consumer is receiving"):
            run_scenario(RunRequest("happy", stack="dev"))
        sqs.send_message(QueueUrl=resources.queue_url, MessageBody="go")
        stranger.join()
        sqs.close()

        stack.endpoint_history.unlink()
        with pytest.raises(UnsuitableError, match=r"history, .* is gone"):
            run_scenario(RunRequest("happy", stack="dev"))
    assert processes_of(project) == []


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("happy", "yield Delete((delivery.message,))\n        return (yield from super().process(delivery))"),
        ("duplicates", "outcome = yield from super().process(delivery)\n        return Outcome.DONE"),
    ],
    ids=["deletes-first", "deletes-what-is-held"],
)
def test_a_consumer_that_deletes_what_is_not_done_is_convicted_although_nothing_was_lost(project, name, step):
    (project / "mine.py").write_text(
        "from services.consumer.consumer import Consumer, Outcome\nfrom services.operations import Delete\n\n\n"
        f"class Mine(Consumer):\n    def process(self, delivery):\n        {step}\n"
    )
    result = run_scenario(RunRequest(name, seed=3, consumer="mine:Mine"))
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.violations["deleted-before-done"]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "count"), [("duplicates", 300), ("heartbeat", 200)])
def test_many_messages_take_longer_and_are_judged_all_the_same(project, name, count):
    verdict = run_scenario(RunRequest(name, seed=7, count=count)).verdict
    assert verdict.outcome is Outcome.PASS, verdict.reason


def test_a_machine_at_its_end_is_no_verdict_on_the_consumer(project):
    (project / "hungry.py").write_text(
        "from services.consumer.consumer import Consumer\n\n\n"
        "class Hungry(Consumer):\n    def perform(self, delivery):\n        raise MemoryError\n        yield\n"
    )
    with pytest.raises(MachineError, match=r"^consumer-\d: The memory of this machine is exhausted; "):
        run_scenario(RunRequest("happy", seed=3, consumer="hungry:Hungry"))
    assert processes_of(project) == []


def test_a_deadline_that_is_missed_makes_a_run_inconclusive_and_leaves_no_process(project, monkeypatch):
    def story(lab):
        lab.start_consumer()
        lab.produce()
        lab.settle(deadline=20)
        lab.wait_for(lambda history: False, deadline=0.1, what="a miracle")

    scenario = replace(find_scenario("happy"), run=story)
    monkeypatch.setattr(plan, "find_scenario", lambda _: scenario)
    result = run_scenario(RunRequest("happy", seed=3))
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.verdict.reason == "Timed out after 0.1 s waiting for a miracle."
    assert processes_of(project) == []


def test_a_consumer_that_is_stopped_before_it_has_started_is_no_failure(project, monkeypatch):
    def story(lab):
        lab.stop(lab.start_consumer())

    scenario = replace(find_scenario("happy"), run=story)
    monkeypatch.setattr(plan, "find_scenario", lambda _: scenario)
    result = run_scenario(RunRequest("happy", seed=3))
    assert result.history.exits["consumer-1"].code == -signal.SIGTERM
    assert result.verdict.outcome is Outcome.INCONCLUSIVE


def test_a_consumer_of_the_users_own_takes_the_place_of_ours(project):
    (project / "mine.py").write_text(
        "from scenarios.catalog.poison.naive import DeletesRejected\n\n\nclass Careless(DeletesRejected):\n    pass\n"
    )
    result = run_scenario(RunRequest("poison", seed=3, consumer="mine:Careless"))
    assert result.verdict.violations["poison-acknowledged"]
    assert result.verdict.conditions.command.endswith("--consumer mine:Careless")


#: It can be loaded, and not by the process that is to run it.
NOT_THERE = """
import os

from services.consumer.consumer import Consumer

if "PROCESS_NAME" in os.environ:
    raise ImportError("not in here")


class Home(Consumer):
    pass
"""


def test_a_consumer_that_cannot_start_is_one_sentence_and_what_was_there_is_kept(project):
    (project / "somebody.py").write_text(NOT_THERE)
    with pytest.raises(ServiceFailedError, match=r"consumer-1 ended with exit code 2: .*'somebody:Home'.* \(its log: "):
        run_scenario(RunRequest("poison", seed=3, consumer="somebody:Home"))
    (directory,) = (project / "runs").iterdir()
    assert read_history(directory / "history.jsonl").exits["consumer-1"].code == 2
    assert not (directory / "verdict.json").exists()
    assert processes_of(project) == []


def test_a_consumer_that_is_nowhere_is_said_before_anything_is_made(project):
    with pytest.raises(RequestError, match=r"'nobody:Home' cannot be loaded: .*neither in the working directory"):
        run_scenario(RunRequest("poison", seed=3, consumer="nobody:Home"))
    assert not (project / "runs").exists()


@pytest.mark.parametrize(("number", "code"), first_then_thorough(1, [(signal.SIGINT, 130), (signal.SIGTERM, 143)]))
def test_an_interrupted_run_leaves_no_process_and_no_half_written_file(project, number, code):
    program = "import sys; from scenarios.commands.scenario import scenario; sys.exit(scenario('crash', seed=5))"
    with (project / "said").open("wb") as said:
        run = subprocess.Popen(
            [sys.executable, "-c", program], cwd=project, stdout=said, stderr=said, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 30
        while not list(project.glob("runs/*/processes/dies-*.jsonl")):
            assert run.poll() is None, (project / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(number)
        assert run.wait(timeout=30) == code, (project / "said").read_text()
    finally:
        run.kill()
        run.wait()
    assert processes_of(project) == []
    (directory,) = (project / "runs").iterdir()
    assert sorted(item.name for item in directory.iterdir()) == ["history.jsonl", "processes"]
    assert read_history(directory / "history.jsonl").sends
    assert "Traceback" not in (project / "said").read_text()
