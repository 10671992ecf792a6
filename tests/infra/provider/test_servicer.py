"""The provider over gRPC, asked as the engine asks it; no engine is needed for that."""

from typing import ClassVar

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.provider.aws import AwsProvider
from infra.provider.creations import CreationLog
from infra.provider.servicer import serving_provider
from infra.provider.wire import from_struct, to_struct

URN = "urn:pulumi:dev::p::aws:sqs/queue:Queue::q"


class Recording(AwsProvider):
    """Notes which region's provider is asked to delete."""

    deleted: ClassVar[list] = []

    def delete(self, urn, resource_id, inputs):
        self.deleted.append((self.region, resource_id))


@pytest.fixture
def stub(tmp_path):
    log = CreationLog(tmp_path / "creations.jsonl")
    with serving_provider(Recording, log) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)


def configure(stub, region):
    stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"region": region})))


def test_secrets_are_left_to_the_engine(stub):
    answer = stub.Handshake(provider_pb2.ProviderHandshakeRequest())
    assert not answer.accept_secrets
    assert stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"region": "r"}))).supportsPreview


def test_what_is_not_there_answers_unimplemented(stub):
    with pytest.raises(grpc.RpcError) as results:
        stub.Construct(provider_pb2.ConstructRequest())
    assert results.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_provider_without_a_region_is_refused(stub):
    with pytest.raises(grpc.RpcError, match="The provider has no region"):
        stub.Configure(provider_pb2.ConfigureRequest())


def test_a_resource_is_deleted_in_its_own_region_when_the_provider_has_moved_on(stub):
    configure(stub, "eu-west-1")
    configure(stub, "us-west-1")
    for region in ("eu-west-1", "us-west-1"):
        stub.Delete(provider_pb2.DeleteRequest(id=region, urn=URN, properties=to_struct({"region": region})))
    assert Recording.deleted == [("eu-west-1", "eu-west-1"), ("us-west-1", "us-west-1")]


def test_a_check_chooses_a_name_and_a_failed_one_gives_reasons(stub):
    configure(stub, "us-west-1")
    request = {"urn": URN, "randomSeed": b"seed"}
    inputs = from_struct(stub.Check(provider_pb2.CheckRequest(news=to_struct({}), **request)).inputs)
    assert inputs["name"].startswith("q-")
    refused = stub.Check(provider_pb2.CheckRequest(news=to_struct({"delaySeconds": 901}), **request))
    assert [(failure.property, failure.reason) for failure in refused.failures] == [
        ("delaySeconds", "delaySeconds must be from 0 to 900, and is 901.")
    ]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({}, {"delaySeconds": 1}, "ADD"),
        ({"delaySeconds": 1}, {"delaySeconds": 2}, "UPDATE"),
        ({"delaySeconds": 1}, {}, "DELETE"),
        ({}, {"fifoQueue": True}, "ADD_REPLACE"),
        ({"fifoQueue": True}, {"fifoQueue": False}, "UPDATE_REPLACE"),
        ({"fifoQueue": True}, {}, "DELETE_REPLACE"),
    ],
)
def test_a_diff_tells_the_kind_of_each_change(stub, old, new, kind):
    configure(stub, "us-west-1")
    answer = stub.Diff(provider_pb2.DiffRequest(urn=URN, old_inputs=to_struct(old), news=to_struct(new)))
    (change,) = answer.detailedDiff.values()
    assert provider_pb2.PropertyDiff.Kind.Name(change.kind) == kind
    assert bool(answer.replaces) is kind.endswith("REPLACE")
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME


def test_no_change_is_no_change(stub):
    configure(stub, "us-west-1")
    answer = stub.Diff(provider_pb2.DiffRequest(urn=URN, news=to_struct({"delaySeconds": 0})))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_cancel_and_attach_are_taken_note_of(stub):
    assert stub.Cancel(empty_pb2.Empty()) == empty_pb2.Empty()
    assert stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1")) == empty_pb2.Empty()
