"""The AWS account of a stack: whose it is, what the work costs, and what is left over."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.clients import Login, aws_client
from infra.config import ProgramConfig
from infra.errors import ConfigError, ProviderError

# What a deployment costs is requests and nothing else: queues cost nothing while they are there, and neither do
# on-demand tables with nothing in them. https://aws.amazon.com/sqs/pricing/, https://aws.amazon.com/dynamodb/pricing/
QUEUES_A_SCENARIO = 2
TABLES_A_SCENARIO = 2
REQUESTS_A_QUEUE = 4
"""Create, its policy, and reading attributes and tags."""
REQUESTS_A_TABLE = 4
"""Create, describe until it is active, and reading it with its tags."""
QUEUE_REQUESTS_A_MESSAGE = 3
"""Send, receive, delete, each alone in its request; batches cost less."""
TABLE_REQUESTS_A_MESSAGE = 4
"""Claim, perform the side effect, complete; and a look-up for a message that comes again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials belong to, by STS.

    Attributes:
        account: The account's id.
        arn: The user or role.
    """

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """The requests that a stack is likely to cost.

    Attributes:
        deployment: Of an ``up`` and the ``down`` after it.
        sqs_a_run: SQS requests of one scenario run.
        dynamodb_a_run: DynamoDB requests of one scenario run.
        messages: The messages of such a run.
    """

    deployment: int
    sqs_a_run: int
    dynamodb_a_run: int
    messages: int

    def __str__(self) -> str:
        return (
            f"about {self.deployment} requests to make and delete everything, and for a scenario run of "
            f"{self.messages} messages about {self.sqs_a_run} of SQS and {self.dynamodb_a_run} of DynamoDB, polls that "
            "find nothing not counted (prices: https://aws.amazon.com/sqs/pricing/, "
            "https://aws.amazon.com/dynamodb/pricing/)"
        )


def caller_identity(region: str, *, endpoint_url: str | None, login: Login | None = None) -> Identity:
    """Ask STS whose credentials these are.

    Args:
        region: The region to ask in.
        endpoint_url: Another endpoint than AWS's own.
        login: Whose credentials; None for the environment's.

    Raises:
        ConfigError: There are no credentials, or no such profile.
        ProviderError: They are refused, or nobody answers.
    """
    from botocore import exceptions  # noqa: PLC0415 - heavy

    try:
        client = aws_client("sts", endpoint_url=endpoint_url, region=region, login=login)
        try:
            answer = client.get_caller_identity()
        finally:
            client.close()
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise ConfigError(
            f"There are no AWS credentials to use ({error}): set AWS_PROFILE to a profile of `aws configure` or "
            "`aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    except exceptions.ClientError as error:
        raise ProviderError(
            f"AWS refuses the credentials ({error.response['Error'].get('Message')}): log in again, or set AWS_PROFILE "
            "to another profile."
        ) from error
    except exceptions.BotoCoreError as error:
        raise ProviderError(f"STS of {endpoint_url or 'AWS'} does not answer ({error}).") from error
    return Identity(answer["Account"], answer["Arn"])


def ask(question: str, *, answer: Callable[[str], str] = input) -> None:
    """Ask a person at a terminal; anything but a yes ends the command.

    Args:
        question: What to ask.
        answer: Asks and gives the answer.

    Raises:
        ConfigError: Nobody is there to ask, or the answer is not yes.
    """
    if not sys.stdin.isatty():
        raise ConfigError("Nobody is here to confirm it: say --yes to work on the aws tier without being asked.")
    if answer(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigError("Not confirmed; nothing was done.")


def estimate(config: ProgramConfig, *, messages: int = 25) -> Estimate:
    """The requests that a stack of this configuration is likely to cost.

    Args:
        config: The stack's configuration.
        messages: The messages of a scenario run.
    """
    scenario = QUEUES_A_SCENARIO * REQUESTS_A_QUEUE + TABLES_A_SCENARIO * REQUESTS_A_TABLE
    deletes = QUEUES_A_SCENARIO * 2 + TABLES_A_SCENARIO * 2
    return Estimate(
        deployment=len(config.topology()) * (scenario + deletes),
        sqs_a_run=messages * QUEUE_REQUESTS_A_MESSAGE,
        dynamodb_a_run=messages * TABLE_REQUESTS_A_MESSAGE,
        messages=messages,
    )


def find_left_over(
    project: str, stack: str, region: str, *, endpoint_url: str | None, login: Login | None = None
) -> tuple[str, ...]:
    """What still carries the tags of a stack: the URLs of queues, the names of tables and of buckets.

    Args:
        project: The value of the tag ``project``, which names begin with.
        stack: The value of the tag ``stack``.
        region: The region to look in.
        endpoint_url: Another endpoint than AWS's own.
        login: Whose credentials; None for the environment's.

    Raises:
        ProviderError: AWS refuses to tell.
    """
    from botocore import exceptions  # noqa: PLC0415 - heavy

    wanted = {"project": project, "stack": stack}
    prefix = f"{project}-{stack}-"
    sqs, dynamodb, s3 = (
        aws_client(service, endpoint_url=endpoint_url, region=region, login=login)
        for service in ("sqs", "dynamodb", "s3")
    )
    try:
        queues = tuple(url for url in _queues(sqs, prefix) if wanted.items() <= _queue_tags(sqs, url).items())
        tables = tuple(
            name for name in _tables(dynamodb, prefix) if wanted.items() <= _table_tags(dynamodb, name).items()
        )
        buckets = tuple(name for name in _buckets(s3, prefix) if wanted.items() <= _bucket_tags(s3, name).items())
    except exceptions.ClientError as error:
        answer = error.response["Error"]
        raise ProviderError(
            f"Whether anything of stack {stack} is left cannot be told: {answer.get('Code')}: {answer.get('Message')}"
        ) from error
    except exceptions.BotoCoreError as error:
        raise ProviderError(f"Whether anything of stack {stack} is left cannot be told: {error}") from error
    finally:
        sqs.close()
        dynamodb.close()
        s3.close()
    return queues + tables + buckets


def _queues(sqs: Any, prefix: str) -> Iterator[str]:
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix):
        yield from page.get("QueueUrls", [])


def _queue_tags(sqs: Any, url: str) -> Mapping[str, str]:
    try:
        tags: Mapping[str, str] = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    except sqs.exceptions.QueueDoesNotExist:
        return {}  # a list of queues may name one for a minute after its delete
    return tags


def _tables(dynamodb: Any, prefix: str) -> Iterator[str]:
    for page in dynamodb.get_paginator("list_tables").paginate():
        yield from (name for name in page["TableNames"] if name.startswith(prefix))


def _table_tags(dynamodb: Any, name: str) -> Mapping[str, str]:
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
        if table["TableStatus"] == "DELETING":
            return {}
        tags = dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return {}
    return {tag["Key"]: tag["Value"] for tag in tags}


def _buckets(s3: Any, prefix: str) -> Iterator[str]:
    # A bucket's name is in lower case, whatever the project's and the stack's are.
    names = (bucket["Name"] for bucket in s3.list_buckets()["Buckets"])
    yield from (name for name in names if name.startswith(prefix.lower()))


def _bucket_tags(s3: Any, name: str) -> Mapping[str, str]:
    try:
        tags = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchTagSet"):
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in tags}
