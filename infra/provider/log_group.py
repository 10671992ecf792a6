"""``aws.cloudwatch.LogGroup``: where a function's log goes, and for how long it is kept."""

from typing import Any, ClassVar

from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.schema import Kind, Property, Schema
from infra.provider.values import Properties, PropertyValue

FOR_EVER = 0
"""pulumi-aws's value for a log that is kept for ever."""
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTIONS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


class LogGroupHandler(ResourceHandler):
    """A log group; its id is its name."""

    resource_type: ClassVar[str] = "aws:cloudwatch/logGroup:LogGroup"
    service: ClassVar[str] = "logs"
    computed: ClassVar[tuple[str, ...]] = ("arn", "tagsAll")
    schema: ClassVar[Schema] = {
        "name": Property(Kind.TEXT, replaces=True),
        "retentionInDays": Property(Kind.INTEGER, default=FOR_EVER),
        "region": Property(Kind.TEXT, replaces=True),
        "tags": Property(Kind.TEXT_MAP, default={}),
    }

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """A retention that CloudWatch Logs has."""
        days = inputs.get("retentionInDays")
        if isinstance(days, int) and days != FOR_EVER and days not in RETENTIONS:
            allowed = ", ".join(map(str, sorted(RETENTIONS)))
            reason = f"retentionInDays must be 0 (for ever) or one of {allowed}, and is {days}."
            return [CheckFailure("retentionInDays", reason)]
        return []

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the group with its tags; one that the function's first line has made is taken over."""
        name = str(inputs["name"])
        tags = dict(inputs.get("tags") or {})
        try:
            client.create_log_group(logGroupName=name, **({"tags": tags} if tags else {}))
        except client.exceptions.ResourceAlreadyExistsException:
            self._set_tags(client, name, inputs)
        self._set_retention(client, name, inputs)
        return name

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The name of the group."""
        name = str(inputs["name"])
        return name if _get(client, name) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The group with its retention and tags."""
        group = _get(client, resource_id)
        if group is None:
            return None
        arn = group["arn"].removesuffix(":*")
        tags = client.list_tags_for_resource(resourceArn=arn).get("tags", {})
        return {
            "name": resource_id,
            "arn": arn,
            "retentionInDays": group.get("retentionInDays", FOR_EVER),
            "tags": tags,
            "tagsAll": tags,
        }

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the retention and the tags."""
        if "retentionInDays" in changes:
            self._set_retention(client, resource_id, new)
        if "tags" in changes:
            self._set_tags(client, resource_id, new)

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the group with its log."""
        del inputs
        try:
            client.delete_log_group(logGroupName=resource_id)
        except client.exceptions.ResourceNotFoundException:
            return

    def _set_retention(self, client: Any, name: str, inputs: Properties) -> None:
        days = inputs.get("retentionInDays") or FOR_EVER
        if days == FOR_EVER:
            client.delete_retention_policy(logGroupName=name)
        else:
            client.put_retention_policy(logGroupName=name, retentionInDays=days)

    def _set_tags(self, client: Any, name: str, inputs: Properties) -> None:
        group = _get(client, name)
        if group is None:
            return
        arn = group["arn"].removesuffix(":*")
        wanted = dict(inputs.get("tags") or {})
        superfluous = sorted(set(client.list_tags_for_resource(resourceArn=arn).get("tags", {})) - set(wanted))
        if superfluous:
            client.untag_resource(resourceArn=arn, tagKeys=superfluous)
        if wanted:
            client.tag_resource(resourceArn=arn, tags=wanted)


def _get(client: Any, name: str) -> Any:
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    return next((group for page in pages for group in page["logGroups"] if group["logGroupName"] == name), None)
