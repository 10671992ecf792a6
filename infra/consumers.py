"""The Lambda consumers of a stack, as its configuration describes them: which scenario's queue gets which function."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from infra.errors import ConfigError
from infra.topology import SCENARIO_NAMES

_EXAMPLE = '{"happy": {"code": "./handler", "handler": "app.handler"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaSettings:
    """One function and its mapping; names and defaults are AWS's, and AWS checks the values.

    Attributes:
        code: A directory or zip file; a relative path begins at the project's directory.
        handler: ``module.function``.
        runtime: AWS's name of it.
        timeout: Seconds.
        memorySize: MB.
        batchSize: Messages.
        batchingWindow: Seconds.
        reportItemFailures: Whether the handler's answer names the messages that failed.
        maximumConcurrency: Batches at once; nothing for AWS's own limit.
        reservedConcurrency: Invocations at once; -1 for a share of the account's.
        filters: Event filters, as JSON texts.
        environment: The function's variables.
    """

    code: str
    handler: str
    runtime: str = "python3.12"
    timeout: int = 3
    memorySize: int = 128  # noqa: N815 - as the configuration spells it
    batchSize: int = 10  # noqa: N815
    batchingWindow: int = 0  # noqa: N815
    reportItemFailures: bool = True  # noqa: N815
    maximumConcurrency: int | None = None  # noqa: N815
    reservedConcurrency: int = -1  # noqa: N815
    filters: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None


def parse_consumers(key: str, value: Any) -> dict[str, LambdaSettings]:
    """Validate the consumers by scenario: JSON's own mapping, or its text.

    Raises:
        ConfigError: A scenario or a setting is unknown, or of the wrong kind.
    """
    consumers = _parsed(value)
    if not isinstance(consumers, Mapping):
        raise ConfigError(f"{key} must map scenarios to functions, such as {_EXAMPLE}, and is {value!r}.")
    for name in consumers:
        if name not in SCENARIO_NAMES:
            raise ConfigError(f"{key} names no scenario with {name!r}; there are: {', '.join(SCENARIO_NAMES)}.")
    return {name: _settings(f"{key} of {name}", settings) for name, settings in consumers.items()}


def _settings(what: str, value: Any) -> LambdaSettings:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{what} must be a mapping such as that in {_EXAMPLE}, and is {value!r}.")
    kinds = {field.name: _KINDS[field.type] for field in fields(LambdaSettings)}
    for name, part in value.items():
        if name not in kinds:
            raise ConfigError(f"{what} has no setting {name}; there are: {', '.join(kinds)}.")
        form, is_right = kinds[name]
        if not is_right(part):
            raise ConfigError(f"{what}: {name} must be {form}, and is {part!r}.")
    missing = [name for name in ("code", "handler") if name not in value]
    if missing:
        raise ConfigError(f"{what} needs {' and '.join(missing)}.")
    given: dict[str, Any] = {name: tuple(part) if name == "filters" else part for name, part in value.items()}
    return LambdaSettings(**given)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_texts(values: Any) -> bool:
    return all(isinstance(part, str) for part in values)


_KINDS: Mapping[Any, Any] = {
    str: ("a text", lambda value: isinstance(value, str) and value),
    int: ("a whole number", _is_integer),
    int | None: ("a whole number", lambda value: value is None or _is_integer(value)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    tuple[str, ...]: ("a list of texts", lambda value: isinstance(value, list) and _are_texts(value)),
    Mapping[str, str] | None: (
        "a mapping of texts",
        lambda value: value is None or (isinstance(value, Mapping) and _are_texts(value.values())),
    ),
}
