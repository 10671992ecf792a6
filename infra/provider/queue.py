"""``aws.sqs.Queue``: standard and FIFO queues."""

from typing import Any, ClassVar

from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.naming import choose_name
from infra.provider.schema import Kind, Property, Schema, effective
from infra.provider.values import UNKNOWN, Properties, PropertyValue

FIFO_ENDING = ".fifo"
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
MAX_NAME = 80

# The limits and defaults of SetQueueAttributes:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
# The default of maxMessageSize is pulumi-aws's own (its class documents it), which AWS has raised since.
_ATTRIBUTES = {
    "visibilityTimeoutSeconds": ("VisibilityTimeout", Property(Kind.INTEGER, default=30, minimum=0, maximum=43_200)),
    "delaySeconds": ("DelaySeconds", Property(Kind.INTEGER, default=0, minimum=0, maximum=900)),
    "receiveWaitTimeSeconds": (
        "ReceiveMessageWaitTimeSeconds",
        Property(Kind.INTEGER, default=0, minimum=0, maximum=20),
    ),
    "messageRetentionSeconds": (
        "MessageRetentionPeriod",
        Property(Kind.INTEGER, default=345_600, minimum=60, maximum=1_209_600),
    ),
    "maxMessageSize": (
        "MaximumMessageSize",
        Property(Kind.INTEGER, default=262_144, minimum=1_024, maximum=1_048_576),
    ),
    "fifoQueue": ("FifoQueue", Property(Kind.BOOLEAN, default=False, replaces=True)),
    "contentBasedDeduplication": ("ContentBasedDeduplication", Property(Kind.BOOLEAN, default=False)),
    "deduplicationScope": ("DeduplicationScope", Property(Kind.TEXT, choices=("queue", "messageGroup"))),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html
    "kmsMasterKeyId": ("KmsMasterKeyId", Property(Kind.TEXT)),
    "kmsDataKeyReusePeriodSeconds": (
        "KmsDataKeyReusePeriodSeconds",
        Property(Kind.INTEGER, minimum=60, maximum=86_400),
    ),
    "sqsManagedSseEnabled": ("SqsManagedSseEnabled", Property(Kind.BOOLEAN)),
    "fifoThroughputLimit": ("FifoThroughputLimit", Property(Kind.TEXT, choices=("perQueue", "perMessageGroupId"))),
}
_FIFO_DEFAULTS = {"deduplicationScope": "queue", "fifoThroughputLimit": "perQueue"}
_WHEN_REMOVED = {
    **_FIFO_DEFAULTS,
    "kmsMasterKeyId": "",
    "kmsDataKeyReusePeriodSeconds": 300,
    "sqsManagedSseEnabled": True,
}
"""What SQS has where a property is not set and this provider sends nothing for it."""
_FIFO_ONLY = ("contentBasedDeduplication", *_FIFO_DEFAULTS)


