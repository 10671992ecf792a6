"""The state file: what is written is what is read, also where only a part of it has changed since."""

from dataclasses import replace

from infra.engines.state import PendingKind, PendingOperation, ResourceState, Snapshot, read_snapshot, write_snapshot

QUEUE = ResourceState(
    urn="urn:pulumi:s::p::aws:sqs/queue:Queue::queue",
    type="aws:sqs/queue:Queue",
    custom=True,
    id="http://127.0.0.1/q",
    inputs={"name": 'a "name"', "delaySeconds": 3.0, "tags": {"é": None}},
    outputs={"region": "us-west-1"},
    dependencies=("urn:pulumi:s::p::aws:sqs/queue:Queue::other",),
    property_dependencies={"name": ("urn:pulumi:s::p::aws:sqs/queue:Queue::other",)},
)


def test_a_snapshot_comes_back_as_it_was(tmp_path):
    pending = PendingOperation(
        PendingKind.CREATING, replace(QUEUE, urn="urn:pulumi:s::p::aws:sqs/queue:Queue::next", id="")
    )
    for resources, begun in (
        ((), ()),
        ((QUEUE,), ()),
        ((QUEUE, replace(QUEUE, urn="urn:pulumi:s::p::aws:sqs/queue:Queue::b")), (pending,)),
    ):
        snapshot = Snapshot("project", "stack", 'an "endpoint"', resources, begun)
        write_snapshot(tmp_path / "state.json", snapshot)
        assert read_snapshot(tmp_path / "state.json") == snapshot


def test_a_resource_that_was_written_and_then_replaced_is_written_as_it_is_now(tmp_path):
    path = tmp_path / "state.json"
    write_snapshot(path, Snapshot("project", "stack", None, (QUEUE,)))
    changed = replace(QUEUE, outputs={"region": "us-west-1", "arn": "arn:aws:sqs"}, delete=True)
    write_snapshot(path, Snapshot("project", "stack", None, (changed,)))
    assert read_snapshot(path).resources == (changed,)
