"""The bucket as plain state: the twin, in meaning, of ``services.drivers.payloads``.

One contract test runs over both, so that what holds here holds with S3.
"""

from __future__ import annotations

from collections.abc import Callable

from services.operations import FetchObject, ListObjects, PutObject, RemoveObject


class ObjectModel:
    """A bucket of texts. Each method is one atomic step, as each call to S3 is.

    Attributes:
        objects: the texts by key.
        in_use: whether anything was ever put into it.
    """

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.in_use = False

    def put_object(self, operation: PutObject, now: Callable[[], float]) -> None:  # noqa: ARG002 - all methods are alike
        """Store a text."""
        self.in_use = True
        self.objects[operation.key] = operation.body

    def fetch_object(self, operation: FetchObject, now: Callable[[], float]) -> str | None:  # noqa: ARG002 - likewise
        """Return the text, None where there is no such object."""
        return self.objects.get(operation.key)

    def remove_object(self, operation: RemoveObject, now: Callable[[], float]) -> None:  # noqa: ARG002 - likewise
        """Remove an object; one that is not there is no error."""
        self.objects.pop(operation.key, None)

    def list_objects(self, operation: ListObjects, now: Callable[[], float]) -> tuple[str, ...]:  # noqa: ARG002 - likewise
        """Return the keys of all objects, in their order."""
        return tuple(sorted(self.objects))
