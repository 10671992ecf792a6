"""``aws.dynamodb.Table``: on-demand tables."""

import time
from typing import Any, ClassVar

from infra.errors import ProviderError
from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.schema import Kind, Property, Schema
from infra.provider.values import UNKNOWN, Properties, PropertyValue, contains_unknown

ON_DEMAND = "PAY_PER_REQUEST"
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
MIN_NAME = 3
MAX_NAME = 255
SETTLE_SECONDS = 120
"""Seconds to wait for a table to become active, or to be gone."""
SETTLE_PAUSES = (0.02, 0.1, 0.5, 1.0)
"""Seconds between two looks, growing: an embedded table is there at once, one on AWS after some seconds."""


class TableHandler(ResourceHandler):
    """A table; its id is its name."""

    resource_type: ClassVar[str] = "aws:dynamodb/table:Table"
    service: ClassVar[str] = "dynamodb"
    computed: ClassVar[tuple[str, ...]] = ("arn", "tagsAll")
    schema: ClassVar[Schema] = {
        "name": Property(Kind.TEXT, replaces=True),
        "hashKey": Property(Kind.TEXT, required=True, replaces=True),
        "rangeKey": Property(Kind.TEXT, replaces=True),
        # Without indexes the attributes are the keys' own definitions, and a key cannot change its type.
        "attributes": Property(Kind.KEY_ATTRIBUTES, required=True, replaces=True),
        "billingMode": Property(Kind.TEXT, required=True, choices=(ON_DEMAND,)),
        "ttl": Property(Kind.TTL, default={"enabled": False, "attributeName": ""}),
        "region": Property(Kind.TEXT, replaces=True),
        "tags": Property(Kind.TEXT_MAP, default={}),
    }

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """A name of a length that DynamoDB takes, and a definition of each key and of nothing else."""
        failures = []
        name = inputs.get("name")
        if isinstance(name, str) and not MIN_NAME <= len(name) <= MAX_NAME:
            reason = f"A table's name has {MIN_NAME} to {MAX_NAME} characters; {name} has {len(name)}."
            failures.append(CheckFailure("name", reason))
        attributes = inputs.get("attributes")
        keys = [inputs[key] for key in ("hashKey", "rangeKey") if inputs.get(key) is not None]
        if isinstance(attributes, list) and not contains_unknown(attributes) and UNKNOWN not in keys:
            defined = [attribute.get("name") for attribute in attributes if isinstance(attribute, dict)]
            if sorted(map(str, defined)) != sorted(map(str, keys)):
                reason = f"attributes must define the keys {keys} and nothing else, and define {defined}."
                failures.append(CheckFailure("attributes", reason))
        return failures

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the table with its tags in one request, and wait until it is active."""
        keys = [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}]
        if inputs.get("rangeKey") is not None:
            keys.append({"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"})
        made = client.create_table(
            TableName=inputs["name"],
            KeySchema=keys,
            AttributeDefinitions=[
                {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
                for attribute in inputs["attributes"]
            ],
            BillingMode=inputs["billingMode"],
            Tags=_to_tags(inputs.get("tags") or {}),
        )
        if made["TableDescription"]["TableStatus"] != "ACTIVE":
            _wait_for(client, inputs["name"], "ACTIVE")
        if _is_on(inputs.get("ttl")):
            _set_ttl(client, inputs["name"], inputs["ttl"], on=True)
        return str(inputs["name"])

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The name of the table, once it is active."""
        name = str(inputs["name"])
        status = _status(client, name)
        if status == "CREATING":
            _wait_for(client, name, "ACTIVE")
        return None if status is None else name

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The table's keys, billing mode and tags."""
        try:
            table = client.describe_table(TableName=resource_id)["Table"]
            tags = _read_tags(client, table["TableArn"])
            ttl = _read_ttl(client, resource_id)
        except client.exceptions.ResourceNotFoundException:
            return None
        keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
        outputs = {
            "name": table["TableName"],
            "arn": table["TableArn"],
            "hashKey": keys["HASH"],
            "rangeKey": keys.get("RANGE"),
            "attributes": [
                {"name": attribute["AttributeName"], "type": attribute["AttributeType"]}
                for attribute in table["AttributeDefinitions"]
            ],
            "billingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
            "ttl": ttl,
            "tags": tags,
            "tagsAll": tags,
        }
        return {key: value for key, value in outputs.items() if value is not None}

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the billing mode and the tags."""
        if "billingMode" in changes:
            client.update_table(TableName=resource_id, BillingMode=new["billingMode"])
            _wait_for(client, resource_id, "ACTIVE")
        if "ttl" in changes:
            # One attribute of a table at a time: another one is set once the old one is off.
            present = _read_ttl(client, resource_id)
            if present["enabled"]:
                _set_ttl(client, resource_id, present, on=False)
            if _is_on(new.get("ttl")):
                _set_ttl(client, resource_id, new["ttl"], on=True)
        if "tags" in changes:
            arn = client.describe_table(TableName=resource_id)["Table"]["TableArn"]
            wanted = dict(new.get("tags") or {})
            superfluous = set(_read_tags(client, arn)) - set(wanted)
            if superfluous:
                client.untag_resource(ResourceArn=arn, TagKeys=sorted(superfluous))
            if wanted:
                client.tag_resource(ResourceArn=arn, Tags=_to_tags(wanted))

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the table, and wait until it is gone."""
        del inputs
        try:
            client.delete_table(TableName=resource_id)
        except client.exceptions.ResourceNotFoundException:
            return
        _wait_for(client, resource_id, None)


def _read_tags(client: Any, arn: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    request = {"ResourceArn": arn}
    while True:
        answer = client.list_tags_of_resource(**request)
        tags.update({tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])})
        if not answer.get("NextToken"):
            return tags
        request["NextToken"] = answer["NextToken"]


def _is_on(ttl: PropertyValue) -> bool:
    return bool(ttl) and ttl.get("enabled", True) is True


def _read_ttl(client: Any, name: str) -> dict[str, PropertyValue]:
    found = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    on = found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return {"enabled": on, "attributeName": found.get("AttributeName", "") if on else ""}


def _set_ttl(client: Any, name: str, ttl: Properties, *, on: bool) -> None:
    specification = {"Enabled": on, "AttributeName": ttl["attributeName"]}
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


def _to_tags(tags: Properties) -> list[dict[str, PropertyValue]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _status(client: Any, name: str) -> str | None:
    try:
        return str(client.describe_table(TableName=name)["Table"]["TableStatus"])
    except client.exceptions.ResourceNotFoundException:
        return None


def _wait_for(client: Any, name: str, wanted: str | None) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    looks = 0
    while (status := _status(client, name)) != wanted:
        if time.monotonic() > deadline:
            raise ProviderError(f"The table {name} is still {status} after {SETTLE_SECONDS} s; try again later.")
        time.sleep(SETTLE_PAUSES[min(looks, len(SETTLE_PAUSES) - 1)])
        looks += 1
