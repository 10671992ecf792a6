"""``aws.lambda_.EventSourceMapping``: from a queue to a function."""

from typing import Any, ClassVar

from infra.provider.function import set_tags
from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.schema import Kind, Property, Schema, effective
from infra.provider.settling import once_the_role_is_known, wait_until
from infra.provider.values import Properties, PropertyValue, contains_unknown

REPORT_ITEM_FAILURES = "ReportBatchItemFailures"
_ENABLED = frozenset({"Creating", "Enabling", "Enabled", "Updating"})
_UNSETTLED = frozenset({"Creating", "Enabling", "Disabling", "Updating"})
_FRESH_POLICY = ("does not have permissions", "cannot be assumed")


def function_of(value: PropertyValue) -> PropertyValue:
    """The name in a function's name or ARN, which mean the same."""
    return value.rsplit(":", 1)[-1] if isinstance(value, str) else value


class EventSourceMappingHandler(ResourceHandler):
    """A mapping; its id is its UUID."""

    resource_type: ClassVar[str] = "aws:lambda/eventSourceMapping:EventSourceMapping"
    service: ClassVar[str] = "lambda"
    computed: ClassVar[tuple[str, ...]] = ("arn", "functionArn", "state", "tagsAll", "uuid")
    schema: ClassVar[Schema] = {
        "eventSourceArn": Property(Kind.TEXT, required=True, replaces=True),
        "functionName": Property(Kind.TEXT, required=True, canonical=function_of),
        "enabled": Property(Kind.BOOLEAN, default=True),
        "batchSize": Property(Kind.INTEGER, default=10, minimum=1, maximum=10_000),
        "maximumBatchingWindowInSeconds": Property(Kind.INTEGER, default=0, minimum=0, maximum=300),
        "functionResponseTypes": Property(Kind.TEXT_LIST, default=[]),
        "scalingConfig": Property(Kind.OBJECT),
        "filterCriteria": Property(Kind.OBJECT),
        "region": Property(Kind.TEXT, replaces=True),
        "tags": Property(Kind.TEXT_MAP, default={}),
    }

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """Nested properties of the right form."""
        failures = []
        for key, is_right, form in (
            ("scalingConfig", _is_scaling, "a mapping with maximumConcurrency, from 2 to 1000"),
            ("filterCriteria", _is_criteria, "a mapping with filters, a list of mappings with pattern, a text"),
            (
                "functionResponseTypes",
                lambda value: set(value) <= {REPORT_ITEM_FAILURES},
                f"a list of {REPORT_ITEM_FAILURES} or nothing",
            ),
        ):
            value = inputs.get(key)
            if value is not None and not contains_unknown(value) and not is_right(value):
                failures.append(CheckFailure(key, f"{key} must be {form}, and is {value!r}."))
        return failures

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the mapping, and wait until it polls."""
        keys = tuple(key for key in self.schema if inputs.get(key) is not None)
        settings = self._settings(inputs, keys)
        made = once_the_role_is_known(
            client,
            lambda: client.create_event_source_mapping(
                EventSourceArn=inputs["eventSourceArn"], Tags=dict(inputs.get("tags") or {}), **settings
            ),
            _FRESH_POLICY,
        )
        uuid = str(made["UUID"])
        _settle(client, uuid)
        return uuid

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The UUID of the mapping of this queue to this function, of which there is one at most."""
        pages = client.get_paginator("list_event_source_mappings").paginate(
            EventSourceArn=inputs["eventSourceArn"], FunctionName=inputs["functionName"]
        )
        try:
            found = [mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]]
        except client.exceptions.ResourceNotFoundException:
            return None
        return found[0] if found else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The mapping's settings and tags."""
        mapping = _get(client, resource_id)
        if mapping is None or mapping["State"] == "Deleting":
            return None
        tags = client.list_tags(Resource=mapping["EventSourceMappingArn"]).get("Tags", {})
        outputs: dict[str, PropertyValue] = {
            "uuid": resource_id,
            "arn": mapping["EventSourceMappingArn"],
            "eventSourceArn": mapping["EventSourceArn"],
            "functionArn": mapping["FunctionArn"],
            "functionName": function_of(mapping["FunctionArn"]),
            "enabled": mapping["State"] in _ENABLED,
            "state": mapping["State"],
            "batchSize": mapping["BatchSize"],
            "maximumBatchingWindowInSeconds": mapping.get("MaximumBatchingWindowInSeconds", 0),
            "functionResponseTypes": mapping.get("FunctionResponseTypes", []),
            "tags": tags,
            "tagsAll": tags,
        }
        most = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if most is not None:
            outputs["scalingConfig"] = {"maximumConcurrency": most}
        filters = mapping.get("FilterCriteria", {}).get("Filters")
        if filters:
            outputs["filterCriteria"] = {"filters": [{"pattern": entry["Pattern"]} for entry in filters]}
        return outputs

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the changed settings, then the tags."""
        settings = self._settings(new, changes)
        if settings:
            once_the_role_is_known(
                client, lambda: client.update_event_source_mapping(UUID=resource_id, **settings), _FRESH_POLICY
            )
            _settle(client, resource_id)
        if "tags" in changes:
            mapping = _get(client, resource_id)
            if mapping is not None:
                arn = mapping["EventSourceMappingArn"]
                set_tags(client, arn, client.list_tags(Resource=arn).get("Tags", {}), new)

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the mapping, and wait until it has handled what it had received."""
        del inputs
        try:
            client.delete_event_source_mapping(UUID=resource_id)
        except client.exceptions.ResourceNotFoundException:
            return
        except client.exceptions.ResourceInUseException:
            pass  # its delete is under way
        wait_until(lambda: _get(client, resource_id) is None, f"the end of the mapping {resource_id}")

    def _settings(self, inputs: Properties, keys: tuple[str, ...]) -> dict[str, PropertyValue]:
        """The members of a request for these properties; a nested one without a value is sent empty, to clear it."""
        settings: dict[str, PropertyValue] = {}
        for key in keys:
            value = effective(self.schema[key], inputs.get(key))
            if key in _PLAIN:
                settings[_PLAIN[key]] = value
            elif key == "scalingConfig":
                settings["ScalingConfig"] = {"MaximumConcurrency": value["maximumConcurrency"]} if value else {}
            elif key == "filterCriteria":
                filters = (value or {}).get("filters") or []
                settings["FilterCriteria"] = {"Filters": [{"Pattern": entry["pattern"]} for entry in filters]}
        return settings


_PLAIN = {
    "functionName": "FunctionName",
    "enabled": "Enabled",
    "batchSize": "BatchSize",
    "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
    "functionResponseTypes": "FunctionResponseTypes",
}


def _get(client: Any, uuid: str) -> Any:
    try:
        return client.get_event_source_mapping(UUID=uuid)
    except client.exceptions.ResourceNotFoundException:
        return None


def _settle(client: Any, uuid: str) -> None:
    def is_settled() -> bool:
        mapping = _get(client, uuid)
        return mapping is None or mapping["State"] not in _UNSETTLED

    wait_until(is_settled, f"the mapping {uuid} to settle")


def _is_scaling(value: Properties) -> bool:
    most = value.get("maximumConcurrency")
    return set(value) == {"maximumConcurrency"} and type(most) is int and 2 <= most <= 1_000  # noqa: PLR2004 - AWS's


def _is_criteria(value: Properties) -> bool:
    filters = value.get("filters")
    return (
        set(value) == {"filters"}
        and isinstance(filters, list)
        and all(set(entry) == {"pattern"} and isinstance(entry["pattern"], str) for entry in filters)
    )
