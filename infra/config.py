"""The program's configuration: its values, their defaults and limits, read from Pulumi and validated.

``Pulumi.yaml`` declares the same values with the same defaults for the real engine; a test keeps the two together.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.consumers import LambdaSettings, parse_consumers
from infra.errors import ConfigError
from infra.topology import SCENARIO_NAMES, TOPOLOGY, ScenarioTopology
from services.common.numbers import whole_number

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
# SQS takes 0 as well; a message would then be delivered again while it is worked on, to every consumer.
MIN_VISIBILITY_TIMEOUT = 1
MAX_VISIBILITY_TIMEOUT = 43_200
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
MIN_RECEIVE_WAIT = 0
MAX_RECEIVE_WAIT = 20
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
MIN_MAX_RECEIVE_COUNT = 1
MAX_MAX_RECEIVE_COUNT = 1_000
#: By how much the visibility timeouts of a stack may be stretched for an endpoint that is far away.
MAX_TIMEOUT_SCALE = 100
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
MAX_QUEUE_NAME = 80

_AUTONAME_SUFFIX = len("-0123456.fifo")
_DEAD_LETTER_SUFFIX = len("-dlq")
_LONGEST_SCENARIO = 25
"""Room kept in a queue's name for the scenario, more than the longest of today needs."""
MAX_PROJECT_AND_STACK = MAX_QUEUE_NAME - _AUTONAME_SUFFIX - _DEAD_LETTER_SUFFIX - _LONGEST_SCENARIO - len("--")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_BUCKET_SUFFIX = "-0123456"
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}")
_PROJECT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class ProgramConfig:
    """What the program reads from Pulumi's configuration.

    Attributes:
        aws_region: The region of every resource.
        project_name: What the name of every resource begins with.
        queue_visibility_timeout: Seconds, 1 to 43,200, for the scenarios that set none of their own.
        queue_receive_wait: Seconds, 0 to 20.
        max_receive_count: Receives, 1 to 1,000, for the scenarios that set none of their own.
        redrive_allow_policy: Whether a dead-letter queue names the queue that it serves, which AWS checks.
        scenarios: The names of the scenarios to make resources for; empty for all of them.
        timeout_scale: What every visibility timeout is multiplied by, 1 to 100.
        lambda_consumers: The function that consumes a scenario's queue, by the scenario's name.
    """

    aws_region: str = "us-west-1"
    project_name: str = "sqs-demo"
    queue_visibility_timeout: int = 10
    queue_receive_wait: int = 10
    max_receive_count: int = 2
    redrive_allow_policy: bool = True
    scenarios: tuple[str, ...] = ()
    timeout_scale: int = 1
    lambda_consumers: Mapping[str, LambdaSettings] = field(default_factory=dict)

    def topology(self) -> tuple[ScenarioTopology, ...]:
        """The scenarios to make resources for, in the catalogue's order."""
        return tuple(entry for entry in TOPOLOGY if not self.scenarios or entry.name in self.scenarios)

    def scope(self) -> Mapping[str, tuple[str, ...]]:
        """The scenarios that each value holds for which some scenarios have of their own, by its name."""
        topology = self.topology()
        return {
            "queueVisibilityTimeout": tuple(entry.name for entry in topology if entry.visibility_timeout is None),
            "maxReceiveCount": tuple(entry.name for entry in topology if entry.max_receive_count is None),
        }

    def visibility_timeout(self, scenario: ScenarioTopology) -> int:
        """The visibility timeout of a scenario's queue, in seconds."""
        own = scenario.visibility_timeout
        seconds = self.queue_visibility_timeout if own is None else own
        return min(seconds * self.timeout_scale, MAX_VISIBILITY_TIMEOUT)

    def receive_count(self, scenario: ScenarioTopology) -> int:
        """The receives after which a scenario's message is dead-lettered."""
        own = scenario.max_receive_count
        return self.max_receive_count if own is None else own


def read_config() -> ProgramConfig:
    """Read and validate the configuration of the Pulumi program that is being evaluated.

    Raises:
        ConfigError: A value cannot be used.
    """
    import pulumi  # noqa: PLC0415 - heavy: only a running program needs it

    config = pulumi.Config()
    return parse_config({key: value for key in _FIELDS if (value := config.get(key)) is not None})


