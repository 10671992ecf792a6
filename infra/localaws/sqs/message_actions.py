"""The actions on messages, alone and in batches, in AWS's shapes."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from infra.localaws.sqs.batch import BatchOutcome, check_batch_size, check_entry_ids, run_batch
from infra.localaws.sqs.content import MessageAttribute, MessageDraft, attributes_md5, empty_value
from infra.localaws.sqs.context import LongPoll, Shape, Wire
from infra.localaws.sqs.errors import (
    InvalidAttributeName,
    InvalidParameterValue,
    MissingParameter,
    SqsError,
    UnsupportedOperation,
)
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.queue import ReceiveRequest, Sent, check_visibility, check_wait
from infra.localaws.sqs.queue_actions import QUEUE_ATTRIBUTES

_EVERYTHING: Final = ("All",)


def send_message(wire: Wire, parameters: Shape) -> Shape:
    """SendMessage."""
    draft = _draft(parameters)
    return _sent(wire.model.send(wire.queue_name(parameters), draft), draft)


def send_message_batch(wire: Wire, parameters: Shape) -> Shape:
    """SendMessageBatch."""
    name = wire.queue_name(parameters)
    queue = wire.model.queue(name)
    entries = parameters["Entries"]
    check_entry_ids([entry["Id"] for entry in entries], "SendMessageBatchRequestEntry")
    drafts = [_size_draft(entry) for entry in entries]
    check_batch_size(drafts)
    queue.check_batch(drafts)

    def send(entry: Shape) -> Shape:
        draft = _draft(entry)
        return _sent(wire.model.send(name, draft), draft)

    answer = _batch_answer(run_batch(_entries(entries), send, "SendMessageBatchRequestEntry"))
    if not answer["Successful"]:
        # SQS leaves the list out here, and gives an empty one in the other two batches.
        del answer["Successful"]
    return answer


def receive_message(wire: Wire, parameters: Shape) -> Shape | LongPoll:
    """ReceiveMessage."""
    name = wire.queue_name(parameters)
    wait = parameters.get("WaitTimeSeconds")
    if wait is None:
        wait = wire.model.queue(name).attributes.receive_wait
    else:
        check_wait(wait)
    most = parameters.get("MaxNumberOfMessages")
    request = ReceiveRequest(
        1 if most is None else most,
        parameters.get("VisibilityTimeout"),
        parameters.get("ReceiveRequestAttemptId"),
        wait > 0,
    )
    view = _message_view(wire.model.account, parameters)

    def render(deliveries: list[Delivery]) -> Shape:
        return {"Messages": [view(delivery) for delivery in deliveries]} if deliveries else {}

    deliveries = wire.model.receive(name, request)
    if wait and not deliveries:
        return LongPoll(name, request, wait, render)
    return render(deliveries)


def delete_message(wire: Wire, parameters: Shape) -> Shape:
    """DeleteMessage."""
    wire.model.delete(wire.queue_name(parameters), parameters["ReceiptHandle"])
    return {}


def delete_message_batch(wire: Wire, parameters: Shape) -> Shape:
    """DeleteMessageBatch."""
    name = wire.queue_name(parameters)
    wire.model.queue(name)

    def delete(entry: Shape) -> Shape:
        wire.model.delete(name, entry["ReceiptHandle"])
        return {}

    return _batch_answer(run_batch(_entries(parameters["Entries"]), delete, "DeleteMessageBatchRequestEntry"))


def change_message_visibility(wire: Wire, parameters: Shape) -> Shape:
    """ChangeMessageVisibility."""
    wire.model.change_visibility(
        wire.queue_name(parameters), parameters["ReceiptHandle"], parameters["VisibilityTimeout"]
    )
    return {}


def change_message_visibility_batch(wire: Wire, parameters: Shape) -> Shape:
    """ChangeMessageVisibilityBatch."""
    name = wire.queue_name(parameters)
    wire.model.queue(name)

    def change(entry: Shape) -> Shape:
        timeout = entry.get("VisibilityTimeout")
        if timeout is None:
            raise MissingParameter.named("VisibilityTimeout")
        check_visibility(timeout)
        wire.model.change_visibility(name, entry["ReceiptHandle"], timeout)
        return {}

    entries = _entries(parameters["Entries"])
    return _batch_answer(run_batch(entries, change, "ChangeMessageVisibilityBatchRequestEntry"))


def _entries(entries: Sequence[Shape]) -> list[tuple[str, Shape]]:
    return [(entry["Id"], entry) for entry in entries]


def _draft(parameters: Shape) -> MessageDraft:
    attributes = parameters.get("MessageAttributes")
    system = parameters.get("MessageSystemAttributes")
    return MessageDraft(
        parameters["MessageBody"],
        parameters.get("DelaySeconds"),
        {name: _attribute(name, shape) for name, shape in attributes.items()} if attributes else None,
        _trace_header(system) if system else None,
        parameters.get("MessageGroupId"),
        parameters.get("MessageDeduplicationId"),
    )


def _size_draft(entry: Shape) -> MessageDraft:
    """Return an entry's draft for its size alone: a malformed attribute is the entry's failure, not the batch's."""
    try:
        return _draft(entry)
    except SqsError:
        return MessageDraft(
            entry["MessageBody"],
            entry.get("DelaySeconds"),
            group=entry.get("MessageGroupId"),
            deduplication_id=entry.get("MessageDeduplicationId"),
        )


