"""What an engine does to each resource, in the words and signs that Pulumi prints."""

from dataclasses import dataclass, field
from enum import Enum

from infra.provider.naming import name_of, type_of
from infra.provider.values import PropertyValue


class Operation(Enum):
    """What happens to a resource; the value is Pulumi's word."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"

    @property
    def sign(self) -> str:
        """Pulumi's sign."""
        return _SIGNS[self]


_SIGNS = {
    Operation.CREATE: "+",
    Operation.UPDATE: "~",
    Operation.REPLACE: "+-",
    Operation.DELETE: "-",
    Operation.SAME: "=",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one resource.

    Attributes:
        operation: What happens.
        urn: The resource.
        changes: The properties that an update or a replacement is about.
    """

    operation: Operation
    urn: str
    changes: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The resource's type token."""
        return type_of(self.urn)

    @property
    def name(self) -> str:
        """The resource's logical name."""
        return name_of(self.urn)

    def __str__(self) -> str:
        changes = f" ({', '.join(self.changes)})" if self.changes else ""
        return f"{self.operation.sign:>2} {self.operation.value:<7} {self.type} {self.name}{changes}"


@dataclass(slots=True)
class Plan:
    """All steps of a preview, an up, a refresh or a destroy.

    Attributes:
        steps: In the order in which they were done.
        outputs: The stack's outputs; in a preview they may hold unknowns.
    """

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, PropertyValue] = field(default_factory=dict)

    def count(self, operation: Operation) -> int:
        """How many resources an operation happens to."""
        return sum(step.operation is operation for step in self.steps)

    @property
    def changes(self) -> list[Step]:
        """The steps that are not ``same``."""
        return [step for step in self.steps if step.operation is not Operation.SAME]

    def summary(self) -> str:
        """The counts in words: ``40 created, 2 unchanged``."""
        words = [f"{count} {word}" for operation, word in _PAST.items() if (count := self.count(operation))]
        return ", ".join(words) if words else "no resources"


_PAST = {
    Operation.CREATE: "created",
    Operation.UPDATE: "updated",
    Operation.REPLACE: "replaced",
    Operation.DELETE: "deleted",
    Operation.SAME: "unchanged",
}
