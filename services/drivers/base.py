"""The driver: the seam between what a consumer decides and how it is done."""

from __future__ import annotations

from typing import Any, Protocol

from services.operations import Operation


class Driver(Protocol):
    """Performs operations."""

    def perform(self, operation: Operation) -> Any:
        """Perform an operation and return the result that its class documents.

        Raises:
            OperationFailed: it was not done, or it is unknown whether it was.
        """
