"""The project file and the stack's configuration file, as the real engine reads them.

https://www.pulumi.com/docs/iac/concepts/projects/project-file/
"""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.clients import Login
from infra.config import ProgramConfig, check_names, parse_config
from infra.errors import ConfigError
from infra.provider_config import NAMESPACE, login_of, provider_arguments
from infra.stack.names import project_in, short_name
from infra.stack.paths import project_file, stack_config_path


@dataclass(frozen=True)
class StackConfig:
    """The configuration of one stack.

    Attributes:
        project: The Pulumi project's name.
        values: By full key (``project:key``), in Pulumi's text form: what is set, else the project's defaults.
        from_outside: Those of them that stand in no file.
        chosen: The keys that the stack itself sets, in its file or from outside.
    """

    project: str
    values: Mapping[str, str]
    from_outside: Mapping[str, str] = field(default_factory=dict)
    chosen: frozenset[str] = frozenset()

    @property
    def region(self) -> str:
        """The region of every resource: ``aws:region``, else the project's own value."""
        return self.values.get(f"{NAMESPACE}region") or self.program().aws_region

    @property
    def login(self) -> Login:
        """Whose credentials make the resources.

        Raises:
            ConfigError: A value cannot be used.
        """
        return login_of(self.values)

    def program(self) -> ProgramConfig:
        """The part that the program reads, validated.

        Raises:
            ConfigError: A value cannot be used.
        """
        prefix = f"{self.project}:"
        return parse_config(
            {key.removeprefix(prefix): value for key, value in self.values.items() if key.startswith(prefix)}
        )


def read_stack_config(
    stack: str, overrides: Mapping[str, Any] | None = None, *, region: str | None = None
) -> StackConfig:
    """Read and validate the configuration of a stack.

    Args:
        stack: The stack's name.
        overrides: Values of the project's own that count more than the files, by key without the project's name.
        region: The region that holds if the stack's own file sets none.

    Raises:
        ConfigError: A file or a value cannot be used.
    """
    project_path = project_file()
    document = _read_yaml(project_path)
    project = document.get("name")
    if not isinstance(project, str):
        raise ConfigError(f"{project_path} gives the project no name.")
    values = {
        _full_key(project, key): _as_text(key, entry["default"])
        for key, entry in _mapping(document, "config", project_path).items()
        if isinstance(entry, dict) and "default" in entry
    }
    in_files = dict(values)
    chosen: set[str] = set()
    if region is not None:
        values[_full_key(project, "awsRegion")] = region
    stack_path = stack_config_path(stack)
    if stack_path.exists():
        for key, value in _mapping(_read_yaml(stack_path), "config", stack_path).items():
            if isinstance(value, dict) and "secure" in value:
                raise ConfigError(
                    f"{stack_path} holds {key} encrypted, which only the real Pulumi engine can read: set it plainly."
                )
            chosen.add(_full_key(project, key))
            in_files[_full_key(project, key)] = values[_full_key(project, key)] = _as_text(key, value)
    for key, value in (overrides or {}).items():
        values[_full_key(project, key)] = _as_text(key, value)
    outside = {key: value for key, value in values.items() if in_files.get(key) != value}
    config = StackConfig(project, values, outside, frozenset(chosen | set(outside)))
    provider_arguments(values)
    named = project_in(stack)
    if named not in (None, project):
        raise ConfigError(f"The stack {stack} is of the project {named}, and {project_path} is of {project}.")
    check_names(config.program(), short_name(stack))
    return config


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only a deployment needs it

    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            raise ConfigError(f"{path} is no file.")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must be a mapping.")
    return document


def _mapping(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key} in {path} must be a mapping.")
    return value


def _full_key(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _as_text(key: str, value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise ConfigError(f"{key} holds what is no text, number, list or mapping: put a text into quotes.") from None
