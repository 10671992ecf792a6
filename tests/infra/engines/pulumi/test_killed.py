"""The real engine killed in the middle of its work: another run converges, nothing is left over and nothing is lost."""

import os
import signal
import subprocess
import sys
from uuid import uuid4

import pytest
from pulumi.automation import CommandError, CommandResult
from pulumi.automation.events import DiagnosticEvent, EngineEvent

from infra.engines.engine import ignore_steps
from infra.engines.plan import Operation
from infra.errors import DeploymentError
from infra.provider.creations import CreationLog
from infra.provider.schema import DEFAULTS_KEY
from infra.stack.paths import STATE_DIRECTORY
from tests.infra.engines.pulumi.labs import REGION
from tests.infra.engines.pulumi.topology import QueueEntry, program_of

pytestmark = [pytest.mark.pulumi_cli, pytest.mark.processes]

OLD, NEW = 30, 60
SECONDS = 60


@pytest.fixture
def stack():
    return f"k{uuid4().hex[:8]}"


def program(timeout):
    return program_of([QueueEntry("e", visibility_timeout=timeout)])


def run_until_killed(real, operation, stack, timeout, *point):
    """Run an operation in a process of its own that must die at the point; a witness that the fault struck."""
    arguments = [operation, stack, str(timeout), real.endpoint.url, str(real.directory), *map(str, point)]
    process = subprocess.run(
        [sys.executable, "-m", "tests.infra.engines.pulumi.deploy_and_die", *arguments],
        env={**os.environ, **real.settings.environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        start_new_session=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr


def expect_converged(real, stack, timeout):
    """Everything is there once and as described, and the engine agrees."""
    found = real.endpoint.contents(f"{stack}-")
    queues = real.endpoint.queues(f"{stack}-")
    assert len(queues) == len(found) == 2
    source = next(entry for url, entry in found.items() if "-dlq" not in url)
    assert source["attributes"]["VisibilityTimeout"] == str(timeout)
    assert "RedrivePolicy" in source["attributes"]
    plan = real.engine(stack, program(timeout)).up()
    assert plan.changes == []


@pytest.mark.parametrize(
    "point",
    [
        ("before", 1, "both"),
        ("after", 1, "both"),
        ("after", 2, "self"),
        ("after", 3, "both"),
        ("before", 4, "self"),
        ("after", 4, "both"),
    ],
)
def test_an_up_that_was_killed_in_a_create_can_be_repeated(real, stack, point):
    run_until_killed(real, "up", stack, OLD, "Create", *point)
    real.engine(stack, program(OLD)).up()
    expect_converged(real, stack, OLD)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_up_that_was_killed_in_an_update_can_be_repeated_or_taken_back(real, stack, moment):
    real.engine(stack, program(OLD)).up()
    run_until_killed(real, "up", stack, NEW, "Update", moment, 1, "both")
    # The program has gone back meanwhile: only what is really there can tell whether anything has to change.
    real.engine(stack, program(OLD)).up()
    expect_converged(real, stack, OLD)


@pytest.mark.parametrize("point", [("before", 2, "both"), ("after", 1, "self")])
def test_a_refresh_that_was_killed_can_be_repeated(real, stack, point):
    real.engine(stack, program(OLD)).up()
    victim = next(url for url in real.endpoint.queues(f"{stack}-") if "-dlq" in url)
    real.endpoint.sqs.delete_queue(QueueUrl=victim)
    run_until_killed(real, "refresh", stack, OLD, "Read", *point)
    plan = real.engine(stack, program(OLD)).refresh()
    assert plan.count(Operation.DELETE) <= 2
    real.engine(stack, program(OLD)).up()
    expect_converged(real, stack, OLD)


@pytest.mark.parametrize(
    "point", [("before", 1, "both"), ("after", 1, "both"), ("after", 3, "self"), ("after", 4, "both")]
)
def test_a_destroy_that_was_killed_can_be_repeated(real, stack, point):
    real.engine(stack, program(OLD)).up()
    run_until_killed(real, "destroy", stack, OLD, "Delete", *point)
    engine = real.engine(stack, program(OLD))
    engine.destroy()
    engine.remove()
    assert real.endpoint.contents(f"{stack}-") == {}
    assert engine.outputs() == {}


@pytest.mark.parametrize("left", [b"", b'{"user.cache_con'])
def test_a_state_whose_attributes_a_killed_cli_has_cut_is_read_all_the_same(real, stack, left):
    real.engine(stack, program(OLD)).up()
    (attributes,) = (real.directory / "backend").glob(f".pulumi/stacks/*/{stack}.json.attrs")
    attributes.write_bytes(left)
    assert real.engine(stack, program(OLD)).up().changes == []


@pytest.mark.parametrize("operation", ["up", "refresh", "destroy"])
def test_a_state_that_a_cli_is_just_writing_is_read_once_that_is_done(real, stack, operation):
    real.engine(stack, program(OLD)).up()
    (attributes,) = (real.directory / "backend").glob(f".pulumi/stacks/*/{stack}.json.attrs")
    engine = real.engine(stack, program(OLD))
    attributes.write_bytes(b"")
    getattr(engine, operation)()
    assert (real.endpoint.queues(f"{stack}-") == []) is (operation == "destroy")


def test_what_an_attempt_complained_of_that_could_not_begin_is_not_told_of_the_next(real, stack):
    engine, complaints = real.engine(stack, program(OLD)), ["failed to load checkpoint: EOF", "the queue has no name"]

    def operation(on_event):
        complaint = complaints.pop(0)
        on_event(EngineEvent(0, 0, diagnostic_event=DiagnosticEvent(complaint, "raw", "error")))
        raise CommandError(CommandResult(stdout="", stderr=f"error: {complaint}", code=1))

    with pytest.raises(DeploymentError, match=r"^the queue has no name$"):
        engine._run(None, operation, ignore_steps)


def test_what_only_the_providers_own_note_tells_of_is_deleted_and_nothing_else(real, stack):
    real.engine(stack, program(OLD)).up()
    (kept,) = (url for url in real.endpoint.queues(f"{stack}-") if "-dlq" in url)
    lost = real.endpoint.sqs.create_queue(QueueName=f"{stack}-e-dlq-0000000")["QueueUrl"]
    log = CreationLog(real.directory / STATE_DIRECTORY / stack / "creations.jsonl")
    (urn,) = (urn for urn, (inputs, *_) in real.resources(stack).items() if "-dlq" in inputs.get("name", ""))
    for url in (kept, lost):
        with log.noted(urn, REGION, {"name": url.rsplit("/", 1)[-1], DEFAULTS_KEY: ["name"]}):
            pass
    assert real.engine(stack, program(OLD)).up().changes == []
    assert kept in real.endpoint.queues(f"{stack}-")
    assert lost not in real.endpoint.queues(f"{stack}-")
    assert log.read() == []
