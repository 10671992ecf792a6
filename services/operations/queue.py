"""The operations on the queue: DescribeQueue, CountMessages, Receive, Delete, ChangeVisibility, Send, Purge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.operations.base import Mark, Names, Operation, RecordedCall, brief_name, immutable
from services.payload import facts_of_body


@immutable
class Message:
    """A delivery of a message: the same message delivered again is another value, with another receipt handle.

    Attributes:
        receive_count: how often it was delivered, this time included (``ApproximateReceiveCount``).
        group: the MessageGroupId, None where it has none.
        sequence_number: SQS's own, on a FIFO queue; not the producer's ``sequence``.
    """

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int = 1
    group: str | None = None
    sequence_number: str | None = None


@immutable
class QueueFacts:
    """A queue's visibility timeout in seconds, and whether it keeps order."""

    visibility_timeout: int
    fifo: bool


@immutable
class DescribeQueue(Operation, part="queue", mark=Mark("describe queue", "other", "queue")):
    """Ask for the queue's visibility timeout and type. Result: :class:`QueueFacts`."""


@immutable
class QueueCounts:
    """How many messages a queue holds, as ``ApproximateNumberOfMessages`` and its siblings say: of up to a minute ago.

    Attributes:
        visible: messages that can be received.
        in_flight: messages that are received and not deleted.
        delayed: messages that are not visible yet.
    """

    visible: int
    in_flight: int
    delayed: int


@immutable
class CountMessages(Operation, part="queue", mark=Mark("count messages", "other", "queue")):
    """Ask how many messages there are, about. Result: :class:`QueueCounts`."""

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say what the queue answered."""
        result = call.result or {}
        return "asks for the counts", f"{result.get('visible')} visible, {result.get('in_flight')} in flight"


@immutable
class Receive(Operation, part="queue", mark=Mark("receive", "receive", "queue")):
    """Receive up to ``max_messages``, waiting up to ``wait_seconds`` for the first. Result: ``tuple[Message, ...]``."""

    max_messages: int
    wait_seconds: int

    def subjects(self, result: Any = None) -> Sequence[Mapping[str, Any]]:
        """Return the facts of the messages that came."""
        return _facts(result or ())

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say what came, and nothing of a receive that brought nothing."""
        if call.status != "ok":
            return "receives", ""
        received = [
            brief_name(names, item["message_id"])
            + (f" (receive {item['receive_count']})" if item["receive_count"] > 1 else "")
            for item in call.result
        ]
        return (f"receives {', '.join(received)}", "") if received else ("", "")


@immutable
class EntryFailure:
    """An entry of a batch that the queue refused under an overall success.

    Attributes:
        entry: the index of the entry in the operation's tuple.
        sender_fault: True where sending the same again cannot help.
    """

    entry: int
    code: str
    message: str
    sender_fault: bool


@immutable
class Delete(Operation, part="queue", mark=Mark("delete", "delete", "queue")):
    """Delete up to 10 messages as one batch. Result: ``tuple[EntryFailure, ...]``, empty where all went well."""

    messages: tuple[Message, ...]

    def arguments(self) -> dict[str, Any]:
        """Return the ids alone: the bodies stand with the receive."""
        return {"messages": [message.message_id for message in self.messages]}

    def subjects(self, _result: Any = None) -> Sequence[Mapping[str, Any]]:
        """Return the facts of the messages."""
        return _facts(self.messages)

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Name the messages, and what SQS refused of them."""
        refused = [item["code"] for item in call.result or ()]
        return f"deletes {_names(names, call)}", f"refused in part, {', '.join(refused)}" if refused else ""


@immutable
class ChangeVisibility(Operation, part="queue", mark=Mark("change visibility", "visibility", "queue")):
    """Set the visibility timeout of up to 10 messages in flight. Result: ``tuple[EntryFailure, ...]``.

    ``timeout`` is in seconds from now; 0 makes them visible at once.
    """

    messages: tuple[Message, ...]
    timeout: int

    def arguments(self) -> dict[str, Any]:
        """Return the ids alone: the bodies stand with the receive."""
        return {"messages": [message.message_id for message in self.messages], "timeout": self.timeout}

    def subjects(self, _result: Any = None) -> Sequence[Mapping[str, Any]]:
        """Return the facts of the messages."""
        return _facts(self.messages)

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Tell an extension from a release."""
        timeout = call.arguments["timeout"]
        doing = f"extends {_names(names, call)} by {timeout} s" if timeout else f"gives back {_names(names, call)}"
        return doing, f"{len(call.result)} refused" if call.result else ""


@immutable
class OutgoingMessage:
    """A message to send: its body, and on a FIFO queue its group and deduplication id."""

    body: str
    group: str | None = None
    deduplication_id: str | None = None
    delay_seconds: int | None = None


@immutable
class SentEntry:
    """An entry of a batch that the queue took."""

    entry: int
    message_id: str
    sequence_number: str | None = None


@immutable
class SendResult:
    """What became of a batch: each entry stands in exactly one of the two."""

    sent: tuple[SentEntry, ...]
    failed: tuple[EntryFailure, ...] = ()


@immutable
class Send(Operation, part="queue", mark=Mark("send", "send", "queue")):
    """Send up to 10 messages, of 1 MiB together, as one batch. Result: :class:`SendResult`."""

    messages: tuple[OutgoingMessage, ...]

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say how many, and how many SQS refused."""
        failed = len((call.result or {}).get("failed", ()))
        return f"sends {len(call.arguments['messages'])} messages", f"{failed} of them refused" if failed else ""


@immutable
class Purge(Operation, part="queue", mark=Mark("purge", "delete", "queue")):
    """Ask the queue to delete all that is in it. That takes up to 60 s, see ``Producer.purge``. Result: None."""

    @classmethod
    def told(cls, _call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say so."""
        return "asks for a purge", ""


def _facts(messages: Iterable[Message]) -> Sequence[Mapping[str, Any]]:
    return [
        {**facts_of_body(message.body, message.message_id), "message_id": message.message_id, "group": message.group}
        for message in messages
    ]


def _names(names: Names, call: RecordedCall) -> str:
    return ", ".join(brief_name(names, message_id) for message_id in call.arguments["messages"])
