"""The operations on payloads that are too large for a message: PutObject, FetchObject, RemoveObject, ListObjects."""

from __future__ import annotations

from typing import Any

from services.operations.base import Mark, Names, Operation, RecordedCall, immutable

#: Characters that a line shows of an object's name, where it is longer than a short one may be.
SHOWN, SHORT = 8, 13


@immutable
class PutObject(Operation, part="payloads", mark=Mark("upload", "send", "store")):
    """Store a text under a key. Result: None."""

    key: str
    body: str

    def arguments(self) -> dict[str, Any]:
        """Return the text's length in its place."""
        return {"key": self.key, "characters": len(self.body)}

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Name the object."""
        return f"uploads the payload {_object(call)}", ""


@immutable
class FetchObject(Operation, part="payloads", mark=Mark("fetch payload", "lookup", "store")):
    """Ask for the text under a key. Result: the text, or None where there is none."""

    key: str

    def kept_result(self, result: Any) -> Any:
        """Return the text's length in its place."""
        return None if result is None else {"characters": len(result)}

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say whether it was there."""
        missing = call.status == "ok" and call.result is None
        return f"fetches the payload {_object(call)}", "it is gone" if missing else ""


@immutable
class RemoveObject(Operation, part="payloads", mark=Mark("remove payload", "delete", "store")):
    """Remove what is under a key, if anything is. Result: None."""

    key: str

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Name the object."""
        return f"removes the payload {_object(call)}", ""


@immutable
class ListObjects(Operation, part="payloads", mark=Mark("list bucket", "other", "store")):
    """Ask for all keys. Result: ``tuple[str, ...]``."""


def _object(call: RecordedCall) -> str:
    name: str = call.arguments["key"].rpartition("/")[2]
    return name if len(name) <= SHORT else name[:SHOWN]
