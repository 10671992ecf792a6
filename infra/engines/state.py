"""A stack's state: what was deployed last, as a versioned JSON file that is replaced whole or not at all.

A resource has the fields, and the file's resources the order, of Pulumi's own exported deployments
(https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/), so that the two engines can be compared.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from infra.errors import StateError
from infra.files import write_atomically
from infra.provider.values import PropertyValue, from_json, reveal, to_json

FORMAT = "queue-fundamentals-state"
VERSION = 1
STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, slots=True)
class ResourceState:
    """One resource as it was deployed.

    Attributes:
        urn: Its identity in the program.
        type: Its type token.
        custom: Whether a provider manages it; a component exists in the state alone.
        id: What identifies it outside; empty for a component.
        inputs: Its checked inputs.
        outputs: Its properties.
        parent: The parent's URN, or nothing.
        dependencies: The URNs of the resources that have to be there before it.
        property_dependencies: The same by input.
        provider: The provider's URN and id, joined by ``::``.
        delete: Whether a replacement is there already and this one only waits to be deleted.
    """

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Mapping[str, PropertyValue] = field(default_factory=dict)
    outputs: Mapping[str, PropertyValue] = field(default_factory=dict)
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider: str = ""
    delete: bool = False
    _text: str = field(default="", init=False, repr=False, compare=False)

    def needs(self) -> set[str]:
        """The URNs of everything that has to be there before this resource."""
        own = {self.parent, *self.dependencies, provider_urn(self.provider)}
        return own - {""}

    def to_json(self) -> dict[str, Any]:
        """The resource as it stands in the file."""
        return {
            "urn": self.urn,
            "type": self.type,
            "custom": self.custom,
            "id": self.id,
            "inputs": to_json(self.inputs),
            "outputs": to_json(self.outputs),
            "parent": self.parent,
            "dependencies": list(self.dependencies),
            "propertyDependencies": {key: list(urns) for key, urns in self.property_dependencies.items()},
            "provider": self.provider,
            "delete": self.delete,
        }

    @property
    def text(self) -> str:
        """The same as text, on one line; worked out once: nothing in it changes, and each write of the file asks."""
        if not self._text:
            object.__setattr__(self, "_text", json.dumps(self.to_json()))
        return self._text

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ResourceState":
        """The inverse of ``to_json``.

        Raises:
            KeyError: A field is missing.
            ValueError: A field cannot be what it should.
        """
        _check(document)
        return cls(
            urn=document["urn"],
            type=document["type"],
            custom=document["custom"],
            id=document["id"],
            inputs=from_json(document["inputs"]),
            outputs=from_json(document["outputs"]),
            parent=document["parent"],
            dependencies=tuple(document["dependencies"]),
            property_dependencies={key: tuple(urns) for key, urns in document["propertyDependencies"].items()},
            provider=document["provider"],
            delete=document["delete"],
        )


_KINDS = {
    **dict.fromkeys(("urn", "type", "id", "parent", "provider"), str),
    **dict.fromkeys(("custom", "delete"), bool),
    **dict.fromkeys(("inputs", "outputs", "propertyDependencies"), dict),
}
_URN_PARTS = 4


def _check(document: Mapping[str, Any]) -> None:
    """Make sure that a resource is one that the engine can work on."""
    for name, kind in _KINDS.items():
        if not isinstance(document[name], kind):
            raise ValueError(f"{name} is {document[name]!r}")  # noqa: TRY004 - one error for whatever is wrong
    if len(document["urn"].split("::")) < _URN_PARTS:
        raise ValueError(f"urn is {document['urn']!r}")
    for urns in (document["dependencies"], *document["propertyDependencies"].values()):
        if not isinstance(urns, list) or not all(isinstance(urn, str) for urn in urns):
            raise ValueError(f"dependencies of {document['urn']} are {urns!r}")
    is_outside = document["custom"] and document["type"].startswith("aws:") and document["id"]
    if is_outside and not isinstance(reveal(from_json(document["outputs"])).get("region"), str):
        raise ValueError(f"{document['urn']} has no region")


def provider_urn(reference: str) -> str:
    """The URN in a reference to a provider."""
    return reference.rsplit("::", 1)[0]


class PendingKind(Enum):
    """What was begun."""

    CREATING = "creating"
    UPDATING = "updating"


@dataclass(frozen=True, slots=True)
class PendingOperation:
    """An operation that was begun and of whose end the state knows nothing.

    Attributes:
        kind: What was begun.
        resource: The resource with the checked inputs, its chosen name among them.
    """

    kind: PendingKind
    resource: ResourceState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as the file holds it.

    Attributes:
        project: The Pulumi project's name.
        stack: The stack's name.
        endpoint: What identifies the endpoint that the resources are in; None for AWS itself.
        resources: Each after everything that it needs.
        pending: The operations that were begun and not ended.
    """

    project: str
    stack: str
    endpoint: str | None = None
    resources: tuple[ResourceState, ...] = ()
    pending: tuple[PendingOperation, ...] = ()

    @property
    def outputs(self) -> dict[str, PropertyValue]:
        """The stack's outputs; empty where the program has not come to its end yet."""
        for resource in self.resources:
            if resource.type == STACK_TYPE:
                return dict(resource.outputs)
        return {}

    def emptied(self, endpoint: str | None) -> "Snapshot":
        """The same stack with nothing in it, at another endpoint."""
        return replace(self, endpoint=endpoint, resources=(), pending=())


