"""What the real engine does beyond agreeing with the embedded one: sentences for what goes wrong, and nothing lost."""

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from uuid import uuid4

import pulumi
import pulumi_aws as aws
import pytest

from infra.engines.engine import Deployment
from infra.engines.plan import Operation
from infra.engines.pulumi import recovery as pulumi_recovery
from infra.engines.pulumi.cli import PINNED_VERSION, find_cli
from infra.engines.pulumi.engine import PulumiEngine
from infra.engines.pulumi.program import InlineProgram
from infra.errors import ConfigError, DeploymentError, StackBusyError, StateError
from tests.infra.engines.pulumi.labs import CHECKOUT, PROJECT, REGION
from tests.infra.engines.pulumi.topology import QueueEntry, program_of

needs_cli = pytest.mark.pulumi_cli
NOTHING = program_of([])


@pytest.fixture
def stack():
    return f"r{uuid4().hex[:8]}"


def test_a_missing_cli_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DeploymentError, match=r"not installed: install it from https://.*\.ci/pulumi/build"):
        find_cli()


def test_a_cli_that_was_built_is_found_without_being_on_path(monkeypatch, tmp_path):
    built = tmp_path / "queue-fundamentals" / f"pulumi-{PINNED_VERSION}" / "bin" / "pulumi"
    built.parent.mkdir(parents=True)
    built.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cli().path == built


def test_the_version_is_the_one_that_the_go_module_pins():
    assert f"github.com/pulumi/pulumi/pkg/v3 v{PINNED_VERSION} " in (CHECKOUT / ".ci" / "pulumi" / "go.mod").read_text()


@needs_cli
def test_ci_runs_with_the_pinned_version(real, stack):
    assert real.engine(stack, NOTHING).version == PINNED_VERSION


@needs_cli
def test_a_preview_of_a_stack_that_is_not_there_leaves_nothing_behind(real, stack):
    engine = real.engine(stack, program_of([QueueEntry("e")]))
    before = {path.name for path in real.directory.iterdir()}
    plan = engine.preview()
    assert plan.count(Operation.CREATE) == len(plan.steps) == 7
    assert {path.name for path in real.directory.iterdir()} - before <= {"home"}
    assert list((real.directory / "backend").rglob(f"{stack}*")) == []
    assert engine.outputs() == {}
    assert real.endpoint.contents(stack) == {}


@needs_cli
def test_a_program_that_refuses_its_configuration_says_so_in_one_sentence(real, stack):
    def program():
        raise ConfigError("maxReceiveCount must be a whole number.")

    with pytest.raises(DeploymentError, match=r"^maxReceiveCount must be a whole number\.$"):
        real.engine(stack, program).preview()


@needs_cli
@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        (lambda opts: aws.sqs.Queue("q", name_prefix="k", opts=opts), "has no property namePrefix here"),
        (lambda opts: aws.sqs.Queue("q", delay_seconds=901, opts=opts), "delaySeconds must be from 0 to 900"),
        (lambda opts: aws.sns.Topic("t", opts=opts), "does not know the resource type aws:sns/topic:Topic"),
    ],
)
def test_what_the_provider_does_not_know_is_named_and_never_ignored(real, stack, resource, sentence):
    def program():
        resource(pulumi.ResourceOptions(provider=aws.Provider("aws", region=REGION)))

    with pytest.raises(DeploymentError, match=sentence):
        real.engine(stack, program).preview()


@needs_cli
def test_a_function_of_the_provider_is_refused_by_name(real, stack):
    def program():
        provider = aws.Provider("aws", region=REGION)
        aws.get_caller_identity(opts=pulumi.InvokeOptions(provider=provider))

    with pytest.raises(DeploymentError, match="does not know the function aws:index/getCallerIdentity"):
        real.engine(stack, program).preview()


@pytest.mark.parametrize("tasks", [0, 1])
def test_an_event_loop_that_was_left_open_is_closed_with_and_without_tasks_in_it(tasks):
    program = InlineProgram(lambda: None)
    loop = asyncio.new_event_loop()

    async def run():
        program()
        return [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(tasks)]

    with program.cleaned_up():
        left = loop.run_until_complete(run())
    assert loop.is_closed()
    assert all(task.cancelled() for task in left)


