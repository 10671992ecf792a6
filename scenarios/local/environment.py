"""What the local lab tells its producers and consumers, and what it keeps from them.

Whatever of the user's own environment would configure a service is left out: a run comes out the same for every
user. The rest stays, because a consumer of the user's own may need it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.lab import WAIT_TIME_SECONDS
from services.consumer.settings import ConsumerSettings
from services.producer.options import flag
from services.producer.settings import ProducerSettings

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources, Stack

#: The variables that configure a service, but for those that say who asks.
SERVICE_VARIABLES = frozenset(
    name.upper()
    for model in (ConsumerSettings, ProducerSettings)
    for name in model.model_fields
    if name not in ("aws_access_key_id", "aws_profile")
)
#: The variables that say who asks AWS: wanted on AWS, and in the way at an endpoint on this machine.
IDENTITY_VARIABLES = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_PROFILE",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_SQS",
        "AWS_PROFILE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    }
)
#: Of these, the ones that name credentials.
WHO_ASKS = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
)
#: Seconds after which a consumer whose lab was killed ends by itself.
ORPHAN_TIMEOUT_SECONDS = 120


def service_environment(
    stack: Stack, resources: ScenarioResources, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment that producers and consumers of a run share."""
    environment = shared_environment(
        {
            "QUEUE_URL": resources.queue_url,
            "AWS_REGION": stack.region,
            "MESSAGE_STATUS_TABLE": resources.status_table,
            "MESSAGE_SIDE_EFFECTS_TABLE": resources.side_effects_table,
            **({"PAYLOAD_BUCKET": resources.bucket} if resources.bucket else {}),
        },
        inherited,
        on_this_machine=bool(stack.endpoint_url),
    )
    login = stack.login_variables
    if login:
        # What the stack's configuration says of who asks counts more than what the user's environment says.
        environment = {name: value for name, value in environment.items() if name not in WHO_ASKS} | dict(login)
    return environment | ({"AWS_ENDPOINT_URL": stack.endpoint_url} if stack.endpoint_url else {})


def shared_environment(
    told: Mapping[str, str], inherited: Mapping[str, str] = os.environ, *, on_this_machine: bool = True
) -> dict[str, str]:
    """Return what of the user's environment a service gets, and what it is told.

    Args:
        told: its queue, tables and region.
        inherited: the user's environment.
        on_this_machine: the endpoint is here, so nothing says who asks.
    """
    left_out = SERVICE_VARIABLES | (IDENTITY_VARIABLES if on_this_machine else frozenset())
    environment = {name: value for name, value in inherited.items() if name not in left_out}
    environment |= {
        **told,
        "WAIT_TIME_SECONDS": str(WAIT_TIME_SECONDS),
        "IDLE_TIMEOUT_SECONDS": str(ORPHAN_TIMEOUT_SECONDS),
        # A consumer of the user's own is imported from where the user stands, not from the run's directory.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(Path.cwd()), inherited.get("PYTHONPATH")))),
    }
    if on_this_machine:
        environment["NO_PROXY"] = ",".join(filter(None, (inherited.get("NO_PROXY"), "127.0.0.1,localhost")))
    return environment


def as_variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a consumer's settings as environment variables."""
    return {name.upper(): str(value) for name, value in settings.items()}


def as_options(options: Mapping[str, Any]) -> list[str]:
    """Return a producer's options as command-line arguments."""
    arguments: list[str] = []
    for name, value in options.items():
        text = json.dumps(value) if isinstance(value, Mapping) else str(value)
        arguments += [flag(name), text]
    return arguments
