"""Loads moto once for DynamoDB and S3, when the first of them is needed: a third of a second of the start otherwise."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.localaws.dynamodb import DynamoDb
    from infra.localaws.s3 import S3

LOADING = threading.Lock()
"""Held while moto is imported: two threads that import it at once can each see a module of the other's half done."""


class MotoServices:
    """DynamoDB and S3 of one endpoint. A load that fails is tried again by the next request.

    Args:
        account: the account id that ARNs name.
        region: the region that ARNs name.
    """

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._services: tuple[DynamoDb, S3] | None = None

    @property
    def dynamodb(self) -> DynamoDb:
        """The tables."""
        return self._load()[0]

    @property
    def s3(self) -> S3:
        """The buckets."""
        return self._load()[1]

    def load(self) -> None:
        """Load both."""
        self._load()

    def _load(self) -> tuple[DynamoDb, S3]:
        if self._services is None:
            with LOADING:
                # The one lazy import of moto; every module that needs moto is imported here.
                from infra.localaws.dynamodb import DynamoDb  # noqa: PLC0415 - see the module's first sentence
                from infra.localaws.s3 import S3  # noqa: PLC0415 - likewise

                self._services = DynamoDb(self._account, self._region), S3(self._account, self._region)
        return self._services
