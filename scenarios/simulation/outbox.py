"""The orders and the outbox as plain state: the twin, in meaning, of ``services.drivers.outbox``."""

from __future__ import annotations

from collections.abc import Callable

from services.operations import CommitChange, MarkSent, OutboxEntry, ReadOutbox


class OutboxModel:
    """What is committed, and what is still to be sent. Each method is one atomic step.

    Attributes:
        changes: our own state, by key.
        messages: the outbox, bodies by key.
    """

    def __init__(self) -> None:
        self.changes: dict[str, str] = {}
        self.messages: dict[str, str] = {}

    def commit_change(self, operation: CommitChange, now: Callable[[], float]) -> bool:  # noqa: ARG002 - all methods are alike
        """Write the change and its message, unless the change is there."""
        if operation.key in self.changes:
            return False
        self.changes[operation.key] = operation.change
        if operation.message is not None:
            self.messages[operation.key] = operation.message
        return True

    def read_outbox(self, operation: ReadOutbox, now: Callable[[], float]) -> tuple[OutboxEntry, ...]:  # noqa: ARG002 - likewise
        """Return the first entries of the outbox."""
        return tuple(OutboxEntry(key, self.messages[key]) for key in sorted(self.messages)[: operation.limit])

    def mark_sent(self, operation: MarkSent, now: Callable[[], float]) -> None:  # noqa: ARG002 - likewise
        """Take entries out of the outbox; what is gone already is as good."""
        for key in operation.keys:
            self.messages.pop(key, None)
