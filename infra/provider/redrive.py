"""``aws.sqs.RedrivePolicy`` and ``aws.sqs.RedriveAllowPolicy``: one attribute of a queue as a resource of its own.

pulumi-aws waits about half a minute after setting one, until it has read the same value often enough; here a
request that was accepted counts, so a fresh stack is up in seconds.
"""

from typing import Any, ClassVar

from infra.provider.handler import ResourceHandler
from infra.provider.schema import Kind, Property, Schema
from infra.provider.values import Properties, PropertyValue

ATTRIBUTE_UNKNOWN = frozenset({"InvalidAttributeName", "com.amazonaws.sqs#InvalidAttributeName"})
"""What AWS-compatible endpoints answer that lack one of the policies."""


class _QueueAttributeHandler(ResourceHandler):
    """One JSON attribute of a queue; its id is the queue's URL."""

    service: ClassVar[str] = "sqs"
    computed: ClassVar[tuple[str, ...]] = ()
    property: ClassVar[str]
    attribute: ClassVar[str]

    def create(self, client: Any, inputs: Properties) -> str:
        """Set the attribute, and ask for it: some endpoints take what they do not know, and only then say so."""
        self._set(client, inputs["queueUrl"], inputs[self.property])
        client.get_queue_attributes(QueueUrl=inputs["queueUrl"], AttributeNames=[self.attribute])
        return str(inputs["queueUrl"])

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The queue's URL, if the attribute is set."""
        url = str(inputs["queueUrl"])
        return url if self.read(client, url) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The queue's URL and the attribute; None if the queue is not there or the attribute not set."""
        try:
            answer = client.get_queue_attributes(QueueUrl=resource_id, AttributeNames=[self.attribute])
        except client.exceptions.QueueDoesNotExist:
            return None
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ATTRIBUTE_UNKNOWN:
                return None  # an endpoint that does not know the attribute has none that is set
            raise
        value = answer.get("Attributes", {}).get(self.attribute)
        return {"queueUrl": resource_id, self.property: value} if value else None

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the attribute anew."""
        del changes
        self._set(client, resource_id, new[self.property])

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Clear the attribute."""
        del inputs
        try:
            self._set(client, resource_id, "")
        except client.exceptions.QueueDoesNotExist:
            return

    def _set(self, client: Any, url: str, value: str) -> None:
        client.set_queue_attributes(QueueUrl=url, Attributes={self.attribute: value})


class RedrivePolicyHandler(_QueueAttributeHandler):
    """Where a queue's messages go that were received too often."""

    resource_type: ClassVar[str] = "aws:sqs/redrivePolicy:RedrivePolicy"
    property: ClassVar[str] = "redrivePolicy"
    attribute: ClassVar[str] = "RedrivePolicy"
    schema: ClassVar[Schema] = {
        "queueUrl": Property(Kind.TEXT, required=True, replaces=True),
        "redrivePolicy": Property(Kind.JSON_OBJECT, required=True),
        "region": Property(Kind.TEXT, replaces=True),
    }


class RedriveAllowPolicyHandler(_QueueAttributeHandler):
    """Which queues may redrive to a dead-letter queue."""

    resource_type: ClassVar[str] = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"
    property: ClassVar[str] = "redriveAllowPolicy"
    attribute: ClassVar[str] = "RedriveAllowPolicy"
    schema: ClassVar[Schema] = {
        "queueUrl": Property(Kind.TEXT, required=True, replaces=True),
        "redriveAllowPolicy": Property(Kind.JSON_OBJECT, required=True),
        "region": Property(Kind.TEXT, replaces=True),
    }
