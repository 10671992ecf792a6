"""Is what a stack promises really there, and as it was configured? Asked of AWS itself, whatever the state says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from infra.clients import Login, aws_client
from infra.commands.printing import Printer
from infra.errors import ProviderError, StackNotUpError
from infra.stack.expected_attributes import actual_attributes, differences, expected_attributes
from infra.stack.names import choose_stack
from infra.stack.project import read_stack_config
from infra.stack.stacks import ScenarioResources, Stack, find_stack


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a resource is not as promised.

    Attributes:
        scenario: Whose resource it is.
        resource: The queue's, table's or bucket's name.
        what: The attribute, or ``existence``.
        expected: What the stack promises.
        actual: What is really there.
    """

    scenario: str
    resource: str
    what: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        if self.what == "existence":
            return f"{self.scenario}: {self.resource} is not there"
        return f"{self.scenario}: {self.what} of {self.resource} is {self.actual}, and should be {self.expected}"


@dataclass(slots=True)
class Validation:
    """What was compared, and what differs.

    Attributes:
        checks: How many attributes were compared.
        differences: Those that are not as promised.
    """

    checks: int = 0
    differences: list[Difference] = field(default_factory=list)


def validate(stack: str | None = None, *, json: bool = False) -> int:
    """Compare what a stack promises with what is really there.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.

    Returns:
        0, or 1 if something differs.

    Raises:
        StackNotUpError: The stack is not up.
    """
    name = choose_stack(stack)
    found = find_stack(name)
    if found is None:
        raise StackNotUpError(f"Stack {name} is not up; `invoke up` makes it.")
    printer = Printer(json=json)
    tags = {"project": str(found.outputs["projectName"]), "stack": name}
    validation = validate_stack(found, tags, allow_policy=read_stack_config(name).program().redrive_allow_policy)
    printer.lines([str(difference) for difference in validation.differences])
    printer.summary(
        f"{len(validation.differences)} of {validation.checks} checks found a difference; `invoke refresh`, "
        "then `invoke up` makes everything as described again."
        if validation.differences
        else f"All {validation.checks} checks of {len(found.scenarios)} scenarios found what the stack promises."
    )
    printer.json_object(
        {
            "stack": name,
            "checks": validation.checks,
            "differences": [asdict(difference) for difference in validation.differences],
        }
    )
    return 1 if validation.differences else 0


def validate_stack(
    stack: Stack, tags: Mapping[str, str], *, allow_policy: bool = True, login: Login | None = None
) -> Validation:
    """Compare every resource that a stack's outputs name with what they promise of it.

    Args:
        stack: A stack that is up.
        tags: The tags that every resource carries, the scenario's left out.
        allow_policy: Whether dead-letter queues name the queue that they serve.
        login: Whose credentials; None for the environment's.

    Raises:
        ProviderError: AWS refuses to tell, or does not answer.
    """
    from botocore import exceptions  # noqa: PLC0415 - heavy

    clients = _Clients(
        *(
            aws_client(service, endpoint_url=stack.endpoint_url, region=stack.region, login=login)
            for service in _Clients._fields
        )
    )
    validation = Validation()
    try:
        for name in stack.scenarios:
            resources = stack.scenario(name)
            wanted_tags = {**tags, "scenario": name}
            for promise in _promises(resources, wanted_tags, clients):
                ignored = frozenset() if allow_policy else frozenset({"RedriveAllowPolicy"})
                _compare(validation, name, promise, ignored)
    except exceptions.ClientError as error:
        answer = error.response["Error"]
        raise ProviderError(
            f"Stack {stack.name} cannot be validated: {answer.get('Code')}: {answer.get('Message')}"
        ) from error
    except exceptions.BotoCoreError as error:
        raise ProviderError(f"Stack {stack.name} cannot be validated: {error}") from error
    finally:
        for client in clients:
            client.close()
    return validation


class _Clients(NamedTuple):
    """boto3's clients, by the names of the services."""

    sqs: Any
    dynamodb: Any
    s3: Any


@dataclass(frozen=True, slots=True)
class _Promise:
    """A resource, what it should have, and how to find out what it has: None if it is not there."""

    resource: str
    expected: Mapping[str, Any]
    read: Callable[[], Mapping[str, Any] | None]


def _promises(resources: ScenarioResources, tags: Mapping[str, str], clients: _Clients) -> Iterator[_Promise]:
    from infra.components.idempotency_tables import HASH_KEY  # noqa: PLC0415 - heavy: it imports the SDK
    from infra.components.queue_with_dead_letters import MAX_RETENTION  # noqa: PLC0415 - likewise

    yield _Promise(
        resources.queue_name,
        {
            "QueueArn": resources.queue_arn,
            "FifoQueue": resources.fifo,
            **expected_attributes(resources),
            "tags": tags,
        },
        lambda: _read_queue(clients.sqs, resources.queue_url),
    )
    yield _Promise(
        resources.dead_letter_queue_name,
        {
            "QueueArn": resources.dead_letter_queue_arn,
            "FifoQueue": resources.fifo,
            "MessageRetentionPeriod": MAX_RETENTION,
            "RedriveAllowPolicy": {"redrivePermission": "byQueue", "sourceQueueArns": [resources.queue_arn]},
            "tags": tags,
        },
        lambda: _read_queue(clients.sqs, resources.dead_letter_queue_url),
    )
    for table in (resources.status_table, resources.side_effects_table):
        yield _Promise(
            table,
            {
                "status": "ACTIVE",
                "key schema": [{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
                "key types": [{"AttributeName": HASH_KEY, "AttributeType": "S"}],
                "billing mode": "PAY_PER_REQUEST",
                "tags": tags,
            },
            lambda table=table: _read_table(clients.dynamodb, table),  # type: ignore[misc]  # mypy cannot infer a default's type
        )
    if resources.bucket:
        yield _Promise(resources.bucket, {"tags": tags}, lambda: _read_bucket(clients.s3, resources.bucket))


def _compare(validation: Validation, scenario: str, promise: _Promise, ignored: frozenset[str]) -> None:
    actual = promise.read()
    validation.checks += 1
    if actual is None:
        validation.differences.append(Difference(scenario, promise.resource, "existence", "there", "not there"))
        return
    expected = {what: value for what, value in promise.expected.items() if what not in ignored}
    validation.checks += len(expected)
    if isinstance(actual.get("tags"), Mapping):
        # Other tags than ours do not matter.
        actual = {**actual, "tags": {key: actual["tags"].get(key) for key in expected.get("tags", ())}}
    for what, promised, found in differences(expected, actual):
        validation.differences.append(Difference(scenario, promise.resource, what, promised, found))


def _read_queue(sqs: Any, url: str) -> Mapping[str, Any] | None:
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    except sqs.exceptions.QueueDoesNotExist:
        return None
    return {
        **actual_attributes(attributes),
        "FifoQueue": attributes.get("FifoQueue") == "true",
        "tags": tags,
    }


def _read_table(dynamodb: Any, name: str) -> Mapping[str, Any] | None:
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
        tags = dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return None
    return {
        "status": table["TableStatus"],
        "key schema": table["KeySchema"],
        "key types": table["AttributeDefinitions"],
        "billing mode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


def _read_bucket(s3: Any, name: str) -> Mapping[str, Any] | None:
    try:
        tags = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    except s3.exceptions.ClientError as error:
        match error.response["Error"]["Code"]:
            case "NoSuchBucket":
                return None
            case "NoSuchTagSet":
                tags = []
            case _:
                raise
    return {"tags": {tag["Key"]: tag["Value"] for tag in tags}}
