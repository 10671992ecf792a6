"""``aws.lambda_.Function``: functions from a zip archive."""

import re
from typing import Any, ClassVar

from infra.provider.archives import zip_bytes
from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.schema import Kind, Property, Schema, effective
from infra.provider.settling import once_the_role_is_known
from infra.provider.values import Archive, Properties, PropertyValue, contains_unknown

# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
UNRESERVED = -1
"""pulumi-aws's value for a function without a part of the account's concurrency."""
_SETTINGS = {
    "role": "Role",
    "handler": "Handler",
    "runtime": "Runtime",
    "timeout": "Timeout",
    "memorySize": "MemorySize",
    "description": "Description",
    "environment": "Environment",
}
FRESH_ROLE = ("cannot be assumed by Lambda",)


class FunctionHandler(ResourceHandler):
    """A function; its id is its name."""

    resource_type: ClassVar[str] = "aws:lambda/function:Function"
    service: ClassVar[str] = "lambda"
    computed: ClassVar[tuple[str, ...]] = ("arn", "codeSha256", "sourceCodeSize", "tagsAll")
    schema: ClassVar[Schema] = {
        "name": Property(Kind.TEXT, replaces=True),
        "role": Property(Kind.TEXT, required=True),
        # What was uploaded cannot be read back, so the hash of the program's archive tells of a change.
        "code": Property(Kind.ARCHIVE, required=True, ours=True),
        "handler": Property(Kind.TEXT, required=True),
        "runtime": Property(Kind.TEXT, required=True),
        "timeout": Property(Kind.INTEGER, default=3, minimum=1, maximum=900),
        "memorySize": Property(Kind.INTEGER, default=128, minimum=128, maximum=10_240),
        "description": Property(Kind.TEXT, default=""),
        "environment": Property(Kind.OBJECT),
        "reservedConcurrentExecutions": Property(Kind.INTEGER, default=UNRESERVED, minimum=UNRESERVED, maximum=1_000),
        "region": Property(Kind.TEXT, replaces=True),
        "tags": Property(Kind.TEXT_MAP, default={}),
    }

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """A name that Lambda takes, and an environment of texts."""
        failures = []
        name, environment = inputs.get("name"), inputs.get("environment")
        if isinstance(name, str) and not _NAME.fullmatch(name):
            reason = f"A function's name has 1 to 64 letters, digits, hyphens and underscores, and {name} is none."
            failures.append(CheckFailure("name", reason))
        if environment is not None and not contains_unknown(environment) and not _is_environment(environment):
            reason = "environment must be a mapping with variables, a mapping of texts."
            failures.append(CheckFailure("environment", reason))
        return failures

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the function, wait until it is active, and reserve its concurrency."""
        name = str(inputs["name"])

        def create() -> None:
            client.create_function(
                FunctionName=name,
                Code={"ZipFile": _zip(inputs)},
                Tags=dict(inputs.get("tags") or {}),
                **self._settings(inputs, tuple(key for key in _SETTINGS if inputs.get(key) is not None)),
            )

        once_the_role_is_known(client, create, FRESH_ROLE)
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        if effective(self.schema["reservedConcurrentExecutions"], inputs.get("reservedConcurrentExecutions")) >= 0:
            self._reserve(client, name, inputs)
        return name

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The name of the function."""
        name = str(inputs["name"])
        return name if _get(client, name) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The function's settings, reserved concurrency and tags."""
        answer = _get(client, resource_id)
        if answer is None:
            return None
        config = answer["Configuration"]
        reserved = answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", UNRESERVED)
        tags = answer.get("Tags", {})
        outputs = {
            "name": config["FunctionName"],
            "arn": config["FunctionArn"],
            "role": config["Role"],
            "handler": config["Handler"],
            "runtime": config["Runtime"],
            "timeout": config["Timeout"],
            "memorySize": config["MemorySize"],
            "description": config.get("Description", ""),
            "codeSha256": config["CodeSha256"],
            "sourceCodeSize": config["CodeSize"],
            "reservedConcurrentExecutions": reserved,
            "tags": tags,
            "tagsAll": tags,
        }
        variables = config.get("Environment", {}).get("Variables")
        if variables:
            outputs["environment"] = {"variables": variables}
        return outputs

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the changed settings, then the code, the reserved concurrency and the tags."""
        settings = self._settings(new, changes)
        if settings:
            once_the_role_is_known(
                client,
                lambda: client.update_function_configuration(FunctionName=resource_id, **settings),
                FRESH_ROLE,
            )
            client.get_waiter("function_updated_v2").wait(FunctionName=resource_id)
        if "code" in changes:
            client.update_function_code(FunctionName=resource_id, ZipFile=_zip(new))
            client.get_waiter("function_updated_v2").wait(FunctionName=resource_id)
        if "reservedConcurrentExecutions" in changes:
            self._reserve(client, resource_id, new)
        if "tags" in changes:
            answer = _get(client, resource_id)
            if answer is not None:
                set_tags(client, answer["Configuration"]["FunctionArn"], answer.get("Tags", {}), new)

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the function."""
        del inputs
        try:
            client.delete_function(FunctionName=resource_id)
        except client.exceptions.ResourceNotFoundException:
            return

    def _settings(self, inputs: Properties, keys: tuple[str, ...]) -> dict[str, PropertyValue]:
        settings = {_SETTINGS[key]: effective(self.schema[key], inputs.get(key)) for key in keys if key in _SETTINGS}
        if "Environment" in settings:
            environment = settings["Environment"] or {}
            settings["Environment"] = {"Variables": dict(environment.get("variables") or {})}
        return settings

    def _reserve(self, client: Any, name: str, inputs: Properties) -> None:
        entry = self.schema["reservedConcurrentExecutions"]
        count = effective(entry, inputs.get("reservedConcurrentExecutions"))
        if count == UNRESERVED:
            client.delete_function_concurrency(FunctionName=name)
        else:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=count)


def set_tags(client: Any, arn: str, present: Properties, inputs: Properties) -> None:
    """Give a resource of Lambda's the tags of its inputs, and no others."""
    wanted = dict(inputs.get("tags") or {})
    superfluous = sorted(set(present) - set(wanted))
    if superfluous:
        client.untag_resource(Resource=arn, TagKeys=superfluous)
    if wanted:
        client.tag_resource(Resource=arn, Tags=wanted)


def _get(client: Any, name: str) -> Any:
    try:
        return client.get_function(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        return None


def _zip(inputs: Properties) -> bytes:
    code: Archive = inputs["code"]
    return zip_bytes(code)


def _is_environment(environment: Properties) -> bool:
    variables = environment.get("variables") or {}
    return set(environment) <= {"variables"} and all(isinstance(value, str) for value in variables.values())
