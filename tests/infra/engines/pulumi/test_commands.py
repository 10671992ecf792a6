"""The commands with the real engine, as people and scripts meet them; the aws tier up to where AWS itself begins."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
import yaml
from botocore.exceptions import ClientError

from infra.clients import aws_client
from infra.commands import stacks as commands
from infra.commands.preflight import preflight
from infra.commands.validate import validate
from infra.engines.pulumi.cli import backend_url, find_cli
from infra.errors import ConfigError, EndpointError, InfraError, StackBusyError, StackNotUpError
from infra.provider.redrive import RedriveAllowPolicyHandler
from infra.stack.aws_account import ask
from infra.stack.dotenv import read_dotenv
from infra.stack.endpoint import find_endpoint, read_endpoint, stop_endpoint
from infra.stack.lock import hold_lock
from infra.stack.paths import project_root, stack_paths
from infra.stack.stacks import find_stack
from tests.infra.engines.pulumi.labs import REGION

needs_cli = [pytest.mark.pulumi_cli, pytest.mark.processes]


def pulumi(*arguments):
    done = subprocess.run(
        [str(find_cli().path), "--non-interactive", *arguments],
        env={**os.environ, "PULUMI_BACKEND_URL": backend_url(project_root())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def clients(url):
    made = [aws_client(service, endpoint_url=url, region=REGION) for service in ("sqs", "dynamodb")]
    try:
        yield made
    finally:
        for client in made:
            client.close()


@pytest.mark.pulumi_cli
@pytest.mark.processes
def test_a_stack_of_the_real_engine_is_an_ordinary_pulumi_stack_and_a_stack_for_scenarios(project, capsys):
    assert commands.up("ada", engine="pulumi") == 0
    assert "1 scenario up in" in capsys.readouterr().out
    found = find_stack("ada")
    assert find_endpoint(stack_paths("ada")).url == found.endpoint_url
    assert read_dotenv(project / ".env")["QUEUE_URL"] == found.scenario("happy").queue_url

    assert "ada" in pulumi("stack", "ls")
    assert json.loads(pulumi("stack", "output", "--json", "--stack", "ada")) == found.outputs
    assert "sqs-demo-ada-happy" in pulumi("stack", "export", "--stack", "ada")
    assert commands.outputs("ada", json=True) == 0
    assert json.loads(capsys.readouterr().out) == found.outputs
    assert validate("ada") == 0

    pulumi("config", "set", "queueVisibilityTimeout", "12", "--stack", "ada")
    capsys.readouterr()
    assert commands.preview("ada") == 0
    assert " ~ update  aws:sqs/queue:Queue sqs-demo-ada-happy (visibilityTimeoutSeconds)" in capsys.readouterr().out
    assert commands.up("ada") == 0
    assert find_stack("ada").scenario("happy").visibility_timeout == 12
    assert commands.up("ada") == 0
    assert "Nothing to change" in capsys.readouterr().out

    assert commands.status("ada", json=True) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["engine"], list(status["resources"])) == ("pulumi", ["happy"])

    assert commands.down("ada") == 0
    assert "its endpoint has ended" in capsys.readouterr().out
    assert find_stack("ada") is None
    assert "ada" not in pulumi("stack", "ls")
    assert "queueVisibilityTimeout" in (project / "Pulumi.ada.yaml").read_text()
    assert commands.down("ada") == 0
    assert "nothing to take down" in capsys.readouterr().out


@pytest.mark.pulumi_cli
@pytest.mark.processes
def test_validate_names_what_differs_and_refresh_and_up_mend_it(project, capsys):
    commands.up("ada", engine="pulumi")
    resources = find_stack("ada").scenario("happy")
    with clients(find_stack("ada").endpoint_url) as (sqs, dynamodb):
        sqs.set_queue_attributes(QueueUrl=resources.queue_url, Attributes={"VisibilityTimeout": "77"})
        sqs.untag_queue(QueueUrl=resources.queue_url, TagKeys=["stack"])
        sqs.delete_queue(QueueUrl=resources.dead_letter_queue_url)
        dynamodb.delete_table(TableName=resources.status_table)
    capsys.readouterr()
    assert validate("ada") == 1
    told = capsys.readouterr().out
    assert f"VisibilityTimeout of {resources.queue_name} is 77, and should be 10" in told
    assert f"tags of {resources.queue_name} is" in told
    assert f"{resources.dead_letter_queue_name} is not there" in told
    assert f"{resources.status_table} is not there" in told
    assert commands.refresh("ada") == 0
    assert "3 resources are gone and 1 differ" in capsys.readouterr().out
    assert commands.up("ada") == 0
    assert validate("ada", json=True) == 0
    commands.down("ada")


@pytest.mark.pulumi_cli
@pytest.mark.processes
def test_an_endpoint_that_died_is_noticed_and_up_makes_everything_anew(project, capsys):
    commands.up("ada", engine="pulumi")
    stop_endpoint(find_endpoint(stack_paths("ada")))
    with pytest.raises(EndpointError, match="not running any more"):
        find_stack("ada")
    capsys.readouterr()
    assert commands.up("ada") == 0
    told = capsys.readouterr()
    assert "everything is created again" in told.err
    # What has no life outside the state is the same as before.
    assert "6 created" in told.out
    assert validate("ada") == 0
    stop_endpoint(find_endpoint(stack_paths("ada")))
    assert commands.down("ada") == 0
    assert find_stack("ada") is None
    assert "ada" not in pulumi("stack", "ls")


@pytest.mark.pulumi_cli
@pytest.mark.processes
def test_two_developers_stacks_share_an_endpoint_and_a_backend_and_never_each_others_resources(
    project, endpoints, capsys
):
    url = endpoints[0].url
    for stack in ("ada", "ada-2"):
        assert commands.up(stack, engine="pulumi", endpoint=url) == 0
    one, other = (find_stack(stack).scenario("happy") for stack in ("ada", "ada-2"))
    assert not {*vars(one).values()} & {other.queue_url, other.dead_letter_queue_url, other.status_table}
    tags = endpoints[0].sqs.list_queue_tags(QueueUrl=one.queue_url)["Tags"]
    assert tags == {"project": "sqs-demo", "stack": "ada", "scenario": "happy"}
    assert commands.down("ada") == 0
    assert "nothing carries its tags any more" in capsys.readouterr().out
    assert validate("ada-2") == 0
    assert commands.down("ada-2") == 0


@pytest.mark.parametrize("engine", ["embedded", pytest.param("pulumi", marks=needs_cli)])
def test_another_endpoint_that_was_named_is_used_and_left_running(project, endpoints, capsys, engine):
    url = endpoints[0].url
    assert commands.up("ada", engine=engine, endpoint=url) == 0
    found = find_stack("ada")
    assert (found.endpoint_url, found.endpoint_history) == (url, None)
    assert read_endpoint(stack_paths("ada")) is None
    assert commands.up("ada") == 0
    assert "Nothing to change" in capsys.readouterr().out
    assert validate("ada") == 0
    assert commands.down("ada") == 0
    assert endpoints[0].contents("sqs-demo-ada-") == {}


def test_an_endpoint_that_does_not_answer_is_one_sentence(project):
    with pytest.raises(EndpointError, match=r"Nothing answers at http://127\.0\.0\.1:1 "):
        commands.up("ada", endpoint="http://127.0.0.1:1")
    assert find_stack("ada") is None


@pytest.mark.pulumi_cli
def test_a_concurrent_up_is_refused_and_so_is_the_other_engine(project, endpoints):
    commands.up("ada", engine="pulumi", endpoint=endpoints[0].url)
    with hold_lock(stack_paths("ada").lock, "stack ada"), pytest.raises(StackBusyError, match="at work on stack ada"):
        commands.up("ada")
    with pytest.raises(ConfigError, match="deployed with engine pulumi, not embedded"):
        commands.up("ada", engine="embedded")
    commands.down("ada")


@pytest.mark.pulumi_cli
def test_the_aws_tier_asks_before_and_looks_for_leftovers_after(project, endpoints, capsys):
    """Against an endpoint, which is the same path but for the plugin that the engine takes."""
    endpoint = endpoints[1]
    with pytest.raises(ConfigError, match="give --yes"):
        commands.up("ada", tier="aws", endpoint=endpoint.url)
    assert endpoint.contents("sqs-demo-ada-") == {}
    assert commands.up("ada", tier="aws", endpoint=endpoint.url, yes=True) == 0
    told = capsys.readouterr().err
    assert "Account 000000000000" in told
    assert "region us-west-1" in told
    assert "USD to make and delete everything (12 requests of SQS, 0 of S3)" in told
    assert preflight("ada") == 0
    assert "account 000000000000" in capsys.readouterr().out
    tags = {"project": "sqs-demo", "stack": "ada"}
    url = endpoint.sqs.create_queue(QueueName="sqs-demo-ada-forgotten", tags=tags)["QueueUrl"]
    other = endpoint.sqs.create_queue(QueueName="sqs-demo-ada-b-its-own", tags={**tags, "stack": "ada-b"})["QueueUrl"]
    assert commands.down("ada", yes=True) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert url in last
    assert other not in last
    for left in (url, other):
        endpoint.sqs.delete_queue(QueueUrl=left)


@pytest.mark.pulumi_cli
@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("AWS_MAX_ATTEMPTS", "1", "There are no AWS credentials to use"),
        ("AWS_PROFILE", "nobody", r"There are no AWS credentials to use \(The config profile \(nobody\)"),
    ],
)
def test_on_aws_missing_credentials_are_explained_before_anything_is_done(
    project, monkeypatch, variable, value, sentence
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=sentence):
        commands.up("ada", tier="aws", yes=True)
    assert find_stack("ada") is None


def test_a_question_is_answered_with_yes_and_nothing_else(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    ask("Delete?", answer=lambda question: "y" if question == "Delete? [y/N] " else "")
    for answer in ("", "n", "yesterday"):
        with pytest.raises(ConfigError, match="Not confirmed; nothing was done"):
            ask("Delete?", answer=lambda _, answer=answer: answer)


def test_preflight_tells_what_a_target_needs_and_what_is_missing(project, monkeypatch, capsys):
    assert preflight("ada") == 0
    assert "All is here for the local tier by the embedded engine." in capsys.readouterr().out
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert preflight("ada") == 0
    assert "Pulumi CLI  not needed  The Pulumi CLI is not installed" in capsys.readouterr().out
    assert preflight("ada", engine="pulumi", endpoint="http://127.0.0.1:1", json=True) == 1
    assert json.loads(capsys.readouterr().out)["missing"] == ["Pulumi CLI", "Pulumi passphrase", "Endpoint"]


def test_a_stack_that_is_not_up_cannot_be_validated(project):
    with pytest.raises(StackNotUpError, match="Stack ada is not up"):
        validate("ada")


def test_the_environments_region_is_kept_for_the_stacks_life(project, endpoints, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoints[0].url)
    commands.up("ada")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    commands.up("ada")
    assert find_stack("ada").region == "eu-west-1"
    commands.down("ada")


@pytest.mark.parametrize("engine", ["embedded", pytest.param("pulumi", marks=needs_cli)])
def test_what_an_endpoint_lacks_is_named_and_can_be_done_without(project, endpoints, monkeypatch, capsys, engine):
    """As moto's server, which takes a redrive allow policy and then does not know it."""

    def lack(self, client, inputs):
        raise ClientError(
            {"Error": {"Code": "InvalidAttributeName", "Message": "Unknown Attribute."}}, "SetQueueAttributes"
        )

    monkeypatch.setattr(RedriveAllowPolicyHandler, "create", lack)
    with pytest.raises(InfraError, match=r"does not have this attribute; .*:redriveAllowPolicy: false"):
        commands.up("ada", engine=engine, endpoint=endpoints[0].url)
    with pytest.raises(StackNotUpError, match="did not come to its end"):
        find_stack("ada")
    path = project / "Pulumi.ada.yaml"
    settings = yaml.safe_load(path.read_text()) if path.exists() else {}
    settings.setdefault("config", {})["queue-fundamentals:redriveAllowPolicy"] = False
    path.write_text(yaml.safe_dump(settings))
    assert commands.up("ada") == 0
    assert validate("ada") == 0
    assert commands.down("ada") == 0
