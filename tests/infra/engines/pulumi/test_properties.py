"""The provider cannot know a property that real AWS's classes do not have, and the program uses none that it lacks."""

import inspect

import pulumi
import pulumi_aws
import pytest

from infra.__main__ import main
from infra.engines.embedded.engine import EmbeddedEngine
from infra.engines.engine import Deployment
from infra.provider.aws import HANDLERS, AwsProvider

CLASSES = {
    "aws:sqs/queue:Queue": pulumi_aws.sqs.Queue,
    "aws:sqs/redrivePolicy:RedrivePolicy": pulumi_aws.sqs.RedrivePolicy,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": pulumi_aws.sqs.RedriveAllowPolicy,
    "aws:dynamodb/table:Table": pulumi_aws.dynamodb.Table,
    "aws:s3/bucket:Bucket": pulumi_aws.s3.Bucket,
}


def outputs_of(cls):
    """The wire names of a class's outputs: what its property getters carry."""
    return {
        member.fget._pulumi_name
        for _, member in inspect.getmembers(cls)
        if hasattr(getattr(member, "fget", None), "_pulumi_name")
    }


def inputs_of(cls):
    """The wire names of a class's inputs: what its constructor's keyword arguments translate to."""
    arguments = next(
        candidate
        for _, candidate in inspect.getmembers(inspect.getmodule(cls), inspect.isclass)
        if candidate.__name__ == f"{cls.__name__}Args"
    )
    return outputs_of(arguments)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_input_and_output_of_the_provider_is_one_of_the_installed_class(kind):
    handler, cls = HANDLERS[kind], CLASSES[kind]
    assert set(handler.schema) <= inputs_of(cls)
    assert {*handler.schema, *handler.computed} <= outputs_of(cls)


def test_every_property_that_the_program_sets_or_reads_is_known_to_the_class_and_to_the_provider(tmp_path, monkeypatch):
    written, read = set(), set()
    check, get = AwsProvider.check, pulumi.get

    def noting_check(self, urn, olds, news, seed):
        written.update((urn.split("::")[2].rsplit("$")[-1], key) for key in news)
        return check(self, urn, olds, news, seed)

    def noting_get(resource, name):
        for kind, cls in CLASSES.items():
            if type(resource) is cls:
                read.add((kind, getattr(cls, name).fget._pulumi_name))
        return get(resource, name)

    monkeypatch.setattr(AwsProvider, "check", noting_check)
    monkeypatch.setattr(pulumi, "get", noting_get)
    config = {"queue-fundamentals:projectName": "sqs-demo"}
    deployment = Deployment("queue-fundamentals", "dev", main, config, "http://127.0.0.1:1")
    EmbeddedEngine(deployment, tmp_path / "state.json").preview()

    assert {kind for kind, _ in written} == set(CLASSES)
    assert ("aws:sqs/queue:Queue", "url") in read
    for kind, key in written:
        assert key in inputs_of(CLASSES[kind])
        assert key in HANDLERS[kind].schema
    for kind, key in read:
        assert key in outputs_of(CLASSES[kind])
        assert key in {*HANDLERS[kind].schema, *HANDLERS[kind].computed}
