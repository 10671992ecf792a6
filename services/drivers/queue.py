"""The queue's part of the AWS driver: one SQS queue through boto3."""

from __future__ import annotations

from typing import Any

from services.operations import (
    ChangeVisibility,
    CountMessages,
    Delete,
    DescribeQueue,
    EntryFailure,
    Message,
    Purge,
    QueueCounts,
    QueueFacts,
    Receive,
    Send,
    SendResult,
    SentEntry,
)


class Queue:
    """A queue, known by its URL.

    Args:
        client: a boto3 SQS client.
        url: the queue's URL.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url

    @property
    def name(self) -> str:
        """The queue's name, as the URL ends in it."""
        return self.url.rstrip("/").rpartition("/")[2]

    def describe_queue(self, _operation: DescribeQueue) -> QueueFacts:
        """Ask for the visibility timeout; a queue's name alone says whether it is FIFO."""
        answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["VisibilityTimeout"])
        return QueueFacts(int(answer["Attributes"]["VisibilityTimeout"]), fifo=self.name.endswith(".fifo"))

    def count_messages(self, _operation: CountMessages) -> QueueCounts:
        """Ask for the counts, which SQS settles within a minute or so."""
        prefix = "ApproximateNumberOfMessages"
        names = [prefix, f"{prefix}NotVisible", f"{prefix}Delayed"]
        answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return QueueCounts(*(int(answer["Attributes"][name]) for name in names))

    def receive(self, operation: Receive) -> tuple[Message, ...]:
        """Receive with a long poll."""
        answer = self._client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=operation.max_messages,
            WaitTimeSeconds=operation.wait_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId", "SequenceNumber"],
        )
        return tuple(_message(item) for item in answer.get("Messages", ()))

    def delete(self, operation: Delete) -> tuple[EntryFailure, ...]:
        """Delete as one batch."""
        answer = self._client.delete_message_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(entry), "ReceiptHandle": message.receipt_handle}
                for entry, message in enumerate(operation.messages)
            ],
        )
        return _failures(answer)

    def change_visibility(self, operation: ChangeVisibility) -> tuple[EntryFailure, ...]:
        """Change the visibility timeouts as one batch."""
        answer = self._client.change_message_visibility_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(entry), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": operation.timeout}
                for entry, message in enumerate(operation.messages)
            ],
        )
        return _failures(answer)

    def send(self, operation: Send) -> SendResult:
        """Send as one batch."""
        optional = {
            "MessageGroupId": "group",
            "MessageDeduplicationId": "deduplication_id",
            "DelaySeconds": "delay_seconds",
        }
        answer = self._client.send_message_batch(
            QueueUrl=self.url,
            Entries=[
                {
                    "Id": str(entry),
                    "MessageBody": message.body,
                    **{
                        parameter: getattr(message, name)
                        for parameter, name in optional.items()
                        if getattr(message, name) is not None
                    },
                }
                for entry, message in enumerate(operation.messages)
            ],
        )
        sent = tuple(
            SentEntry(int(item["Id"]), item["MessageId"], item.get("SequenceNumber"))
            for item in answer.get("Successful", ())
        )
        return SendResult(sent, _failures(answer))

    def purge(self, _operation: Purge) -> None:
        """Begin a purge."""
        self._client.purge_queue(QueueUrl=self.url)


def _message(item: dict[str, Any]) -> Message:
    attributes = item.get("Attributes", {})
    return Message(
        message_id=item["MessageId"],
        receipt_handle=item["ReceiptHandle"],
        body=item["Body"],
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
        group=attributes.get("MessageGroupId"),
        sequence_number=attributes.get("SequenceNumber"),
    )


def _failures(answer: dict[str, Any]) -> tuple[EntryFailure, ...]:
    return tuple(
        EntryFailure(int(item["Id"]), item["Code"], item.get("Message", ""), sender_fault=item["SenderFault"])
        for item in answer.get("Failed", ())
    )
