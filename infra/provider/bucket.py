"""``aws.s3.Bucket``: a bucket for what is too large for a message."""

from typing import Any, ClassVar

from infra.config import BUCKET_NAME
from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.naming import choose_name
from infra.provider.schema import Kind, Property, Schema
from infra.provider.values import Properties, PropertyValue

WITHOUT_CONSTRAINT = "us-east-1"
"""The region that a bucket is in where nothing is said."""
_NOT_THERE = frozenset({"404", "NoSuchBucket", "NotFound"})


class BucketHandler(ResourceHandler):
    """A bucket; its id is its name."""

    resource_type: ClassVar[str] = "aws:s3/bucket:Bucket"
    service: ClassVar[str] = "s3"
    name_property: ClassVar[str] = "bucket"
    computed: ClassVar[tuple[str, ...]] = (
        "arn",
        "bucketDomainName",
        "bucketRegion",
        "bucketRegionalDomainName",
        "tagsAll",
    )
    schema: ClassVar[Schema] = {
        "bucket": Property(Kind.TEXT, replaces=True),
        # Whether a delete takes the objects with it; S3 itself deletes no bucket that has some.
        "forceDestroy": Property(Kind.BOOLEAN, default=False, ours=True),
        "region": Property(Kind.TEXT, replaces=True),
        "tags": Property(Kind.TEXT_MAP, default={}),
    }

    def choose_name(self, logical_name: str, inputs: Properties, random_seed: bytes) -> str | None:
        """The logical name in lower case, and a random suffix."""
        del inputs
        return choose_name(logical_name.lower(), random_seed)

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """A name that S3 takes."""
        name = inputs.get("bucket")
        if isinstance(name, str) and not BUCKET_NAME.fullmatch(name):
            reason = (
                f"A bucket's name has 3 to 63 lower-case letters, digits, hyphens and dots, and {name} is none; "
                "choose another projectName or stack."
            )
            return [CheckFailure("bucket", reason)]
        return []

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the bucket, then tag it."""
        name = str(inputs["bucket"])
        region = client.meta.region_name
        place = {} if region == WITHOUT_CONSTRAINT else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client.create_bucket(Bucket=name, **place)
        _write_tags(client, name, inputs)
        return name

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The name of the bucket."""
        name = str(inputs["bucket"])
        return name if _is_there(client, name) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The bucket's names and tags."""
        if not _is_there(client, resource_id):
            return None
        # A bucket of us-east-1 says nothing.
        region = client.get_bucket_location(Bucket=resource_id).get("LocationConstraint") or WITHOUT_CONSTRAINT
        tags = _read_tags(client, resource_id)
        return {
            "bucket": resource_id,
            "arn": f"arn:aws:s3:::{resource_id}",
            "bucketDomainName": f"{resource_id}.s3.amazonaws.com",
            "bucketRegion": region,
            "bucketRegionalDomainName": f"{resource_id}.s3.{region}.amazonaws.com",
            "tags": tags,
            "tagsAll": tags,
        }

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the tags."""
        if "tags" in changes:
            _write_tags(client, resource_id, new)

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the bucket, with its objects if that was asked for."""
        if not _is_there(client, resource_id):
            return
        if inputs.get("forceDestroy"):
            # A bucket in which somebody has turned versioning on is not empty before all versions are gone.
            for page in client.get_paginator("list_object_versions").paginate(Bucket=resource_id):
                versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in versions]
                if keys:
                    client.delete_objects(Bucket=resource_id, Delete={"Objects": keys, "Quiet": True})
        client.delete_bucket(Bucket=resource_id)


def _is_there(client: Any, name: str) -> bool:
    try:
        client.head_bucket(Bucket=name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in _NOT_THERE:
            return False
        raise
    return True


def _read_tags(client: Any, name: str) -> dict[str, str]:
    try:
        found = client.get_bucket_tagging(Bucket=name)["TagSet"]
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchTagSet":
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in found}


def _write_tags(client: Any, name: str, inputs: Properties) -> None:
    tags = [{"Key": key, "Value": value} for key, value in (inputs.get("tags") or {}).items()]
    if tags:
        client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    else:
        client.delete_bucket_tagging(Bucket=name)
