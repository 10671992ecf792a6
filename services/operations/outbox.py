"""The operations on our own state and its outbox, the messages still to be sent: CommitChange, ReadOutbox, MarkSent."""

from __future__ import annotations

from typing import Any

from services.operations.base import Mark, Names, Operation, RecordedCall, brief_key, immutable


@immutable
class OutboxEntry:
    """A message that was committed and not yet marked as sent: its key and its body."""

    key: str
    body: str


@immutable
class CommitChange(Operation, part="outbox", mark=Mark("change and message", "complete", "store")):
    """Change our own state, and put a message about it into the outbox, in one transaction.

    Result: True, or False where this change was made before; then nothing is written.

    Attributes:
        key: what is changed.
        change: the new state.
        message: the body of the message; None for no message.
    """

    key: str
    change: str
    message: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return whether a message goes with the change: its body stands with the send."""
        return {"key": self.key, "message": self.message is not None}

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say whether a message goes with it."""
        message = " and its message" if call.arguments["message"] else ""
        return f"commits {brief_key(names, call)}{message}", "" if call.result else "it was committed before"


@immutable
class ReadOutbox(Operation, part="outbox", mark=Mark("read outbox", "lookup", "store")):
    """Read what is still to be sent, up to ``limit`` entries. Result: ``tuple[OutboxEntry, ...]``."""

    limit: int

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say how much there was, and nothing of an empty outbox."""
        return ("reads the outbox", f"{len(call.result)} messages") if call.result else ("", "")


@immutable
class MarkSent(Operation, part="outbox", mark=Mark("mark as sent", "release", "store")):
    """Take entries out of the outbox. Result: None."""

    keys: tuple[str, ...]

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say how many."""
        return f"marks {len(call.arguments['keys'])} messages as sent", ""
