"""The project's own classes register what pulumi-aws's do, so that the embedded engine needs no pulumi-aws."""

import json
import subprocess
import sys

import pytest

from infra import __main__ as program
from infra import aws_classes
from infra.components import idempotency_tables, lambda_consumer, payload_bucket, queue_with_dead_letters
from infra.engines.embedded import monitor, registrar
from infra.errors import ConfigError, DeploymentError
from tests.infra.conftest import CHECKOUT, operations

DECLARING = (program, idempotency_tables, lambda_consumer, payload_bucket, queue_with_dead_letters)
EVERYTHING = {
    "scenarios": '["happy", "fifo-order", "large-payload"]',
    "lambdaConsumers": json.dumps(
        {
            "happy": {
                "code": "infra/components",
                "handler": "payload_bucket.main",
                "environment": {"SOME_variable": "a_b", "x": ""},
                "maximumConcurrency": 3,
                "filters": ['{"body": {"an_order": [1]}}'],
            }
        }
    ),
}
PROVIDER = {
    "aws:defaultTags": '{"tags": {"a_team": "payments"}}',
    "aws:skipMetadataApiCheck": "true",
    "aws:s3UsePathStyle": "true",
    "aws:allowedAccountIds": '["000000000000"]',
}


@pytest.fixture
def own(monkeypatch):
    """Return a function that lets the program use the project's own classes."""

    def use():
        classes = aws_classes.own_classes()
        for module in DECLARING:
            if hasattr(module, "aws"):
                monkeypatch.setattr(module, "aws", classes)

    return use


@pytest.fixture
def goals(monkeypatch):
    """Return the goals that the program registers, by URN."""
    found = {}

    def note(*arguments):
        goal = monitor_goal(*arguments)
        found[goal.urn] = goal
        return goal

    monitor_goal = monitor.goal_from
    monkeypatch.setattr(monitor, "goal_from", note)
    return found


def previewed(lab, goals, **values):
    goals.clear()
    engine = lab.engine(**EVERYTHING)
    engine._deployment.config.update(values)
    engine.preview()
    return dict(goals)


@pytest.mark.parametrize("values", [{}, PROVIDER], ids=["a plain provider", "a provider with settings"])
def test_both_register_the_same(lab, goals, own, values, monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setattr(registrar.os, "urandom", bytes)  # the same suffix in each name
    theirs = previewed(lab, goals, **values)
    own()
    ours = previewed(lab, goals, **values)
    assert ours.keys() == theirs.keys()
    for urn, goal in theirs.items():
        assert ours[urn] == goal
    assert {goal.type for goal in theirs.values()} >= set(aws_classes.HANDLERS) - {
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    }


def test_what_one_has_deployed_is_unchanged_for_the_other(lab, own):
    made = lab.engine(scenarios='["large-payload"]').up()
    own()
    after = lab.engine(scenarios='["large-payload"]').up()
    assert operations(after) == {}
    assert after.outputs == made.outputs
    assert operations(lab.engine(scenarios='["large-payload"]', queueReceiveWait="7").up()) == {("update", "Queue"): 1}


def test_properties_are_read_by_their_python_names(lab, own):
    own()
    seen = []

    def declare():
        queue = program.aws.sqs.Queue("q", message_retention_seconds=77)
        seen.extend((queue.message_retention_seconds, queue.url, queue.tags_all))
        with pytest.raises(AttributeError):
            queue.no_such_property  # noqa: B018 - the access is what is tested

    # The default provider is none that the embedded engine has, which is told after the program has declared its queue.
    with pytest.raises(DeploymentError):
        lab.engine(declare).preview()
    assert len(seen) == 3


def test_real_aws_without_pulumi_aws_is_refused_in_one_sentence(monkeypatch):
    aws_classes.require_pulumi_aws()
    monkeypatch.setattr(aws_classes, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'queue-fundamentals\[aws\]'\.$"):
        aws_classes.require_pulumi_aws()


def test_without_pulumi_aws_the_program_takes_the_projects_own_classes():
    script = (
        "import sys; sys.modules['pulumi_aws'] = None; import importlib.util as u; f = u.find_spec; "
        "u.find_spec = lambda n, *a: None if n == 'pulumi_aws' else f(n, *a); "
        "import infra.__main__ as m; print(type(m.aws).__name__, m.aws.lambda_.EventSourceMapping.__doc__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout == "SimpleNamespace ``aws:lambda/eventSourceMapping:EventSourceMapping``.\n"