def read_snapshot(path: Path) -> Snapshot | None:
    """Read a state file; None if there is none.

    Raises:
        StateError: The file is cut, corrupt or of a foreign version. It is left as it is.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"The state file {path} cannot be read ({error}); it is kept as it is.") from error
    advice = "It is kept as it is; put back a good copy, or move it away to begin anew."
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"The state file {path} is cut or corrupt ({error}). {advice}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StateError(f"The file {path} is not a state of this project. {advice}")
    if document.get("version") != VERSION:
        raise StateError(
            f"The state file {path} is of version {document.get('version')}, this program reads {VERSION}. {advice}"
        )
    try:
        return _from_document(document)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StateError(f"The state file {path} is corrupt ({type(error).__name__}: {error}). {advice}") from error


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the state file, so that after a crash at any moment either the old one or the new one is there."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "project": snapshot.project,
        "stack": snapshot.stack,
        "endpoint": snapshot.endpoint,
    }
    resources = [resource.text for resource in snapshot.resources]
    pending = [f'{{"kind": "{entry.kind.value}", "resource": {entry.resource.text}}}' for entry in snapshot.pending]
    fields = [
        *(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()),
        f'"resources": {_lines(resources)}',
        f'"pending": {_lines(pending)}',
    ]
    write_atomically(path, "{\n" + ",\n".join(fields) + "\n}\n")


def _lines(entries: list[str]) -> str:
    """A JSON array with a line for each entry."""
    return "[\n" + ",\n".join(entries) + "\n]" if entries else "[]"


def _from_document(document: Mapping[str, Any]) -> Snapshot:
    for name in ("project", "stack"):
        if not isinstance(document[name], str):
            raise ValueError(f"its {name} is {document[name]!r}")  # noqa: TRY004 - one error for whatever is wrong
    if not isinstance(document["endpoint"], str | None):
        raise ValueError(f"its endpoint is {document['endpoint']!r}")  # noqa: TRY004 - as above
    return Snapshot(
        project=document["project"],
        stack=document["stack"],
        endpoint=document["endpoint"],
        resources=tuple(ResourceState.from_json(entry) for entry in document["resources"]),
        pending=tuple(
            PendingOperation(PendingKind(entry["kind"]), ResourceState.from_json(entry["resource"]))
            for entry in document["pending"]
        ),
    )
