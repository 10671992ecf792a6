"""The variables that every service reads, and how a wrong value becomes one sentence.

The environment comes first. Where it names no queue, the service reads ``.env`` in the working directory, which
``invoke up`` writes. Where it names one, the service does not read the file: it would add another stack's tables.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.clients import Access
from services.errors import ConfigurationError
from services.faults import Fault, parse_faults
from services.stacks import stack_variables
from services.variables import must_be, required, variable

ENV_FILE = ".env"
_AWS_HOST = re.compile(
    r"(?:sqs(?:-fips)?\.(?P<region>[a-z0-9-]+)|(?P<older>[a-z0-9-]+)\.queue)"
    r"\.amazonaws\.com(?:\.cn)?"
)
"""A queue's host on AWS, of which there is an older form."""


class FaultVariables(BaseModel):
    """What goes wrong on purpose, and where its chance comes from."""

    faults: Annotated[tuple[Fault, ...], NoDecode, BeforeValidator(parse_faults)] = variable(
        (), "a JSON list of faults at any operation; see `services/faults.py`"
    )
    seed: int | None = variable(None, "where the chance of this process comes from", "a new one each time")


class ServiceSettings(BaseSettings):
    """The variables that the producer and the consumer share; an empty one counts as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    queue_url: str = required("the queue")
    aws_region: str | None = variable(None, "the region", "the SDK's")
    aws_profile: str | None = variable(None, "the profile of the AWS configuration", "the SDK's")
    aws_endpoint_url: str | None = variable(None, "the endpoint in AWS's place", "the SDK's")
    aws_access_key_id: Annotated[str | None, Field(repr=False)] = variable(None, "the access key", "the SDK's")
    payload_bucket: str = variable("", "the S3 bucket of payloads that messages refer to")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = variable(
        "INFO", "`DEBUG`, `INFO`, `WARNING`, `ERROR`"
    )
    history_path: Path | None = variable(None, "append this process's records to this file")
    process_name: str = variable("", "the process's name in its records", "role and process id")

    @property
    def access(self) -> Access:
        """The region, endpoint and identity of the clients."""
        return Access(self.aws_region, self.aws_profile, self.aws_endpoint_url, self.aws_access_key_id is not None)


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(
    model: type[Settings], *, stack: str | None = None, scenario: str | None = None, **given: Any
) -> Settings:
    """Return the settings of the environment; a given value that is not None replaces them.

    Args:
        model: the service's settings.
        stack: the stack whose outputs name queue, tables and endpoint, in place of the environment and ``.env``.
        scenario: the scenario of that stack.
        **given: values by field.

    Raises:
        ConfigurationError: a variable has a value that cannot be used, or a required one is missing.
    """
    options = {name: value for name, value in given.items() if value is not None}
    if stack is not None:
        outputs = {name.lower(): value or None for name, value in stack_variables(stack, scenario).items()}
        options = {name: value for name, value in outputs.items() if name in model.model_fields} | options
    elif scenario is not None:
        raise ConfigurationError("--scenario names a scenario of a stack; give --stack as well.")
    queue_is_named = bool(os.environ.get("QUEUE_URL") or options.get("queue_url"))
    try:
        return _located(model(_env_file=None if queue_is_named else ENV_FILE, **options))
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{ENV_FILE} cannot be read as text ({error}); mend it or move it away.") from None


def _located(settings: Settings) -> Settings:
    """Complete settings that name a queue and no region: from the queue's URL, else from ``.env``."""
    url = urlsplit(settings.queue_url)
    found: dict[str, str] = {}
    if (on_aws := _AWS_HOST.fullmatch(url.hostname or "")) is not None:
        found = {"aws_region": on_aws["region"] or on_aws["older"]}
    elif url.hostname:
        origin = f"{url.scheme}://{url.netloc}"
        noted = dotenv_values(ENV_FILE) if Path(ENV_FILE).is_file() else {}
        if (noted.get("AWS_ENDPOINT_URL") or "").rstrip("/") == origin and noted.get("AWS_REGION"):
            found = {"aws_region": str(noted["AWS_REGION"])}
        found["aws_endpoint_url"] = origin
    present = {"aws_region": settings.aws_region or os.environ.get("AWS_DEFAULT_REGION")}
    present["aws_endpoint_url"] = settings.aws_endpoint_url
    missing = {name: value for name, value in found.items() if not present[name]}
    return settings.model_copy(update=missing)


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]).upper()
    if first["type"] == "missing":
        return f"{name} is not set; set it in the environment, or run `invoke up`, which writes it to {ENV_FILE}."
    return f"{name} is {first['input']!r}, but it must be {must_be(error)}."
