"""What every resource type has to answer for; the life cycle around it is the provider's."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from infra.provider.lifecycle import CheckFailure
from infra.provider.naming import choose_name
from infra.provider.schema import Schema
from infra.provider.values import Properties, PropertyValue


class ResourceHandler(ABC):
    """How resources of one type are made, read, changed and deleted.

    Attributes:
        resource_type: Pulumi's token of the type.
        schema: The properties that can be set.
        computed: The properties that only AWS sets.
        service: boto3's name of the service.
        name_property: The property that is the resource's name.
    """

    resource_type: ClassVar[str]
    schema: ClassVar[Schema]
    computed: ClassVar[tuple[str, ...]]
    service: ClassVar[str]
    name_property: ClassVar[str] = "name"

    def choose_name(self, logical_name: str, inputs: Properties, random_seed: bytes) -> str | None:
        """The logical name and a random suffix, for a resource that was given none; None for a type without names."""
        del inputs
        return choose_name(logical_name, random_seed) if self.name_property in self.schema else None

    def keeps_name(self, name: str, inputs: Properties) -> bool:
        """Whether a resource with these inputs can go on having a name that was chosen for it earlier."""
        del name, inputs
        return True

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """What is wrong with the inputs beyond each property's own kind and limits."""
        del inputs
        return []

    @abstractmethod
    def create(self, client: Any, inputs: Properties) -> str:
        """Make the resource, wait until it can be used, and return its id."""

    @abstractmethod
    def find(self, client: Any, inputs: Properties) -> str | None:
        """The id of the resource that a ``create`` with these inputs has made, if it came to that."""

    @abstractmethod
    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """All properties of the resource but its region, or None if it is not there."""

    @abstractmethod
    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Change properties in place to what the new inputs say; a property without a value gets its default."""

    @abstractmethod
    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the resource that has these inputs; one that is not there is no error."""
