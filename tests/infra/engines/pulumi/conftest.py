"""The real engine and the embedded one, side by side on an endpoint each, and the rule for a missing CLI."""

import os

import pytest

from infra.clients import aws_client
from infra.engines.pulumi.cli import find_cli
from infra.errors import DeploymentError
from infra.localaws.server import running_endpoint
from infra.stack.endpoint import read_endpoint, stop_endpoint
from infra.stack.paths import stack_paths
from tests.infra.engines.pulumi.labs import CHECKOUT, REGION, EmbeddedLab, Endpoint, PulumiLab


def pytest_runtest_setup(item):
    """Without the CLI its tests say why they did not run; where CI is set they fail, so that it cannot go missing."""
    if item.get_closest_marker("pulumi_cli") is None:
        return
    try:
        find_cli()
    except DeploymentError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def endpoints():
    with running_endpoint() as one, running_endpoint() as other:
        made = [
            Endpoint(
                running.url,
                *(
                    aws_client(service, endpoint_url=running.url, region=REGION)
                    for service in ("sqs", "dynamodb", "s3", "lambda", "iam", "logs")
                ),
            )
            for running in (one, other)
        ]
        yield made
        for endpoint in made:
            for client in endpoint.clients():
                client.close()


@pytest.fixture
def embedded(endpoints, tmp_path):
    return EmbeddedLab(endpoints[0], tmp_path / "embedded")


@pytest.fixture
def real(endpoints, tmp_path):
    return PulumiLab(endpoints[1], tmp_path / "pulumi")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own with only one scenario, whose stacks are taken down at the end, whatever became of them."""
    (tmp_path / "infra").mkdir()
    text = (CHECKOUT / "Pulumi.yaml").read_text()
    assert "default: []" in text
    (tmp_path / "Pulumi.yaml").write_text(text.replace("default: []", "default: [happy]"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "made up")
    yield tmp_path
    for directory in (tmp_path / ".queue-fundamentals").glob("*/"):
        endpoint = read_endpoint(stack_paths(directory.name))
        if endpoint is not None:
            stop_endpoint(endpoint)
