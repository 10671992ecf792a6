"""Plain ``pulumi`` on a fresh clone, without ``invoke``: the CLI evaluates the program itself and keeps the state.

It needs the CLI's host for Python, which comes with a release of the CLI and is not in a build of its Go module: see
``.ci/pulumi/build``. pulumi-aws's own plugin is on another network; the provider of this project stands in for it, with
an endpoint of its own as "AWS".
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.commands import stacks as commands
from infra.engines.pulumi.cli import find_cli
from infra.errors import ConfigError
from infra.provider.aws import AwsProvider
from infra.provider.creations import CreationLog
from infra.provider.servicer import serving_provider
from infra.stack.endpoint import find_endpoint, stop_endpoint
from infra.stack.paths import stack_paths
from infra.stack.stacks import find_stack
from scenarios.runs.plan import RunRequest
from scenarios.runs.run import run_scenario
from scenarios.verdict import Outcome
from tests.infra.engines.pulumi.labs import CHECKOUT

pytestmark = [pytest.mark.pulumi_cli, pytest.mark.processes]

HOST = "pulumi-language-python"


@pytest.fixture
def host():
    """The directories of the CLI and of its host for Python."""
    cli = str(find_cli().path.parent)
    found = shutil.which(HOST, path=os.pathsep.join((cli, os.environ["PATH"])))
    if found is None:
        reason = f"{HOST} is not installed: .ci/pulumi/build builds it, and so does an installation of the Pulumi CLI"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return cli, str(Path(found).parent)


@pytest.fixture
def clone(tmp_path, monkeypatch, host):
    """A checkout with nothing but what git has, whose program makes resources of one scenario."""
    directory = tmp_path / "a clone"
    directory.mkdir()
    for name in ("infra", "Pulumi.yaml", "pyproject.toml", "requirements.txt"):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory)
    text = (directory / "Pulumi.yaml").read_text()
    (directory / "Pulumi.yaml").write_text(text.replace("default: []", "default: [happy]"))
    monkeypatch.chdir(directory)
    # The interpreter that runs the tests has the packages: a virtual environment is what `pulumi install` would make.
    (directory / ".venv").symlink_to(Path(sys.prefix))
    monkeypatch.setenv("PATH", os.pathsep.join((f"{sys.prefix}/bin", *host, os.environ["PATH"])))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
    monkeypatch.setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "made up")
    (tmp_path / "backend").mkdir()
    return directory


@pytest.fixture
def aws(endpoints, tmp_path, monkeypatch):
    """What stands in for AWS and its plugin: a provider that goes to the first endpoint where nothing else is said."""

    def make(region):
        provider = AwsProvider(region)
        provider.aws = endpoints[0].url
        return provider

    def configure(provider, config, *, ask=True):
        configured(provider, config, ask=False)
        provider.endpoint_url = provider.endpoint_url or provider.aws
        if ask:
            configured(provider, {key: value for key, value in config.items() if key != "endpoints"})

    configured = AwsProvider.configure
    monkeypatch.setattr(AwsProvider, "configure", configure)
    with serving_provider(make, CreationLog(tmp_path / "creations")) as port:
        monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", f"aws:{port}")
        yield endpoints[0]


def pulumi(*arguments, code=0):
    done = subprocess.run(
        [str(find_cli().path), "--non-interactive", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode == 0) is (code == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def set_up(stack, **config):
    pulumi("stack", "init", stack)
    for path, value in config.items():
        pulumi("config", "set", "--path", path, value)


def test_a_fresh_clone_is_deployed_by_pulumi_alone_and_every_command_knows_its_stack(clone, aws, tmp_path, capsys):
    login = f"file://{tmp_path / 'backend'}"
    pulumi("login", login)
    set_up("dev")
    assert "+ 11 to create" in pulumi("preview")
    assert "+ 11 created" in pulumi("up", "--yes", "--skip-preview")
    assert pulumi("whoami", "-v").count(login) == 1
    assert "11 unchanged" in pulumi("refresh", "--yes", "--skip-preview")
    exported = json.loads(pulumi("stack", "output", "--json"))
    assert aws.queues("sqs-demo-dev-") != []

    assert commands.status("dev", json=True) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["up"], status["engine"], status["tier"]) == (True, "pulumi", "aws")
    assert exported["happy"]["queueUrl"] in [entry["id"] for entry in status["resources"]["happy"]]

    assert "11 deleted" in re.sub(r"- +", "", pulumi("destroy", "--yes", "--skip-preview"))
    assert aws.contents("sqs-demo-dev-") == {}
    pulumi("stack", "rm", "--yes")


def test_pulumi_install_installs_the_project():
    assert "-e .[aws]" in (CHECKOUT / "requirements.txt").read_text().splitlines()
    options = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    assert "backend" not in options  # the login of whoever calls `pulumi` holds
    assert options["runtime"]["options"] == {"toolchain": "pip", "virtualenv": ".venv"}


def test_the_stacks_own_aws_values_have_their_effect(clone, aws, tmp_path):
    pulumi("login", f"file://{tmp_path / 'backend'}")
    set_up("dev", **{"aws:defaultTags.tags.team": "payments", "aws:allowedAccountIds[0]": "123456789012"})
    refused = pulumi("up", "--yes", "--skip-preview", code=1)
    assert "of account 000000000000, which the stack's configuration does not allow" in refused
    assert aws.contents("sqs-demo-dev-") == {}
    pulumi("config", "set", "--path", "aws:allowedAccountIds[0]", "000000000000", "--plaintext")
    pulumi("config", "set", "aws:profile", "payments")
    pulumi("up", "--yes", "--skip-preview")
    (url, *_) = aws.queues("sqs-demo-dev-")
    assert aws.sqs.list_queue_tags(QueueUrl=url)["Tags"]["team"] == "payments"
    provider = next(
        entry
        for entry in json.loads(pulumi("stack", "export"))["deployment"]["resources"]
        if entry["type"] == "pulumi:providers:aws"
    )
    assert provider["inputs"]["profile"] == "payments"
    pulumi("config", "set", "--path", "aws:assumeRoles[0].roleArn", "arn:aws:iam::123456789012:role/deploy")
    assert "no property assumeRoles here" in pulumi("preview", code=1)
    pulumi("destroy", "--yes", "--skip-preview")


def test_a_stack_that_pulumi_has_made_elsewhere_than_on_aws_is_known_to_all_commands(clone, aws, endpoints, tmp_path):
    pulumi("login", f"file://{tmp_path / 'backend'}")
    other = endpoints[1]
    set_up("organization/dev", **{f"aws:endpoints[0].{name}": other.url for name in ("sqs", "dynamodb", "s3", "sts")})
    pulumi("up", "--yes", "--skip-preview")
    assert aws.contents("sqs-demo-dev-") == {}
    resources = find_stack("organization/dev").scenario("happy")
    assert resources.queue_url in other.queues("sqs-demo-dev-")
    result = run_scenario(RunRequest("happy", seed=3, stack="organization/dev"))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    with pytest.raises(ConfigError, match="deployed with engine pulumi, not embedded"):
        commands.down("organization/dev", engine="embedded")
    assert commands.down("organization/dev") == 0
    assert other.contents("sqs-demo-dev-") == {}
    assert "dev" not in pulumi("stack", "ls")
    assert commands.status("organization/dev") == 0


def test_a_plain_refresh_of_a_local_stack_asks_its_own_endpoint_and_not_aws(clone, aws, tmp_path, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'backend'}")
    assert commands.up("ada", engine="pulumi") == 0
    before = find_stack("ada").outputs
    assert "unchanged" in pulumi("refresh", "--yes", "--skip-preview", "--stack", "ada")
    assert json.loads(pulumi("stack", "output", "--json", "--stack", "ada")) == before
    # Without its endpoint a refresh fails, and the state stays.
    stop_endpoint(find_endpoint(stack_paths("ada")))
    assert "does not answer" in pulumi("refresh", "--yes", "--skip-preview", "--stack", "ada", code=1)
    assert json.loads(pulumi("stack", "output", "--json", "--stack", "ada")) == before
    assert aws.contents("sqs-demo-ada-") == {}
    assert commands.down("ada") == 0
    assert not (clone / "Pulumi.ada.yaml").exists()
