"""S3 by moto on the same port: by path, for SDKs as they are, and each endpoint with buckets of its own."""

import http.client

import pytest

from infra.localaws.http import Request
from infra.localaws.s3 import S3
from infra.localaws.server import _is_for_s3, running_endpoint
from tests.localaws.lab import client_of

SIGNED = "AWS4-HMAC-SHA256 Credential=dummy/20260101/us-west-1/s3/aws4_request, SignedHeaders=host, Signature=0"
PLACE = {"LocationConstraint": "us-west-1"}


@pytest.fixture(scope="module")
def s3(endpoint):
    client = client_of(endpoint, "s3")
    yield client
    client.close()


@pytest.fixture
def bucket(s3):
    s3.create_bucket(Bucket="payloads", CreateBucketConfiguration=PLACE)
    yield "payloads"
    for item in s3.list_objects_v2(Bucket="payloads").get("Contents", []):
        s3.delete_object(Bucket="payloads", Key=item["Key"])
    s3.delete_bucket(Bucket="payloads")


def test_an_object_comes_back_byte_by_byte(s3, bucket):
    body = bytes(range(256)) * 6_000
    s3.put_object(Bucket=bucket, Key="a/b c+d", Body=body)
    assert s3.get_object(Bucket=bucket, Key="a/b c+d")["Body"].read() == body


def test_a_head_tells_the_length_and_keeps_the_connection_usable(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345")
    for _ in range(2):
        assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 5
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"12345"


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda s3: s3.get_object(Bucket="payloads", Key="nothing"), "NoSuchKey"),
        (lambda s3: s3.put_object(Bucket="nowhere", Key="a", Body=b""), "NoSuchBucket"),
        (lambda s3: s3.head_bucket(Bucket="nowhere"), "404"),
        (lambda s3: s3.get_bucket_tagging(Bucket="payloads"), "NoSuchTagSet"),
    ],
)
def test_errors_have_the_codes_of_s3(s3, bucket, act, code):
    with pytest.raises(s3.exceptions.ClientError) as results:
        act(s3)
    assert results.value.response["Error"]["Code"] == code


def test_a_bucket_with_objects_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    with pytest.raises(s3.exceptions.ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)


def test_each_endpoint_has_buckets_of_its_own(s3, bucket):
    with running_endpoint() as other:
        client = client_of(other, "s3")
        assert client.list_buckets()["Buckets"] == []
        client.close()
    assert [item["Name"] for item in s3.list_buckets()["Buckets"]] == [bucket]


def test_queues_and_buckets_live_side_by_side(sqs, s3, bucket, new_queue):
    url = new_queue()
    s3.put_object(Bucket=bucket, Key="a", Body=b"text")
    sqs.send_message(QueueUrl=url, MessageBody="a")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    assert s3.get_object(Bucket=bucket, Key=message["Body"])["Body"].read() == b"text"


def test_a_host_that_is_not_loopback_is_refused(endpoint):
    connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"))
    connection.request("GET", "/payloads", headers={"Host": "payloads.s3.amazonaws.com", "Authorization": SIGNED})
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.parametrize(
    ("authorization", "answer"),
    [(SIGNED, True), (SIGNED.replace("/s3/", "/sqs/"), False), ("", False), ("s3/aws4_request", False)],
)
def test_a_request_is_for_s3_where_its_signature_says_so(authorization, answer):
    assert _is_for_s3(Request("GET", "/a/b", {"authorization": authorization}, b"")) is answer


def test_a_body_in_signed_chunks_is_refused_and_not_stored_as_it_stands():
    headers = {"authorization": SIGNED, "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    answer = S3("000000000000", "us-west-1").answer(Request("PUT", "/payloads/a", headers, b"5;x\r\n"))
    assert answer.status == 400
    assert b"InvalidRequest" in answer.body