def _attribute(name: str, shape: Shape) -> MessageAttribute:
    text, blob = shape.get("StringValue"), shape.get("BinaryValue")
    if shape.get("StringListValues") or shape.get("BinaryListValues"):
        raise UnsupportedOperation("Message attribute list values in SendMessage operation are not supported.")
    if text is not None and blob is not None:
        raise InvalidParameterValue(f"Message attribute '{name}' has multiple values.")
    value = blob if text is None else text
    if value is None:
        raise empty_value(name, shape["DataType"])
    return MessageAttribute(shape["DataType"], value)


def _trace_header(system: Mapping[str, Shape]) -> str:
    for name, shape in system.items():
        if name != "AWSTraceHeader":
            raise InvalidParameterValue(f"Message system attribute name '{name}' is invalid.")
        if shape["DataType"] != "String" or not shape.get("StringValue"):
            raise InvalidParameterValue(
                "The message system attribute 'AWSTraceHeader' must be a non-empty value of type String."
            )
    text: str = system["AWSTraceHeader"]["StringValue"]
    return text


def _sent(sent: Sent, draft: MessageDraft) -> Shape:
    shape: Shape = {"MessageId": sent.message_id, "MD5OfMessageBody": sent.body_md5}
    if sent.attributes_md5:
        shape["MD5OfMessageAttributes"] = sent.attributes_md5
    if draft.trace_header:
        shape["MD5OfMessageSystemAttributes"] = attributes_md5(
            {"AWSTraceHeader": MessageAttribute("String", draft.trace_header)}
        )
    if sent.sequence_number is not None:
        shape["SequenceNumber"] = _sequence(sent.sequence_number)
    return shape


def _batch_answer(outcome: BatchOutcome[Shape]) -> Shape:
    answer: Shape = {"Successful": [{"Id": entry_id, **shape} for entry_id, shape in outcome.successful]}
    if outcome.failed:
        answer["Failed"] = failed_entries(outcome.failed)
    return answer


def failed_entries(failed: Sequence[tuple[str, SqsError]]) -> list[Shape]:
    """Show the entries of a batch that failed."""
    return [
        {"Id": entry_id, "SenderFault": True, "Code": error.batch_code, "Message": str(error)}
        for entry_id, error in failed
    ]


def _message_view(account: str, parameters: Shape) -> Callable[[Delivery], Shape]:
    """Return the function that shows a delivery with the attributes that a receive asked for."""
    system = {*(parameters.get("AttributeNames") or ()), *(parameters.get("MessageSystemAttributeNames") or ())}
    for name in system:
        if name not in _MESSAGE_SYSTEM_ATTRIBUTES and name not in QUEUE_ATTRIBUTES:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
    names = parameters.get("MessageAttributeNames") or []

    def view(delivery: Delivery) -> Shape:
        message = delivery.message
        shape: Shape = {
            "MessageId": message.message_id,
            "ReceiptHandle": delivery.receipt_handle,
            "MD5OfBody": message.body_md5,
            "Body": message.body,
        }
        if system and (attributes := system_attributes(delivery, account, system)):
            shape["Attributes"] = attributes
        if names and message.attributes:
            chosen = {name: value for name, value in message.attributes.items() if _is_asked_for(name, names)}
            if chosen:
                shape["MessageAttributes"] = {name: _attribute_shape(value) for name, value in chosen.items()}
                whole = len(chosen) == len(message.attributes)
                shape["MD5OfMessageAttributes"] = message.attributes_md5 if whole else attributes_md5(chosen)
        return shape

    return view


def system_attributes(delivery: Delivery, account: str, wanted: Collection[str] = _EVERYTHING) -> dict[str, str]:
    """Return the system attributes of a delivery that are wanted and that it has; ``account`` sent the message."""
    message = delivery.message
    attributes: dict[str, str | None] = {
        "SenderId": account,
        "SentTimestamp": _milliseconds(message.sent_at),
        "ApproximateReceiveCount": str(delivery.receive_count),
        "ApproximateFirstReceiveTimestamp": _milliseconds(message.first_received_at or message.sent_at),
        "SequenceNumber": _sequence(message.sequence_number) if message.sequence_number else None,
        "MessageDeduplicationId": message.deduplication_id,
        "MessageGroupId": message.group,
        "AWSTraceHeader": message.trace_header,
        "DeadLetterQueueSourceArn": message.dead_letter_source,
    }
    everything = "All" in wanted
    return {name: text for name, text in attributes.items() if text is not None and (everything or name in wanted)}


def _is_asked_for(name: str, wanted: Sequence[str]) -> bool:
    return any(
        asked in {"All", "*", ".*", name} or (asked.endswith(".*") and name.startswith(asked.removesuffix(".*")))
        for asked in wanted
    )


def _attribute_shape(attribute: MessageAttribute) -> Shape:
    if isinstance(attribute.value, bytes):
        return {"DataType": attribute.data_type, "BinaryValue": base64.b64encode(attribute.value).decode()}
    return {"DataType": attribute.data_type, "StringValue": attribute.value}


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def _sequence(number: int) -> str:
    """Return a sequence number in SQS's form: 20 digits."""
    return f"{number:020d}"


_MESSAGE_SYSTEM_ATTRIBUTES: Final = frozenset(
    {
        "All",
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
    }
)
