"""The common actions on messages, straight from a request's bytes to the answer's.

The general path (``shapes``, ``message_actions``) checks a request against AWS's model member by member. Here msgspec
decodes the most frequent members of the most frequent actions in one step, and refuses everything else: another member,
another type, a lone surrogate. What it refuses takes the general path, which finds the exact words for what is wrong,
or serves the rarer member. What it accepts is given to the same methods of the model in the same order. A test lets
both paths answer the same requests and compares.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from infra.localaws.sqs.batch import check_batch_size, check_entry_ids, run_batch
from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.context import LongPoll, Shape, Wire
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.limits import MAX_RECEIVE_WAIT_SECONDS
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.message_actions import failed_entries
from infra.localaws.sqs.queue import ReceiveRequest, Sent

FastAnswer = bytes | LongPoll | None


class FastPath:
    """The fast path of one model's wire face."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.actions: Final[dict[str, Callable[[bytes], FastAnswer]]] = {
            "AmazonSQS.SendMessage": self._send,
            "AmazonSQS.SendMessageBatch": self._send_batch,
            "AmazonSQS.ReceiveMessage": self._receive,
            "AmazonSQS.DeleteMessage": self._delete,
            "AmazonSQS.DeleteMessageBatch": self._delete_batch,
        }

    # Each returns the JSON of the answer, or the wait that leads to it; None for a request that it does not take.
    # Each raises the SqsError with which the request is refused.

    def _send(self, body: bytes) -> FastAnswer:
        try:
            asked = _decode_send(body)
        except _NOT_TAKEN:
            return None
        draft = MessageDraft(
            asked.MessageBody, asked.DelaySeconds, None, None, asked.MessageGroupId, asked.MessageDeduplicationId
        )
        sent = self._wire.model.send(self._wire.queue_name_of(asked.QueueUrl), draft)
        return f"{{{_sent(sent)}}}".encode()

    def _send_batch(self, body: bytes) -> FastAnswer:
        try:
            asked = _decode_send_batch(body)
        except _NOT_TAKEN:
            return None
        model = self._wire.model
        name = self._wire.queue_name_of(asked.QueueUrl)
        queue = model.queue(name)
        check_entry_ids([each.Id for each in asked.Entries], "SendMessageBatchRequestEntry")
        entries = [
            (
                each.Id,
                MessageDraft(
                    each.MessageBody, each.DelaySeconds, None, None, each.MessageGroupId, each.MessageDeduplicationId
                ),
            )
            for each in asked.Entries
        ]
        drafts = [draft for _, draft in entries]
        check_batch_size(drafts)
        queue.check_batch(drafts)
        outcome = run_batch(entries, lambda draft: model.send(name, draft), "SendMessageBatchRequestEntry")
        successful = ",".join([f'{{"Id":"{entry_id}",{_sent(sent)}}}' for entry_id, sent in outcome.successful])
        if not successful:
            return b'{"Failed":' + _encode(failed_entries(outcome.failed)) + b"}"
        return _batch(successful, outcome.failed)

    def _receive(self, body: bytes) -> FastAnswer:
        try:
            asked = _decode_receive(body)
        except _NOT_TAKEN:
            return None
        wait = asked.WaitTimeSeconds
        if wait is not None and not 0 <= wait <= MAX_RECEIVE_WAIT_SECONDS:
            return None
        model = self._wire.model
        name = self._wire.queue_name_of(asked.QueueUrl)
        if wait is None:
            wait = model.queue(name).attributes.receive_wait
        most = asked.MaxNumberOfMessages
        request = ReceiveRequest(1 if most is None else most, asked.VisibilityTimeout, None, wait > 0)
        deliveries = model.receive(name, request)
        if deliveries:
            return _encode(_render(deliveries))
        return LongPoll(name, request, wait, _render) if wait else b"{}"

    def _delete(self, body: bytes) -> FastAnswer:
        try:
            asked = _decode_delete(body)
        except _NOT_TAKEN:
            return None
        self._wire.model.delete(self._wire.queue_name_of(asked.QueueUrl), asked.ReceiptHandle)
        return b"{}"

    def _delete_batch(self, body: bytes) -> FastAnswer:
        try:
            asked = _decode_delete_batch(body)
        except _NOT_TAKEN:
            return None
        model = self._wire.model
        name = self._wire.queue_name_of(asked.QueueUrl)
        model.queue(name)
        entries = [(each.Id, each.ReceiptHandle) for each in asked.Entries]
        outcome = run_batch(entries, lambda handle: model.delete(name, handle), "DeleteMessageBatchRequestEntry")
        successful = ",".join([f'{{"Id":"{entry_id}"}}' for entry_id, _ in outcome.successful])
        return _batch(successful, outcome.failed)


# Requests: the members that the fast path takes, by AWS's names


class _Asked(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    QueueUrl: str


class _Send(_Asked, forbid_unknown_fields=True, gc=False):
    MessageBody: str
    DelaySeconds: int | None = None
    MessageGroupId: str | None = None
    MessageDeduplicationId: str | None = None


class _SendEntry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    Id: str
    MessageBody: str
    DelaySeconds: int | None = None
    MessageGroupId: str | None = None
    MessageDeduplicationId: str | None = None


class _SendBatch(_Asked, forbid_unknown_fields=True):
    Entries: list[_SendEntry]


class _Receive(_Asked, forbid_unknown_fields=True, gc=False):
    MaxNumberOfMessages: int | None = None
    VisibilityTimeout: int | None = None
    WaitTimeSeconds: int | None = None


class _Delete(_Asked, forbid_unknown_fields=True, gc=False):
    ReceiptHandle: str


class _DeleteEntry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    Id: str
    ReceiptHandle: str


class _DeleteBatch(_Asked, forbid_unknown_fields=True):
    Entries: list[_DeleteEntry]


_decode_send: Final = msgspec.json.Decoder(_Send).decode
_decode_send_batch: Final = msgspec.json.Decoder(_SendBatch).decode
_decode_receive: Final = msgspec.json.Decoder(_Receive).decode
_decode_delete: Final = msgspec.json.Decoder(_Delete).decode
_decode_delete_batch: Final = msgspec.json.Decoder(_DeleteBatch).decode
_encode: Final = msgspec.json.Encoder().encode
_NOT_TAKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


# Answers: ids, digests and sequence numbers hold nothing that JSON escapes


def _sent(sent: Sent) -> str:
    members = f'"MessageId":"{sent.message_id}","MD5OfMessageBody":"{sent.body_md5}"'
    if sent.sequence_number is not None:
        members += f',"SequenceNumber":"{sent.sequence_number:020d}"'
    return members


def _batch(successful: str, failed: list[tuple[str, SqsError]]) -> bytes:
    if not failed:
        return f'{{"Successful":[{successful}]}}'.encode()
    return b'{"Successful":[' + successful.encode() + b'],"Failed":' + _encode(failed_entries(failed)) + b"}"


def _render(deliveries: list[Delivery]) -> Shape:
    if not deliveries:
        return {}
    return {
        "Messages": [
            {
                "MessageId": delivery.message.message_id,
                "ReceiptHandle": delivery.receipt_handle,
                "MD5OfBody": delivery.message.body_md5,
                "Body": delivery.message.body,
            }
            for delivery in deliveries
        ]
    }