@needs_cli
def test_an_endpoint_that_does_not_answer_is_a_sentence_and_the_next_up_goes_on(real, stack):
    program = program_of([QueueEntry("e")])
    engine = real.engine(stack, program)
    nowhere = Deployment(PROJECT, stack, program, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(DeploymentError, match=r"http://127\.0\.0\.1:1 does not answer"):
        PulumiEngine(nowhere, real.settings).up()
    engine.up()
    assert len(real.endpoint.contents(stack)) == 2
    assert engine.up().changes == []


@needs_cli
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:1000],
        lambda text: b"",
        lambda text: b'{"version": 99}',
        lambda text: b"[]",
        lambda text: text.replace(b"urn:pulumi:", b"nonsense:"),
    ],
    ids=["cut", "empty", "of another version", "foreign", "corrupt"],
)
def test_a_state_that_cannot_be_read_is_refused_and_kept(real, stack, change):
    program = program_of([QueueEntry("e")])
    real.engine(stack, program).up()
    state = real.directory / "backend" / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"
    changed = change(state.read_bytes())
    state.write_bytes(changed)
    for operation in ("up", "refresh", "destroy"):
        with pytest.raises(StateError, match=r"cannot be read .* It is kept as it is"):
            getattr(real.engine(stack, program), operation)()
    assert state.read_bytes() == changed
    assert len(real.endpoint.contents(stack)) == 2


@needs_cli
def test_a_region_is_set_once_in_the_stacks_own_configuration(real, stack):
    seen = []

    def program():
        seen.append(pulumi.Config().get("awsRegion"))

    settings = replace(real.settings, config={f"{PROJECT}:awsRegion": "eu-west-1"})
    PulumiEngine(Deployment(PROJECT, stack, program), settings).up()
    PulumiEngine(Deployment(PROJECT, stack, program), real.settings).up()
    assert seen == ["eu-west-1", "eu-west-1"]


@needs_cli
def test_removing_a_stack_keeps_a_configuration_file_in_which_something_is_set(real):
    for stack, config, kept in (("bare", {}, False), ("set", {"maxReceiveCount": 3}, True)):
        engine = real.engine(stack, NOTHING, **config)
        engine.up()
        engine.destroy()
        engine.remove()
        assert (real.directory / f"Pulumi.{stack}.yaml").exists() is kept


@needs_cli
@pytest.mark.processes
def test_a_lock_whose_holder_is_alive_is_respected_and_one_of_a_dead_one_is_taken_away(monkeypatch):
    taken = []
    complaint = "the stack is currently locked by 1 lock(s). file:///x.json: created by me@{} (pid {}) at 2026-01-01"
    here = pulumi_recovery.socket.gethostname()
    monkeypatch.setattr(pulumi_recovery, "LOCK_SECONDS", 0.2)
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    message = complaint.format(here, holder.pid)
    try:
        with pytest.raises(StackBusyError, match=f"Process {holder.pid} .* is at work on stack s"):
            pulumi_recovery.wait_for_unlock(message, "s", lambda: taken.append("too early"))
    finally:
        holder.communicate(b"\n")
    pulumi_recovery.wait_for_unlock(message, "s", lambda: taken.append("dead"))
    with pytest.raises(StackBusyError, match="Process 1 on elsewhere"):
        pulumi_recovery.wait_for_unlock(complaint.format("elsewhere", 1), "s", lambda: taken.append("elsewhere"))
    assert taken == ["dead"]


@needs_cli
@pytest.mark.processes
def test_the_cli_itself_checks_the_types_that_the_project_file_declares(tmp_path):
    (tmp_path / "infra").mkdir()
    (tmp_path / ".queue-fundamentals").mkdir()
    shutil.copy(CHECKOUT / "Pulumi.yaml", tmp_path)

    def cli(*arguments):
        environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{tmp_path}/.queue-fundamentals",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_HOME": str(tmp_path / "home"),
        }
        return subprocess.run(
            [str(find_cli().path), "--non-interactive", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert cli("stack", "init", "dev").returncode == 0
    assert cli("config", "set", "maxReceiveCount", "three").returncode == 0
    refused = cli("preview")
    assert refused.returncode != 0
    assert "maxReceiveCount" in refused.stderr
    assert "integer" in refused.stderr
