"""What the steps of a resource's life answer: check, diff, create and read, as Pulumi's provider protocol has them."""

from dataclasses import dataclass

from infra.provider.values import PropertyValue


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """A property that cannot be used, and the sentence that says why."""

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The inputs with everything filled in that the provider chooses, or what is wrong with them."""

    inputs: dict[str, PropertyValue]
    failures: tuple[CheckFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffResult:
    """Which properties change, and which of them only a new resource can have.

    Attributes:
        changes: The properties that differ, sorted.
        replaces: Those of them that cannot change in place.
        delete_before_replace: Whether the old resource has to go first, because both would have one name.
    """

    changes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False


@dataclass(frozen=True, slots=True)
class CreateResult:
    """A resource that was made, or in a preview would be: then its id is empty and its outputs hold unknowns."""

    id: str
    outputs: dict[str, PropertyValue]


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A resource as it really is.

    Attributes:
        id: What identifies it.
        inputs: The inputs that would describe it, with the same properties set as before where nothing drifted.
        outputs: All of its properties.
    """

    id: str
    inputs: dict[str, PropertyValue]
    outputs: dict[str, PropertyValue]
