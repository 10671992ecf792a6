"""What the program wants of one resource: the engine's view of a registration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.engines.state import STACK_TYPE
from infra.errors import DeploymentError
from infra.provider.aws import HANDLERS
from infra.provider.naming import type_of
from infra.provider.values import PropertyValue, contains_secret
from infra.provider.wire import from_struct

_UNSUPPORTED_OPTIONS = {
    "protect": "protect",
    "deleteBeforeReplace": "delete_before_replace",
    "ignoreChanges": "ignore_changes",
    "aliases": "aliases",
    "importId": "import_",
    "remote": "remote components",
    "replaceOnChanges": "replace_on_changes",
    "retainOnDelete": "retain_on_delete",
    "deletedWith": "deleted_with",
    "replace_with": "replace_with",
    "transforms": "transforms",
    "state_migrations": "state migrations",
    "packageRef": "parameterised packages",
}
"""Fields of a registration that change what an engine has to do, and the option's name in Python."""


@dataclass(frozen=True)
class Goal:
    """One resource as the program describes it.

    Attributes:
        urn: Its identity.
        type: Its type token.
        custom: Whether a provider manages it.
        inputs: Its inputs, which may hold unknowns and secrets.
        parent: The parent's URN, or nothing.
        dependencies: The URNs of the resources that have to be there before it.
        property_dependencies: The same by input.
        provider: The provider's URN and id, joined by ``::``.
        secret_outputs: The properties to keep secret: those that the program names, and those whose input is one.
    """

    urn: str
    type: str
    custom: bool
    inputs: Mapping[str, PropertyValue]
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider: str = ""
    secret_outputs: frozenset[str] = frozenset()


def goal_from(request: Any, project: str, stack: str) -> Goal:
    """The goal in a ``RegisterResourceRequest`` of Pulumi's protocol.

    Raises:
        DeploymentError: The resource has an option that the embedded engine does not have.
    """
    for option, name in _UNSUPPORTED_OPTIONS.items():
        if getattr(request, option):
            raise DeploymentError(
                f"The embedded engine does not have the option {name}, which {request.type} {request.name} is given."
            )
    if not all(_is_void(urn) for urn in request.aliasURNs):
        raise DeploymentError(
            f"The embedded engine does not have the option aliases, which {request.type} {request.name} is given."
        )
    inputs = from_struct(request.object)
    secret = {key for key, value in inputs.items() if contains_secret(value)}
    return Goal(
        urn=make_urn(project, stack, request.parent, request.type, request.name),
        type=request.type,
        custom=request.custom,
        inputs=inputs,
        parent=request.parent,
        dependencies=tuple(sorted(set(request.dependencies))),
        property_dependencies={
            key: tuple(sorted(set(entry.urns)))
            for key, entry in sorted(request.propertyDependencies.items())
            if entry.urns
        },
        provider=request.provider,
        secret_outputs=frozenset(secret | set(request.additionalSecretOutputs)),
    )


def _is_void(urn: str) -> bool:
    """Return whether an alias can name nothing here: it has an older type token, which the provider has never known.

    pulumi-aws's own classes give such aliases, ``aws.s3.Bucket`` one of what was ``BucketV2``.
    """
    former = type_of(urn)
    return former.startswith("aws:") and former not in HANDLERS


def make_urn(project: str, stack: str, parent: str, resource_type: str, name: str) -> str:
    """The URN of a resource, which carries the types of all of its parents but the stack.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
    """
    parents = parent.split("::")[2] if parent else STACK_TYPE
    qualified = resource_type if parents == STACK_TYPE else f"{parents}${resource_type}"
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"
