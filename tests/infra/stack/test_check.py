"""A command acts where the stack's note says, or not at all; what a stack without a note has left is found."""

import json

import pytest

from infra.commands import stacks as commands
from infra.commands.validate import validate
from infra.engines.pulumi.cli import backend_url, may_hold, needs_passphrase, require_passphrase
from infra.errors import ConfigError, EndpointError
from infra.stack.aws_account import Identity
from infra.stack.dotenv import read_dotenv
from infra.stack.endpoint import read_endpoint, stop_endpoint
from infra.stack.names import choose_stack
from infra.stack.paths import stack_config_path, stack_paths
from infra.stack.stacks import find_stack, use_stack
from infra.stack.target import EngineName, Target, TierName, read_target
from infra.topology import TOPOLOGY
from services.stacks import stack_variables

ONE_SCENARIO = "config:\n  queue-fundamentals:scenarios: [happy]\n"


@pytest.fixture
def stacks(project):
    for stack in ("dev", "other"):
        (project / f"Pulumi.{stack}.yaml").write_text(ONE_SCENARIO)
    yield project
    for directory in (project / ".queue-fundamentals").glob("*/"):
        noted = read_endpoint(stack_paths(directory.name))
        if noted is not None:
            stop_endpoint(noted)


@pytest.fixture
def account(monkeypatch):
    """Whose credentials these are, as STS of an endpoint with several accounts tells."""
    current = {"id": "111111111111"}
    monkeypatch.setattr(
        "infra.stack.check.caller_identity", lambda *_, **__: Identity(current["id"], "arn:aws:iam::1:user/ada")
    )
    return current


def test_the_note_holds_account_endpoint_region_engine_and_tier(stacks, endpoint, account):
    commands.up("dev", endpoint=endpoint.url)
    resources = find_stack("dev").scenario("happy")
    told = stack_variables("dev")
    assert (told["QUEUE_URL"], told["MESSAGE_STATUS_TABLE"]) == (resources.queue_url, resources.status_table)
    noted = json.loads(stack_paths("dev").target.read_text())
    assert noted == noted | {
        "account": "111111111111",
        "endpoint_url": endpoint.url,
        "deployed_region": "us-west-1",
        "engine": "embedded",
        "tier": "local",
        "backend": None,
    }
    commands.down("dev")


ACT = {
    "up": lambda: commands.up("dev"),
    "preview": lambda: commands.preview("dev"),
    "status": lambda: commands.status("dev"),
    "outputs": lambda: commands.outputs("dev"),
    "refresh": lambda: commands.refresh("dev"),
    "down": lambda: commands.down("dev", yes=True),
    "validate": lambda: validate("dev"),
    "scenario": lambda: use_stack("dev").__enter__(),
}


@pytest.mark.parametrize("command", ACT)
def test_every_command_refuses_another_account_region_or_endpoint_by_name_and_loses_nothing(
    stacks, account, monkeypatch, command, request
):
    endpoint, aws = request.getfixturevalue("endpoint"), request.getfixturevalue("aws")
    commands.up("dev", endpoint=endpoint.url)
    kept = {path.name: path.read_bytes() for path in stack_paths("dev").directory.glob("*.json")}
    account["id"] = "222222222222"
    with pytest.raises(ConfigError, match="with account 111111111111, and these credentials are of account 2222222222"):
        ACT[command]()
    account["id"] = "111111111111"
    (stacks / "Pulumi.dev.yaml").write_text(f"{ONE_SCENARIO}  aws:region: eu-west-1\n")
    with pytest.raises(ConfigError, match="with region us-west-1, and its configuration says eu-west-1"):
        ACT[command]()
    (stacks / "Pulumi.dev.yaml").write_text(ONE_SCENARIO)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=f"with endpoint {endpoint.url}, and AWS_ENDPOINT_URL is http://127.0.0.1:9"):
        ACT[command]()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert {path.name: path.read_bytes() for path in stack_paths("dev").directory.glob("*.json")} == kept
    assert len(aws.sqs.list_queues(QueueNamePrefix="sqs-demo-dev-")["QueueUrls"]) == 2
    assert commands.down("dev") == 0


def test_another_backend_is_refused_by_name(stacks, endpoint, account, monkeypatch):
    Target(EngineName.PULUMI, TierName.LOCAL, endpoint.url, backend="file:///there").note(
        stack_paths("dev"), endpoint.url, complete=True
    )
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///here")
    with pytest.raises(ConfigError, match=r"with backend file:///there, and PULUMI_BACKEND_URL .* names file:///here"):
        commands.down("dev", yes=True)
    assert read_target(stack_paths("dev")).backend == "file:///there"


def test_an_account_that_cannot_be_told_is_not_taken_for_the_noted_one(stacks, account, monkeypatch):
    Target(EngineName.EMBEDDED, TierName.LOCAL, "http://127.0.0.1:1", account="111111111111").note(
        stack_paths("dev"), "http://127.0.0.1:1", complete=True
    )
    monkeypatch.setattr("infra.stack.check.account_of", lambda *_: None)
    with pytest.raises(EndpointError, match="Nothing answers at"):
        commands.down("dev")
    assert read_target(stack_paths("dev")) is not None


