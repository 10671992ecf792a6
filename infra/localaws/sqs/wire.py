"""SQS's actions in AWS's shapes: from a checked request to the model and back.

One table, ``ACTIONS``, leads from an action's name to its handler; an action that AWS has and this table has not is
answered as unsupported. Handlers neither know the protocol (JSON or Query) nor do I/O: a receive that has to wait
returns a ``LongPoll`` for its caller to carry out.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from infra.localaws.sqs.batch import BatchOutcome, check_batch_size, run_batch
from infra.localaws.sqs.content import MessageAttribute, MessageDraft, attributes_md5
from infra.localaws.sqs.errors import (
    InvalidAddress,
    InvalidAttributeName,
    InvalidParameterValue,
    MissingParameter,
    QueueDoesNotExist,
    SqsError,
    UnsupportedOperation,
)
from infra.localaws.sqs.limits import MAX_LIST_RESULTS, MAX_RECEIVE_WAIT_SECONDS
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest, Sent, check_visibility
from infra.localaws.sqs.shapes import input_checks

Shape = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LongPoll:
    """A receive that found nothing and may wait.

    Attributes:
        queue_name: the queue it waits at.
        request: what to ask for when something may be there.
        seconds: how long it may wait, in seconds of the model's clock.
        render: turns the deliveries into the answer's shape.
    """

    queue_name: str
    request: ReceiveRequest
    seconds: int
    render: Callable[[list[Delivery]], Shape]


class SqsWire:
    """The wire face of a model.

    Args:
        model: the queues.
        url: the endpoint's own address, which begins every queue URL that it gives.
    """

    def __init__(self, model: SqsModel, url: str) -> None:
        self.model = model
        self._base = f"{url.rstrip('/')}/{model.account}/"

    def call(self, action: str, parameters: Any) -> Shape | LongPoll:
        """Perform an action.

        Args:
            action: AWS's name of it.
            parameters: the request, in the shape of AWS's model.

        Returns:
            The answer in the shape of AWS's model, or the wait that leads to it.

        Raises:
            SqsError: SQS refuses the request.
        """
        handler = ACTIONS.get(action)
        if handler is None:
            raise UnsupportedOperation(
                f"This endpoint does not serve the SQS action {action}. It serves: {', '.join(sorted(ACTIONS))}."
            )
        return handler(self, input_checks()[action](parameters))

    def url(self, name: str) -> str:
        """Return the URL of the queue of this name."""
        return self._base + name

    def queue_name(self, parameters: Shape) -> str:
        """Return the name of the queue that a request's ``QueueUrl`` means; only its path counts, not its host."""
        url: str = parameters["QueueUrl"]
        if url.startswith(self._base) and "%" not in url:
            return url[len(self._base) :]
        parts = unquote(urlsplit(url).path).strip("/").split("/")
        if len(parts) != 2:  # noqa: PLR2004 - account and name
            raise InvalidAddress(f"The address {url} is not valid for this endpoint.")
        if parts[0] != self.model.account:
            raise QueueDoesNotExist
        return parts[1]


# Queues


def create_queue(wire: SqsWire, parameters: Shape) -> Shape:
    """CreateQueue."""
    queue = wire.model.create_queue(
        parameters["QueueName"], parameters.get("Attributes"), _tags(parameters.get("tags") or {})
    )
    return {"QueueUrl": wire.url(queue.name)}


def get_queue_url(wire: SqsWire, parameters: Shape) -> Shape:
    """GetQueueUrl."""
    if parameters.get("QueueOwnerAWSAccountId") not in {None, wire.model.account}:
        raise QueueDoesNotExist
    return {"QueueUrl": wire.url(wire.model.queue(parameters["QueueName"]).name)}


def list_queues(wire: SqsWire, parameters: Shape) -> Shape:
    """ListQueues."""
    names = wire.model.queue_names(parameters.get("QueueNamePrefix") or "")
    page, token = _page(names, parameters)
    return _with_token({"QueueUrls": [wire.url(name) for name in page]} if page else {}, token)


def list_dead_letter_source_queues(wire: SqsWire, parameters: Shape) -> Shape:
    """ListDeadLetterSourceQueues."""
    page, token = _page(wire.model.dead_letter_sources(wire.queue_name(parameters)), parameters)
    return _with_token({"queueUrls": [wire.url(name) for name in page]}, token)


