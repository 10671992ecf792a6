"""The AWS account of a stack: whose it is, and what the work costs."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from infra.clients import Login, aws_client
from infra.config import ProgramConfig
from infra.errors import ConfigError, ProviderError

# What a deployment costs is requests and nothing else: queues cost nothing while they are there, and neither do
# on-demand tables with nothing in them, nor does a bucket.
QUEUES_A_SCENARIO = 2
REQUESTS_A_QUEUE = 6
"""Create, its policy, reading attributes and tags; and delete with a look whether it is gone."""
PLUGIN_POLLS_A_QUEUE = 40
"""pulumi-aws's own plugin reads a queue's attributes again and again, until they have been the same often enough: about
half a minute for the queue, and as long again for its policy."""
REQUESTS_A_BUCKET = 25
"""Create, tags, the list of what is in it, delete; and some twenty settings that the plugin reads."""
QUEUE_REQUESTS_A_MESSAGE = 3
"""Send, receive, delete, each alone in its request; batches cost less."""
TABLE_WRITES_A_MESSAGE = 3
"""Claim, perform the side effect, complete."""
TABLE_READS_A_MESSAGE = 1
"""A look-up, for a message that comes again."""

# US dollars a request: list prices of us-east-1 in 2025, without a free tier. Other regions differ somewhat.
# https://aws.amazon.com/sqs/pricing/
SQS_STANDARD = 0.40e-6
SQS_FIFO = 0.50e-6
# https://aws.amazon.com/dynamodb/pricing/on-demand/
DYNAMODB_WRITE = 0.625e-6
DYNAMODB_READ = 0.125e-6
# https://aws.amazon.com/s3/pricing/
S3_REQUEST = 5e-6
SECONDS_AN_HOUR = 3600


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
    """What a stack is likely to cost.

    Attributes:
        sqs: SQS requests of an ``up`` and the ``down`` after it.
        s3: S3 requests of the same. DynamoDB's requests that make and delete tables cost nothing.
        deployment: US dollars for them.
        run: US dollars of one scenario run.
        messages: The messages of such a run.
        polls: The receives of one idle consumer in an hour.
        polling: US dollars for them.
    """

    sqs: int
    s3: int
    deployment: float
    run: float
    messages: int
    polls: int
    polling: float

    def __str__(self) -> str:
        return (
            f"about {self.deployment:.4f} USD to make and delete everything ({self.sqs} requests of SQS, {self.s3} of "
            f"S3), about {self.run:.4f} USD for a scenario run of {self.messages} messages, and {self.polling:.4f} USD "
            f"an hour for each consumer that polls an empty queue ({self.polls} receives); list prices of us-east-1 "
            "without a free tier (https://aws.amazon.com/sqs/pricing/)"
        )


def caller_identity(region: str, *, endpoint_url: str | None, login: Login | None = None) -> Identity:
    """Ask STS whose credentials these are.

    Args:
        region: The region to ask in.
        endpoint_url: Another endpoint than AWS's own.
        login: Whose credentials; None for the environment's.

    Raises:
        ConfigError: There are no credentials, or no such profile.
        ProviderError: They are refused, or nothing answers.
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
        ConfigError: There is no terminal to ask at, or the answer is not yes.
    """
    if not sys.stdin.isatty():
        raise ConfigError(
            "There is no terminal to confirm it at; give --yes to work on the aws tier without being asked."
        )
    if answer(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigError("Not confirmed; nothing was done.")


def estimate(config: ProgramConfig, *, messages: int = 25, plugin: bool = True) -> Estimate:
    """What a stack of this configuration is likely to cost.

    Args:
        config: The stack's configuration.
        messages: The messages of a scenario run.
        plugin: Whether pulumi-aws's own plugin deploys, which polls what it has made.
    """
    topology = config.topology()
    each = REQUESTS_A_QUEUE + (PLUGIN_POLLS_A_QUEUE if plugin else 0)
    sqs = len(topology) * QUEUES_A_SCENARIO * each
    s3 = sum(entry.bucket for entry in topology) * REQUESTS_A_BUCKET
    message = (
        QUEUE_REQUESTS_A_MESSAGE * SQS_FIFO
        + TABLE_WRITES_A_MESSAGE * DYNAMODB_WRITE
        + TABLE_READS_A_MESSAGE * DYNAMODB_READ
    )
    polls = SECONDS_AN_HOUR // max(1, config.queue_receive_wait)
    return Estimate(
        sqs=sqs,
        s3=s3,
        deployment=sqs * SQS_STANDARD + s3 * S3_REQUEST,
        run=messages * message,
        messages=messages,
        polls=polls,
        polling=polls * SQS_STANDARD,
    )