def test_what_carries_the_tags_of_a_stack_without_a_note_is_found(stacks, endpoint, aws, capsys):
    commands.up("dev", endpoint=endpoint.url)
    lost = stacks / "lost"
    stack_paths("dev").directory.rename(lost)
    urls = aws.sqs.list_queues(QueueNamePrefix="sqs-demo-dev-")["QueueUrls"]
    for command in (commands.status, commands.down):
        capsys.readouterr()
        assert command("dev", endpoint=endpoint.url) == 1
        told = capsys.readouterr().out
        assert all(url in told for url in urls)
    # Another stack of the same endpoint has nothing to do with it.
    assert commands.status("other", endpoint=endpoint.url) == 0
    assert commands.down("other", endpoint=endpoint.url) == 0
    lost.rename(stack_paths("dev").directory)
    assert commands.down("dev") == 0
    assert commands.down("dev", endpoint=endpoint.url) == 0


def test_a_stack_whose_state_is_lost_is_not_down_while_something_is_left(stacks, endpoint, aws, capsys):
    commands.up("dev", endpoint=endpoint.url)
    state = stack_paths("dev").state
    kept = state.read_bytes()
    state.unlink()
    assert commands.status("dev") == 1
    assert commands.down("dev") == 1
    assert commands.down("dev") == 1  # the note tells the next command where to look
    state.write_bytes(kept)
    assert commands.down("dev") == 0
    assert "nothing carries its tags any more" in capsys.readouterr().out


@pytest.mark.processes
def test_an_endpoint_whose_stacks_files_are_gone_is_stopped(stacks, capsys):
    commands.up("dev")
    noted = read_endpoint(stack_paths("dev"))
    stack_paths("dev").directory.rename(stacks / "lost")
    assert commands.down("dev") == 0
    assert "an endpoint without a note has been stopped" in capsys.readouterr().out
    assert not stop_endpoint(noted)


@pytest.mark.processes
def test_env_names_a_stack_that_is_up_when_the_one_that_it_named_goes_down(stacks):
    commands.up("dev")
    commands.up("other")
    (stacks / ".env").chmod(0o640)
    assert read_dotenv(stacks / ".env")["QUEUE_URL"] == find_stack("other").scenario("happy").queue_url
    commands.down("other")
    assert read_dotenv(stacks / ".env")["QUEUE_URL"] == find_stack("dev").scenario("happy").queue_url
    assert (stacks / ".env").stat().st_mode & 0o777 == 0o640
    commands.down("dev")
    assert not (stacks / ".env").exists()


def test_the_backend_is_the_one_that_pulumi_itself_would_take(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PULUMI_HOME": str(home)}
    own = f"file://{tmp_path}/.queue-fundamentals"
    assert backend_url(tmp_path, environment) == own
    (home / "credentials.json").write_text('{"current": "https://api.pulumi.com"}')
    assert backend_url(tmp_path, environment) == "https://api.pulumi.com"
    (tmp_path / "Pulumi.yaml").write_text("name: x\nbackend:\n  url: file://./here\n")
    assert backend_url(tmp_path, environment) == f"file://{tmp_path}/here"
    environment["PULUMI_BACKEND_URL"] = "s3://bucket"
    assert backend_url(tmp_path, environment) == "s3://bucket"
    assert backend_url(tmp_path, environment, stack="tmp-1") == own
    (home / "credentials.json").write_text("cut {")
    assert backend_url(tmp_path, {"PULUMI_HOME": str(home)}) == f"file://{tmp_path}/here"


def test_a_passphrase_is_asked_for_only_where_secrets_are_encrypted_with_one(tmp_path):
    stack_file = tmp_path / "Pulumi.dev.yaml"
    assert needs_passphrase("file:///there", stack_file)
    assert not needs_passphrase("https://api.pulumi.com", stack_file)
    require_passphrase("https://api.pulumi.com", stack_file, {})
    stack_file.write_text("secretsprovider: awskms://alias/stacks\n")
    assert not needs_passphrase("s3://bucket", stack_file)
    stack_file.write_text("secretsprovider: passphrase\n")
    with pytest.raises(ConfigError, match="set PULUMI_CONFIG_PASSPHRASE"):
        require_passphrase("s3://bucket", stack_file, {})
    require_passphrase("s3://bucket", stack_file, {"PULUMI_CONFIG_PASSPHRASE": ""})


def test_a_backend_in_files_tells_without_a_call_whether_it_has_a_stack(tmp_path):
    directory = tmp_path / ".pulumi" / "stacks" / "queues"
    directory.mkdir(parents=True)
    (directory / "dev.json").touch()
    assert may_hold(f"file://{tmp_path}", "queues", "organization/dev")
    assert not may_hold(f"file://{tmp_path}", "queues", "other")
    assert may_hold("https://api.pulumi.com", "queues", "other")


def test_a_stacks_name_may_have_an_organization_and_its_project(project):
    assert choose_stack("acme/dev") == "acme/dev"
    assert stack_paths("acme/dev").directory.name == "acme@dev"
    assert stack_config_path("acme/queue-fundamentals/dev").name == "Pulumi.dev.yaml"
    with pytest.raises(ConfigError, match=r"is of the project other, and .* is of queue-fundamentals"):
        commands.preview("acme/other/dev")


def test_a_value_that_holds_for_some_scenarios_only_says_for_which(project, capsys):
    (project / "Pulumi.dev.yaml").write_text("config:\n  queue-fundamentals:queueVisibilityTimeout: 33\n")
    commands.preview("dev")
    told = " ".join(capsys.readouterr().err.split())
    others = len(TOPOLOGY) - 1
    assert f"queueVisibilityTimeout 33 holds for happy; the other {others} have their own." in told
    assert "maxReceiveCount" not in told