def delete_queue(wire: SqsWire, parameters: Shape) -> Shape:
    """DeleteQueue."""
    wire.model.delete_queue(wire.queue_name(parameters))
    return {}


def purge_queue(wire: SqsWire, parameters: Shape) -> Shape:
    """PurgeQueue."""
    wire.model.purge(wire.queue_name(parameters))
    return {}


def get_queue_attributes(wire: SqsWire, parameters: Shape) -> Shape:
    """GetQueueAttributes."""
    texts = wire.model.attribute_texts(wire.queue_name(parameters))
    wanted = parameters.get("AttributeNames") or []
    for name in wanted:
        if name not in _QUEUE_ATTRIBUTES:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
    if "All" not in wanted:
        texts = {name: text for name, text in texts.items() if name in wanted}
    return {"Attributes": texts} if texts else {}


def set_queue_attributes(wire: SqsWire, parameters: Shape) -> Shape:
    """SetQueueAttributes."""
    wire.model.set_attributes(wire.queue_name(parameters), parameters["Attributes"])
    return {}


def tag_queue(wire: SqsWire, parameters: Shape) -> Shape:
    """TagQueue."""
    wire.model.queue(wire.queue_name(parameters)).tags.update(_tags(parameters["Tags"]))
    return {}


def untag_queue(wire: SqsWire, parameters: Shape) -> Shape:
    """UntagQueue."""
    tags = wire.model.queue(wire.queue_name(parameters)).tags
    for key in parameters["TagKeys"]:
        tags.pop(key, None)
    return {}


def list_queue_tags(wire: SqsWire, parameters: Shape) -> Shape:
    """ListQueueTags."""
    tags = wire.model.queue(wire.queue_name(parameters)).tags
    return {"Tags": dict(tags)} if tags else {}


# Messages


def send_message(wire: SqsWire, parameters: Shape) -> Shape:
    """SendMessage."""
    draft = _draft(parameters)
    return _sent(wire.model.send(wire.queue_name(parameters), draft), draft)


def send_message_batch(wire: SqsWire, parameters: Shape) -> Shape:
    """SendMessageBatch."""
    name = wire.queue_name(parameters)
    wire.model.queue(name)
    entries = parameters["Entries"]
    check_batch_size([_size_draft(entry) for entry in entries])

    def send(entry: Shape) -> Shape:
        draft = _draft(entry)
        return _sent(wire.model.send(name, draft), draft)

    return _batch_answer(run_batch(_entries(entries), send, "SendMessageBatchRequestEntry"))


def receive_message(wire: SqsWire, parameters: Shape) -> Shape | LongPoll:
    """ReceiveMessage."""
    name = wire.queue_name(parameters)
    wait = parameters.get("WaitTimeSeconds")
    if wait is None:
        wait = wire.model.queue(name).attributes.receive_wait
    elif not 0 <= wait <= MAX_RECEIVE_WAIT_SECONDS:
        raise InvalidParameterValue.of(
            "WaitTimeSeconds", wait, f"Must be >= 0 and <= {MAX_RECEIVE_WAIT_SECONDS}, if provided."
        )
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


def delete_message(wire: SqsWire, parameters: Shape) -> Shape:
    """DeleteMessage."""
    wire.model.delete(wire.queue_name(parameters), parameters["ReceiptHandle"])
    return {}


def delete_message_batch(wire: SqsWire, parameters: Shape) -> Shape:
    """DeleteMessageBatch."""
    name = wire.queue_name(parameters)
    wire.model.queue(name)

    def delete(entry: Shape) -> Shape:
        wire.model.delete(name, entry["ReceiptHandle"])
        return {}

    return _batch_answer(run_batch(_entries(parameters["Entries"]), delete, "DeleteMessageBatchRequestEntry"))


def change_message_visibility(wire: SqsWire, parameters: Shape) -> Shape:
    """ChangeMessageVisibility."""
    wire.model.change_visibility(
        wire.queue_name(parameters), parameters["ReceiptHandle"], parameters["VisibilityTimeout"]
    )
    return {}


def change_message_visibility_batch(wire: SqsWire, parameters: Shape) -> Shape:
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


