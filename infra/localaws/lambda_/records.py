"""A received message as the record that a function is handed.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import base64
from typing import Any, NamedTuple

from infra.localaws.sqs.content import MessageAttribute
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.message_actions import system_attributes

EVENT_SOURCE = "aws:sqs"


class SourceQueue(NamedTuple):
    """The queue that a mapping reads."""

    name: str
    arn: str
    fifo: bool

    @property
    def region(self) -> str:
        """AWS's name of its region."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """Its owner's id."""
        return self.arn.split(":")[4]


def record_of(delivery: Delivery, queue: SourceQueue) -> dict[str, Any]:
    """Return the record of a delivery."""
    message = delivery.message
    attributes = message.attributes or {}
    record: dict[str, Any] = {
        "messageId": message.message_id,
        "receiptHandle": delivery.receipt_handle,
        "body": message.body,
        "attributes": system_attributes(delivery, queue.account),
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfBody": message.body_md5,
        "eventSource": EVENT_SOURCE,
        "eventSourceARN": queue.arn,
        "awsRegion": queue.region,
    }
    if attributes:
        record["md5OfMessageAttributes"] = message.attributes_md5
    return record


def _attribute(attribute: MessageAttribute) -> dict[str, Any]:
    value = attribute.value
    given = {"binaryValue": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"stringValue": value}
    return {**given, "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type}
