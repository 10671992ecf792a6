"""The actions on queues: their life, attributes, permissions and tags, in AWS's shapes."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from infra.localaws.sqs.context import Shape, Wire
from infra.localaws.sqs.errors import InvalidAttributeName, InvalidParameterValue, MissingParameter, QueueDoesNotExist
from infra.localaws.sqs.limits import MAX_LIST_RESULTS, MAX_TAGS


def create_queue(wire: Wire, parameters: Shape) -> Shape:
    """CreateQueue."""
    tags = _tags(parameters.get("tags") or {})
    _check_tags(tags, parameters["QueueName"])
    queue = wire.model.create_queue(parameters["QueueName"], parameters.get("Attributes"), tags)
    return {"QueueUrl": wire.url(queue.name)}


def get_queue_url(wire: Wire, parameters: Shape) -> Shape:
    """GetQueueUrl."""
    if parameters.get("QueueOwnerAWSAccountId") not in {None, wire.model.account}:
        raise QueueDoesNotExist
    return {"QueueUrl": wire.url(wire.model.queue(parameters["QueueName"]).name)}


def list_queues(wire: Wire, parameters: Shape) -> Shape:
    """ListQueues."""
    names = wire.model.queue_names(parameters.get("QueueNamePrefix") or "")
    page, token = _page(names, parameters)
    return _with_token({"QueueUrls": [wire.url(name) for name in page]} if page else {}, token)


def list_dead_letter_source_queues(wire: Wire, parameters: Shape) -> Shape:
    """ListDeadLetterSourceQueues."""
    page, token = _page(wire.model.dead_letter_sources(wire.queue_name(parameters)), parameters)
    return _with_token({"queueUrls": [wire.url(name) for name in page]}, token)


def delete_queue(wire: Wire, parameters: Shape) -> Shape:
    """DeleteQueue."""
    wire.model.delete_queue(wire.queue_name(parameters))
    return {}


def purge_queue(wire: Wire, parameters: Shape) -> Shape:
    """PurgeQueue."""
    wire.model.purge(wire.queue_name(parameters))
    return {}


def get_queue_attributes(wire: Wire, parameters: Shape) -> Shape:
    """GetQueueAttributes."""
    texts = wire.model.attribute_texts(wire.queue_name(parameters))
    wanted = parameters.get("AttributeNames") or []
    for name in wanted:
        if name not in QUEUE_ATTRIBUTES:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
    if "All" not in wanted:
        texts = {name: text for name, text in texts.items() if name in wanted}
    return {"Attributes": texts} if texts else {}


def set_queue_attributes(wire: Wire, parameters: Shape) -> Shape:
    """SetQueueAttributes."""
    wire.model.set_attributes(wire.queue_name(parameters), parameters["Attributes"])
    return {}


def tag_queue(wire: Wire, parameters: Shape) -> Shape:
    """TagQueue."""
    queue = wire.model.queue(wire.queue_name(parameters))
    tags = _tags(parameters["Tags"])
    if not tags:
        raise MissingParameter.named("Tags")
    _check_tags(queue.tags | tags, queue.name)
    queue.tags.update(tags)
    return {}


def untag_queue(wire: Wire, parameters: Shape) -> Shape:
    """UntagQueue."""
    tags = wire.model.queue(wire.queue_name(parameters)).tags
    if not parameters["TagKeys"]:
        raise MissingParameter.named("TagKeys")
    for key in parameters["TagKeys"]:
        tags.pop(key, None)
    return {}


def list_queue_tags(wire: Wire, parameters: Shape) -> Shape:
    """ListQueueTags."""
    tags = wire.model.queue(wire.queue_name(parameters)).tags
    return {"Tags": dict(tags)} if tags else {}


def add_permission(wire: Wire, parameters: Shape) -> Shape:
    """AddPermission."""
    wire.model.add_permission(
        wire.queue_name(parameters), parameters["Label"], parameters["AWSAccountIds"], parameters["Actions"]
    )
    return {}


def remove_permission(wire: Wire, parameters: Shape) -> Shape:
    """RemovePermission."""
    wire.model.remove_permission(wire.queue_name(parameters), parameters["Label"])
    return {}


def _tags(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if value is not None}


def _check_tags(tags: Mapping[str, str], queue_name: str) -> None:
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValue(f"Too many tags added for queue {queue_name}.")


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


def _with_token(shape: Shape, token: str | None) -> Shape:
    return shape | {"NextToken": token} if token else shape


QUEUE_ATTRIBUTES: Final = frozenset(
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
