"""Payloads in S3: what is too large for a message, under a key that the message carries."""

from __future__ import annotations

from typing import Any

from services.operations import FetchObject, ListObjects, PutObject, RemoveObject


class Payloads:
    """One bucket.

    Args:
        client: boto3's, of S3.
        bucket: its name.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put_object(self, operation: PutObject) -> None:
        """Store a text; S3 is strongly consistent, and shows all of it or nothing."""
        self._client.put_object(Bucket=self._bucket, Key=operation.key, Body=operation.body.encode())

    def fetch_object(self, operation: FetchObject) -> str | None:
        """Return the text, None where there is no such object."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=operation.key)
        except self._client.exceptions.NoSuchKey:
            return None
        return str(answer["Body"].read().decode())

    def remove_object(self, operation: RemoveObject) -> None:
        """Remove an object; S3 reports no error for a missing one."""
        self._client.delete_object(Bucket=self._bucket, Key=operation.key)

    def list_objects(self, _operation: ListObjects) -> tuple[str, ...]:
        """Return the keys of all objects, in their order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return tuple(item["Key"] for page in pages for item in page.get("Contents", []))
