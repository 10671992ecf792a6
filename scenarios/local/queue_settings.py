"""The queue of a run as the user's configuration has it: a visibility timeout and receives that suit the program.

A scenario's queue is made for work that takes no time. A program whose work takes seconds would be convicted of what
its queue did. So a configuration can ask for more, never for less: a scenario needs what it has.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from infra.stack.names import TEMPORARY_PREFIX
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import RequestError, UnsuitableError

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources, Stack


def configured_resources(stack: Stack, scenario: str, config: ProgramConfig) -> ScenarioResources:
    """Return a scenario's resources, with its queue set as the configuration asks.

    Raises:
        RequestError: the stack is not a temporary one, whose queues are its user's.
        UnsuitableError: the endpoint refuses it.
    """
    own = stack.scenario(scenario)
    # A stack that is stretched for its distance stretches what the configuration asks for as well.
    visibility, receives = config.suited(own.visibility_timeout, own.max_receive_count, stack.timeout_scale)
    wanted = replace(own, visibility_timeout=visibility, max_receive_count=receives)
    if wanted == own:
        return own
    if not stack.name.startswith(TEMPORARY_PREFIX):
        raise RequestError(
            f"visibility, receives and work in the configuration change a queue, and those of the stack {stack.name} "
            "stay as they are; leave --stack and --keep out for a temporary one."
        )
    policy = {"deadLetterTargetArn": own.dead_letter_queue_arn, "maxReceiveCount": receives}
    attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": json.dumps(policy)}
    try:
        stack.clients.get("sqs", stack.region).set_queue_attributes(QueueUrl=own.queue_url, Attributes=attributes)
    except (BotoCoreError, ClientError) as error:
        raise UnsuitableError(f"The queue {own.queue_name} cannot be set as the configuration asks: {error}") from None
    return wanted


def patience(own: ScenarioResources, configured: ScenarioResources, config: ProgramConfig, count: int) -> float:
    """Return the real seconds by which each deadline is put off, where queue or program are slower than usual.

    Args:
        own: the scenario's resources by themselves.
        configured: the same as the configuration has them.
        config: says how long the program works for a message.
        count: messages of the run.
    """
    longer = configured.visibility_timeout - own.visibility_timeout
    return longer * (configured.max_receive_count + 1) + config.work * count
