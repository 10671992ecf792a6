"""Delete a run's queue, or its status table, for good, as an operator would; after the run it is made again.

A consumer whose fault asks for it meets the deletion by itself, at once. The lab sees that in the history, and has the
endpoint delete the resource, so that every other consumer meets it as well. Only the embedded endpoint frees a deleted
queue's name at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources

#: What a queue tells of itself and takes from nobody.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
_TOLD_ALONE = ("Approximate", "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn")


class Deletion:
    """What was deleted of one run's resources.

    Args:
        ask: makes a call to the endpoint, whose failure ends the run with a sentence.
        free_name: lets the endpoint take the name of a deleted queue again.
    """

    def __init__(
        self,
        ask: Callable[..., Any],
        sqs: Any,
        dynamodb: Any,
        resources: ScenarioResources,
        free_name: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._sqs = sqs
        self._dynamodb = dynamodb
        self._resources = resources
        self._free_name = free_name
        self._restore: list[Callable[[], None]] = []

    def delete(self, reach: str) -> None:
        """Delete the queue, or the status table, and remember how it is made.

        Args:
            reach: ``queue`` or ``store``.

        Raises:
            UnsuitableError: the endpoint refuses.
        """
        if reach == "queue":
            self._delete_queue(self._resources.queue_url)
        else:
            self._delete_table(self._resources.status_table)

    def restore(self) -> None:
        """Make again what was deleted, empty; safe at any time, more than once.

        Raises:
            UnsuitableError: the endpoint refuses.
        """
        while self._restore:
            self._restore.pop()()

    def _delete_queue(self, url: str) -> None:
        ask, sqs, name = self._ask, self._sqs, self._resources.queue_name
        told: Mapping[str, str] = ask(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])["Attributes"]
        attributes = {key: value for key, value in told.items() if not key.startswith(_TOLD_ALONE)}
        tags = ask(sqs.list_queue_tags, QueueUrl=url).get("Tags", {})

        def restore() -> None:
            self._free_name(name)
            ask(sqs.create_queue, QueueName=name, Attributes=attributes, tags=tags)

        ask(sqs.delete_queue, QueueUrl=url)
        self._restore.append(restore)

    def _delete_table(self, name: str) -> None:
        ask, dynamodb = self._ask, self._dynamodb
        table = ask(dynamodb.describe_table, TableName=name)["Table"]
        lives = ask(dynamodb.describe_time_to_live, TableName=name)["TimeToLiveDescription"].get("AttributeName")
        tags = ask(dynamodb.list_tags_of_resource, ResourceArn=table["TableArn"]).get("Tags", [])

        def restore() -> None:
            ask(
                dynamodb.create_table,
                TableName=name,
                KeySchema=table["KeySchema"],
                AttributeDefinitions=table["AttributeDefinitions"],
                BillingMode="PAY_PER_REQUEST",
                Tags=tags,
            )
            if lives:
                ttl = {"AttributeName": lives, "Enabled": True}
                ask(dynamodb.update_time_to_live, TableName=name, TimeToLiveSpecification=ttl)

        ask(dynamodb.delete_table, TableName=name)
        self._restore.append(restore)
