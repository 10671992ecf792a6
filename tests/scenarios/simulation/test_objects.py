"""One contract over both buckets: the model in memory, and the real one over S3's protocol.

CONTRACT_ENDPOINT_URL names another endpoint for the real one, instead of the embedded one.
"""

import os
import uuid

import pytest

from infra.clients import aws_client
from infra.localaws.server import running_endpoint
from scenarios.simulation.objects import ObjectModel
from services import operations as op
from services.drivers.payloads import Payloads

REGION = "us-west-1"


class Model:
    """The model, under the names of the real bucket's methods."""

    def __init__(self):
        self._objects = ObjectModel()

    def __getattr__(self, name):
        method = getattr(self._objects, name)
        return lambda operation: method(operation, lambda: 0.0)


@pytest.fixture(scope="module")
def client():
    given = os.environ.get("CONTRACT_ENDPOINT_URL")
    if given:
        yield aws_client("s3", endpoint_url=given, region=REGION)
        return
    with running_endpoint() as endpoint:
        made = aws_client("s3", endpoint_url=endpoint.url, region=REGION)
        yield made
        made.close()


@pytest.fixture(params=["model", "real"])
def bucket(request):
    if request.param == "model":
        yield Model()
        return
    client = request.getfixturevalue("client")
    name = f"contract-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield Payloads(client, name)
    for item in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=item["Key"])
    client.delete_bucket(Bucket=name)


def test_what_was_stored_is_fetched_as_it_was(bucket):
    body = "äöü ✓ " + "x" * 1_200_000
    assert bucket.put_object(op.PutObject("payloads/a", body)) is None
    assert bucket.fetch_object(op.FetchObject("payloads/a")) == body


def test_a_second_upload_overwrites_the_first(bucket):
    for body in ("one", "two"):
        bucket.put_object(op.PutObject("a", body))
    assert bucket.fetch_object(op.FetchObject("a")) == "two"
    assert bucket.list_objects(op.ListObjects()) == ("a",)


def test_what_is_not_there_is_none_and_removing_it_no_error(bucket):
    assert bucket.fetch_object(op.FetchObject("nothing")) is None
    assert bucket.remove_object(op.RemoveObject("nothing")) is None


def test_what_was_removed_is_gone(bucket):
    bucket.put_object(op.PutObject("a", "text"))
    bucket.remove_object(op.RemoveObject("a"))
    assert bucket.fetch_object(op.FetchObject("a")) is None
    assert bucket.list_objects(op.ListObjects()) == ()


def test_all_keys_are_listed_in_their_order(bucket):
    names = [f"payloads/{number:04}" for number in range(1_005)] if isinstance(bucket, Model) else ["b", "a", "c/d"]
    for name in reversed(names):
        bucket.put_object(op.PutObject(name, ""))
    assert bucket.list_objects(op.ListObjects()) == tuple(sorted(names))