class QueueHandler(ResourceHandler):
    """A queue; its id is its URL."""

    resource_type: ClassVar[str] = "aws:sqs/queue:Queue"
    service: ClassVar[str] = "sqs"
    computed: ClassVar[tuple[str, ...]] = ("arn", "url", "tagsAll")
    schema: ClassVar[Schema] = {
        "name": Property(Kind.TEXT, replaces=True),
        "region": Property(Kind.TEXT, replaces=True),
        "tags": Property(Kind.TEXT_MAP, default={}),
        **{key: entry for key, (_, entry) in _ATTRIBUTES.items()},
    }

    def choose_name(self, logical_name: str, inputs: Properties, random_seed: bytes) -> str | None:
        """The logical name and a random suffix; a FIFO queue's ``.fifo`` stays last."""
        if inputs.get("fifoQueue") is UNKNOWN:
            return None
        return choose_name(logical_name, random_seed, FIFO_ENDING if inputs.get("fifoQueue") else "")

    def keeps_name(self, name: str, inputs: Properties) -> bool:
        """Not if the queue becomes FIFO or ceases to be: its name has to tell."""
        fifo = inputs.get("fifoQueue", False)
        return fifo is UNKNOWN or name.endswith(FIFO_ENDING) is fifo

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """A name that SQS takes for the queue's type, and FIFO's own properties on FIFO queues alone."""
        failures = []
        name, fifo = inputs.get("name"), inputs.get("fifoQueue", False)
        if isinstance(name, str):
            if len(name) > MAX_NAME:
                reason = f"The queue's name {name} has {len(name)} characters; SQS takes at most {MAX_NAME}."
                failures.append(CheckFailure("name", reason))
            if fifo is not UNKNOWN and name.endswith(FIFO_ENDING) is not fifo:
                reason = f"The name of a FIFO queue ends in {FIFO_ENDING}, any other's does not: {name}."
                failures.append(CheckFailure("name", reason))
        if inputs.get("kmsMasterKeyId") and inputs.get("sqsManagedSseEnabled") is True:
            reason = "A queue is encrypted with a key of KMS or by SQS itself: leave out one of the two properties."
            failures.append(CheckFailure("sqsManagedSseEnabled", reason))
        failures += [
            CheckFailure(key, f"{key} can be set on a FIFO queue only.")
            for key in _FIFO_ONLY
            if fifo is False and inputs.get(key) not in (None, False)
        ]
        return failures

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the queue with its attributes and tags in one request, so it is never there by half.

        The defaults are sent too, as pulumi-aws does: an endpoint's own may differ.
        """
        attributes = {
            attribute: _to_attribute(value)
            for key, (attribute, entry) in _ATTRIBUTES.items()
            # SQS refuses false for FIFO's own attributes on a standard queue: to leave them out says it.
            if (value := effective(entry, inputs.get(key))) is not None
            and (value is not False or key == "sqsManagedSseEnabled")
        }
        answer = client.create_queue(
            QueueName=inputs["name"], Attributes=attributes, tags=dict(inputs.get("tags") or {})
        )
        return str(answer["QueueUrl"])

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The URL of the queue of that name."""
        try:
            return str(client.get_queue_url(QueueName=inputs["name"])["QueueUrl"])
        except client.exceptions.QueueDoesNotExist:
            return None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The queue's attributes and tags."""
        try:
            attributes = client.get_queue_attributes(QueueUrl=resource_id, AttributeNames=["All"])["Attributes"]
            tags = client.list_queue_tags(QueueUrl=resource_id).get("Tags", {})
        except client.exceptions.QueueDoesNotExist:
            return None
        outputs = {
            key: _from_attribute(entry.kind, attributes[attribute])
            for key, (attribute, entry) in _ATTRIBUTES.items()
            if attribute in attributes
        }
        name = resource_id.rsplit("/", 1)[-1]
        return {
            "fifoQueue": False,
            "contentBasedDeduplication": False,
            **outputs,
            "name": name,
            "arn": attributes["QueueArn"],
            "url": resource_id,
            "tags": tags,
            "tagsAll": tags,
        }

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the changed attributes in one request, then the tags."""
        attributes = {}
        for key in changes:
            if key in _ATTRIBUTES:
                attribute, entry = _ATTRIBUTES[key]
                default = entry.default if entry.default is not None else _WHEN_REMOVED.get(key)
                value = new.get(key)
                attributes[attribute] = _to_attribute(default if value is None else value)
        if attributes:
            client.set_queue_attributes(QueueUrl=resource_id, Attributes=attributes)
        if "tags" in changes:
            wanted = dict(new.get("tags") or {})
            superfluous = set(client.list_queue_tags(QueueUrl=resource_id).get("Tags", {})) - set(wanted)
            if superfluous:
                client.untag_queue(QueueUrl=resource_id, TagKeys=sorted(superfluous))
            if wanted:
                client.tag_queue(QueueUrl=resource_id, Tags=wanted)

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the queue. Its name is free again 60 seconds later, which the random suffix makes unimportant."""
        del inputs
        try:
            client.delete_queue(QueueUrl=resource_id)
        except client.exceptions.QueueDoesNotExist:
            return


def _to_attribute(value: PropertyValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_attribute(kind: Kind, text: str) -> PropertyValue:
    match kind:
        case Kind.INTEGER:
            return int(text)
        case Kind.BOOLEAN:
            return text == "true"
        case _:
            return text
