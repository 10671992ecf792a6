"""The classes of AWS's resource types that the program declares: pulumi-aws's, or the project's where that is missing.

pulumi-aws has a class for each type of AWS, 271 MB of them. The embedded engine needs of them the type tokens and the
names of the properties, which the schemas of the project's own provider have. A test compares what the program
registers by either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi

from infra.errors import ConfigError
from infra.provider.aws import HANDLERS
from infra.provider.handler import ResourceHandler
from infra.provider.schema import Kind
from infra.provider_config import SECRETS, TEXTS

DISTRIBUTION = "pulumi-aws"


def has_pulumi_aws() -> bool:
    """Return whether pulumi-aws is installed."""
    return find_spec("pulumi_aws") is not None


def require_pulumi_aws() -> None:
    """Refuse what only pulumi-aws's own plugin can do where the package is missing, which says the plugin's version.

    Raises:
        ConfigError: It is not installed.
    """
    if not has_pulumi_aws():
        raise ConfigError(
            f"AWS itself needs {DISTRIBUTION}, which is not installed: pip install 'queue-fundamentals[aws]'."
        )


class _Resource(pulumi.CustomResource):
    """A resource of a type that the project's provider knows; its properties are read by their Python names."""

    handler: ClassVar[ResourceHandler]

    def __init__(self, resource_name: str, opts: pulumi.ResourceOptions | None = None, **properties: Any) -> None:
        schema = self.handler.schema
        inputs = {_camel(name): value for name, value in properties.items()}
        for name, value in inputs.items():
            if name in schema and schema[name].kind in _STRUCTURED:
                inputs[name] = _camel_keys(value)
        known = dict.fromkeys((*schema, *self.handler.computed))
        super().__init__(self.handler.resource_type, resource_name, known | inputs, opts)

    def __getattr__(self, name: str) -> Any:
        spelt = _camel(name)
        if name.startswith("_") or spelt == name:
            raise AttributeError(name)
        return getattr(self, spelt)


class _Provider(pulumi.ProviderResource):
    """The provider of AWS; what is no text it takes as JSON."""

    def __init__(self, resource_name: str, opts: pulumi.ResourceOptions | None = None, **arguments: Any) -> None:
        given = {_camel(name): value for name, value in arguments.items() if value is not None}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        inputs = _PROVIDER_DEFAULTS | ({"region": region} if region else {}) | given
        secret = pulumi.ResourceOptions(additional_secret_outputs=sorted(SECRETS))
        super().__init__(
            "aws",
            resource_name,
            {name: _provider_input(name, value) for name, value in inputs.items()},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def own_classes() -> SimpleNamespace:
    """Return the classes of the types that the project's provider knows, by pulumi-aws's names."""
    classes = SimpleNamespace(Provider=_Provider)
    for token, handler in HANDLERS.items():
        _, module, name = token.split(":")
        spelt = module.partition("/")[0]
        within = vars(classes).setdefault(_MODULES.get(spelt, spelt), SimpleNamespace())
        setattr(within, name, type(name, (_Resource,), {"handler": handler, "__doc__": f"``{token}``."}))
    return classes


def _provider_input(name: str, value: Any) -> Any:
    if name in SECRETS:
        return pulumi.Output.secret(value)
    return value if name in TEXTS else pulumi.Output.from_input(value).apply(pulumi.runtime.to_json)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _camel_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        # The names of a function's variables are the user's own.
        return {_camel(key): part if key == "variables" else _camel_keys(part) for key, part in value.items()}
    return list(map(_camel_keys, value)) if isinstance(value, list | tuple) else value


_STRUCTURED = frozenset({Kind.KEY_ATTRIBUTES, Kind.OBJECT, Kind.TTL})
_MODULES = {"lambda": "lambda_"}
# What pulumi-aws's class sets of itself.
_PROVIDER_DEFAULTS = {"skipCredentialsValidation": False, "skipRegionValidation": True}

if TYPE_CHECKING or has_pulumi_aws():
    import pulumi_aws as aws
else:
    aws = own_classes()

__all__ = ["DISTRIBUTION", "aws", "has_pulumi_aws", "own_classes", "require_pulumi_aws"]