ACTIONS: Final[dict[str, Callable[[SqsWire, Shape], Shape | LongPoll]]] = {
    "ChangeMessageVisibility": change_message_visibility,
    "ChangeMessageVisibilityBatch": change_message_visibility_batch,
    "CreateQueue": create_queue,
    "DeleteMessage": delete_message,
    "DeleteMessageBatch": delete_message_batch,
    "DeleteQueue": delete_queue,
    "GetQueueAttributes": get_queue_attributes,
    "GetQueueUrl": get_queue_url,
    "ListDeadLetterSourceQueues": list_dead_letter_source_queues,
    "ListQueueTags": list_queue_tags,
    "ListQueues": list_queues,
    "PurgeQueue": purge_queue,
    "ReceiveMessage": receive_message,
    "SendMessage": send_message,
    "SendMessageBatch": send_message_batch,
    "SetQueueAttributes": set_queue_attributes,
    "TagQueue": tag_queue,
    "UntagQueue": untag_queue,
}


# Shapes of requests


def _tags(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if value is not None}


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
        return MessageDraft(entry["MessageBody"])


def _attribute(name: str, shape: Shape) -> MessageAttribute:
    text, blob = shape.get("StringValue"), shape.get("BinaryValue")
    if shape.get("StringListValues") or shape.get("BinaryListValues"):
        raise UnsupportedOperation("Message attribute lists in SendMessage operations are not supported.")
    if text is not None and blob is not None:
        raise InvalidParameterValue(f"Message attribute '{name}' has multiple values.")
    value = blob if text is None else text
    if value is None:
        raise InvalidParameterValue(
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute "
            f"type '{shape['DataType']}'."
        )
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


def _page(names: list[str], parameters: Shape) -> tuple[list[str], str | None]:
    """Return one page of sorted names and the token of the next; without MaxResults at most 1,000 and no token."""
    most, token = parameters.get("MaxResults"), parameters.get("NextToken")
    if most is not None and not 1 <= most <= MAX_LIST_RESULTS:
        raise InvalidParameterValue.of(
            "MaxResults", most, f"MaxResults must be an integer between 1 and {MAX_LIST_RESULTS}."
        )
    if token is not None:
        try:
            last = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, ValueError):
            raise InvalidParameterValue("Invalid or expired next token.") from None
        names = [name for name in names if name > last]
    page = names[: most or MAX_LIST_RESULTS]
    more = most is not None and len(names) > len(page)
    return page, base64.b64encode(page[-1].encode()).decode() if more else None


# Shapes of answers


def _with_token(shape: Shape, token: str | None) -> Shape:
    return shape | {"NextToken": token} if token else shape


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
        answer["Failed"] = [
            {"Id": entry_id, "SenderFault": True, "Code": error.query_code, "Message": str(error)}
            for entry_id, error in outcome.failed
        ]
    return answer


def _message_view(account: str, parameters: Shape) -> Callable[[Delivery], Shape]:
    """Return the function that shows a delivery with the attributes that a receive asked for."""
    system = {*(parameters.get("AttributeNames") or ()), *(parameters.get("MessageSystemAttributeNames") or ())}
    for name in system:
        if name not in _MESSAGE_SYSTEM_ATTRIBUTES and name not in _QUEUE_ATTRIBUTES:
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
        if system and (attributes := _system_attributes(delivery, system, account)):
            shape["Attributes"] = attributes
        if names and message.attributes:
            chosen = {name: value for name, value in message.attributes.items() if _is_asked_for(name, names)}
            if chosen:
                shape["MessageAttributes"] = {name: _attribute_shape(value) for name, value in chosen.items()}
                whole = len(chosen) == len(message.attributes)
                shape["MD5OfMessageAttributes"] = message.attributes_md5 if whole else attributes_md5(chosen)
        return shape

    return view


def _system_attributes(delivery: Delivery, wanted: set[str], account: str) -> dict[str, str]:
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
        asked in {"All", ".*", name} or (asked.endswith(".*") and name.startswith(asked.removesuffix(".*")))
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
_QUEUE_ATTRIBUTES: Final = frozenset(
    {
        "All",
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "ContentBasedDeduplication",
        "CreatedTimestamp",
        "DeduplicationScope",
        "DelaySeconds",
        "FifoQueue",
        "FifoThroughputLimit",
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "LastModifiedTimestamp",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "Policy",
        "QueueArn",
        "ReceiveMessageWaitTimeSeconds",
        "RedriveAllowPolicy",
        "RedrivePolicy",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    }
)