def parse_config(values: Mapping[str, Any]) -> ProgramConfig:
    """Validate configuration values as Pulumi hands them over: strings, or JSON's own types.

    Args:
        values: The values that are set, by their names in ``Pulumi.yaml``.

    Raises:
        ConfigError: A value is unknown or cannot be used.
    """
    unknown = sorted(set(values) - set(_FIELDS))
    if unknown:
        raise ConfigError(f"There is no configuration value {unknown[0]}; there are: {', '.join(_FIELDS)}.")
    fields = {}
    for key, value in values.items():
        field, parse = _FIELDS[key]
        fields[field] = parse(key, value)
    return ProgramConfig(**fields)


def check_names(config: ProgramConfig, stack: str) -> None:
    """Make sure that every resource's name is one that AWS takes, before the first resource is made.

    Args:
        config: The stack's configuration.
        stack: The stack's name, without an organization.

    Raises:
        ConfigError: The project's and the stack's name cannot stand in the name of some resource.
    """
    length = len(config.project_name) + len(stack)
    if length > MAX_PROJECT_AND_STACK:
        raise ConfigError(
            f"The project name {config.project_name} and the stack name {stack} have {length} characters together; at "
            f"most {MAX_PROJECT_AND_STACK} leave room for the rest of a queue's name: choose a shorter one."
        )
    for scenario in config.topology():
        bucket = f"{config.project_name}-{stack}-{scenario.name}{_BUCKET_SUFFIX}".lower()
        if scenario.bucket and not BUCKET_NAME.fullmatch(bucket):
            raise ConfigError(
                f"The scenario {scenario.name} has a bucket, whose name takes 3 to 63 lower-case letters, digits and "
                f"hyphens; {bucket} is no such name: choose another projectName or --stack, without underscores."
            )


def _integer(minimum: int, maximum: int) -> Callable[[str, Any], int]:
    def parse(key: str, value: Any) -> int:
        number = None if isinstance(value, bool) else whole_number(str(value).strip())
        if number is None or not minimum <= number <= maximum:
            raise ConfigError(f"{key} must be a whole number from {minimum} to {maximum}, and is {value!r}.")
        return number

    return parse


def _flag(key: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ConfigError(f"{key} must be true or false, and is {value!r}.")
    return text == "true"


def _text(pattern: re.Pattern[str], what: str) -> Callable[[str, Any], str]:
    def parse(key: str, value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ConfigError(f"{key} must be {what}, and is {value!r}.")
        return value

    return parse


def _scenarios(key: str, value: Any) -> tuple[str, ...]:
    names = value
    if isinstance(value, str):
        try:
            names = json.loads(value)
        except ValueError:
            names = None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'{key} must be a list of scenario names such as ["happy", "crash"], and is {value!r}.')
    for name in names:
        if name not in SCENARIO_NAMES:
            nearest = difflib.get_close_matches(name, SCENARIO_NAMES, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(SCENARIO_NAMES)}."
            raise ConfigError(f"There is no scenario {name!r} to make resources for; {hint}")
    return tuple(names)


_FIELDS: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "awsRegion": ("aws_region", _text(_REGION, "the name of an AWS region such as us-west-1")),
    "projectName": ("project_name", _text(_PROJECT_NAME, "a letter, then letters, digits, hyphens or underscores")),
    "queueVisibilityTimeout": ("queue_visibility_timeout", _integer(MIN_VISIBILITY_TIMEOUT, MAX_VISIBILITY_TIMEOUT)),
    "queueReceiveWait": ("queue_receive_wait", _integer(MIN_RECEIVE_WAIT, MAX_RECEIVE_WAIT)),
    "maxReceiveCount": ("max_receive_count", _integer(MIN_MAX_RECEIVE_COUNT, MAX_MAX_RECEIVE_COUNT)),
    "redriveAllowPolicy": ("redrive_allow_policy", _flag),
    "scenarios": ("scenarios", _scenarios),
    "timeoutScale": ("timeout_scale", _integer(1, MAX_TIMEOUT_SCALE)),
    "lambdaConsumers": ("lambda_consumers", parse_consumers),
}
