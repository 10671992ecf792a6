"""Where a stack is deployed, and by which engine: chosen at its first ``up``, then noted beside it.

Later commands need not be told again, and are refused if they are told otherwise: a stack that one engine has deployed
is unknown to the other.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from infra.errors import ConfigError, StateError
from infra.files import write_atomically
from infra.localaws.config import is_region
from infra.stack.paths import StackPaths

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


class EngineName(StrEnum):
    """Who deploys."""

    EMBEDDED = "embedded"
    PULUMI = "pulumi"


class TierName(StrEnum):
    """Where resources are: on this machine (or any endpoint that is named), or in an AWS account."""

    LOCAL = "local"
    AWS = "aws"


_Name = TypeVar("_Name", EngineName, TierName)


@dataclass(frozen=True, slots=True)
class Options:
    """What a command was told on its command line; None where nothing was said.

    Attributes:
        engine: ``embedded`` or ``pulumi``.
        tier: ``local`` or ``aws``.
        endpoint: The URL of an AWS-compatible endpoint.
        region: The region of a new stack whose configuration sets none.
    """

    engine: str | None = None
    tier: str | None = None
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stack is deployed, and by which engine.

    Attributes:
        engine: Who deploys it.
        tier: Where.
        endpoint_url: An endpoint that was named; None for the stack's own embedded one or, on the aws tier, for AWS.
        region: The region, where the environment chose it and not the stack's configuration.
        instance: The life of the embedded endpoint that the real engine's state is about.
        complete: Whether the last ``up`` came to its end.
        account: The account that the resources are in, by STS; None for the stack's own endpoint, and for an endpoint
            without STS.
        deployed_region: The region that the resources are in.
        backend: Where the real engine keeps the stack.
    """

    engine: EngineName = EngineName.EMBEDDED
    tier: TierName = TierName.LOCAL
    endpoint_url: str | None = None
    region: str | None = None
    instance: str | None = None
    complete: bool = True
    account: str | None = None
    deployed_region: str | None = None
    backend: str | None = None

    @property
    def embeds_endpoint(self) -> bool:
        """Whether the stack has an endpoint of its own."""
        return self.tier is TierName.LOCAL and self.endpoint_url is None

    @property
    def is_aws(self) -> bool:
        """Whether the resources are in AWS itself, so that pulumi-aws's own plugin makes them."""
        return self.tier is TierName.AWS and self.endpoint_url is None

    def note(self, paths: StackPaths, instance: str | None, *, complete: bool) -> "Target":
        """Note the target beside the stack.

        Args:
            paths: The stack's files.
            instance: The life of the embedded endpoint.
            complete: Whether an ``up`` has come to its end.
        """
        noted = replace(self, instance=instance, complete=complete)
        write_atomically(paths.target, json.dumps(asdict(noted), indent=1) + "\n")
        return noted


def choose_target(
    paths: StackPaths,
    options: Options,
    environment: Mapping[str, str] = os.environ,
    *,
    known: Target | None = None,
) -> Target:
    """The target of a stack: what is noted, else what is said, else what the environment says, else the local tier.

    Args:
        paths: The stack's files.
        options: What the command was told.
        environment: The environment variables.
        known: Where the stack is, if that is known without a note.

    Raises:
        ConfigError: An option cannot be used, or is not how the stack is deployed.
        StateError: The note cannot be read.
    """
    said_engine = _parse(EngineName, "engine", options.engine)
    said_tier = _parse(TierName, "tier", options.tier)
    said_endpoint = None if options.endpoint is None else check_url("--endpoint", options.endpoint)
    noted = read_target(paths) or known
    if noted is not None:
        _refuse_change("engine", noted.engine, said_engine, paths)
        _refuse_change("tier", noted.tier, said_tier, paths)
        _refuse_change("endpoint", noted.endpoint_url or "none", said_endpoint, paths)
        return noted
    tier = said_tier or TierName.LOCAL
    engine = said_engine or (EngineName.PULUMI if tier is TierName.AWS else EngineName.EMBEDDED)
    if tier is TierName.AWS and engine is EngineName.EMBEDDED:
        raise ConfigError("The aws tier is deployed by the real Pulumi engine: leave out --engine embedded.")
    endpoint = said_endpoint
    if endpoint is None and environment.get(ENDPOINT_VARIABLE):
        endpoint = check_url(ENDPOINT_VARIABLE, environment[ENDPOINT_VARIABLE])
    region = next((environment[name] for name in REGION_VARIABLES if environment.get(name)), None)
    if options.region is not None:
        region = _check_region(options.region)
    return Target(engine, tier, endpoint, region)


def read_target(paths: StackPaths) -> Target | None:
    """What is noted beside a stack; None if it is not up, or was made before there were notes.

    Raises:
        StateError: The note cannot be read.
    """
    try:
        text = paths.target.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return Target() if paths.state.exists() else None
    except OSError as error:
        raise StateError(f"{paths.target} cannot be read ({error.strerror}): make it readable.") from error
    try:
        document = json.loads(text)
        return _from_document(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise StateError(
            f"{paths.target} is cut or corrupt ({why}). It says who deployed the stack, and is kept: write it again "
            'by hand, for example {"engine": "pulumi", "tier": "local", "endpoint_url": null, "region": null, '
            '"instance": null, "complete": true}.'
        ) from error


def _from_document(document: dict[str, Any]) -> Target:
    url = _text(document, "endpoint_url", required=True)
    complete = document["complete"]
    if not isinstance(complete, bool):
        raise TypeError(f"its complete is {complete!r}")
    return Target(
        EngineName(document["engine"]),
        TierName(document["tier"]),
        None if url is None else check_url("its endpoint_url", url),
        _text(document, "region", required=True),
        _text(document, "instance", required=True),
        complete,
        *(_text(document, name) for name in ("account", "deployed_region", "backend")),
    )


def _text(document: dict[str, Any], name: str, *, required: bool = False) -> str | None:
    """A field of the note; notes of earlier versions lack some."""
    value = document[name] if required else document.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"its {name} is {value!r}")
    return value


def _parse(kind: type[_Name], option: str, value: str | None) -> _Name | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"--{option} is {' or '.join(kind)}, not {value!r}.") from None


def check_url(source: str, url: str) -> str:
    """Return the URL of an endpoint, without a slash at its end.

    Args:
        source: What gives it, as the sentence of a refusal begins.
        url: The URL.

    Raises:
        ConfigError: It can be none.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{source} must be the URL of an endpoint such as http://127.0.0.1:5000, and is {url!r}.")
    return url.rstrip("/")


def _check_region(region: str) -> str:
    if not is_region(region):
        raise ConfigError(f"--region must be a region such as us-west-1, and is {region!r}.")
    return region


def _refuse_change(what: str, noted: str, said: str | None, paths: StackPaths) -> None:
    if said is not None and said != noted:
        raise ConfigError(
            f"Stack {paths.directory.name} is deployed with {what} {noted}, not {said}: take it down first "
            f"(`invoke down`), or leave out --{what}."
        )
