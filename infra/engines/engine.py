"""The seam between what is deployed and who deploys it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from infra.clients import Login
from infra.engines.plan import Plan, Step
from infra.provider.values import PropertyValue

Observer = Callable[[Step], None]
"""Is told of each step when it is done, from any thread."""


def ignore_steps(step: Step) -> None:
    """The observer that does not care."""
    del step


@dataclass(frozen=True)
class Deployment:
    """What to deploy, whichever engine does it.

    Attributes:
        project: The Pulumi project's name.
        stack: The stack's name.
        program: The Pulumi program.
        config: The configuration, by full key (``project:key``), in Pulumi's text form.
        endpoint_url: Another endpoint than AWS's own.
        login: Whose credentials; None for the environment's.
    """

    project: str
    stack: str
    program: Callable[[], None]
    config: Mapping[str, str] = field(default_factory=dict)
    endpoint_url: str | None = None
    login: Login | None = None


class Engine(Protocol):
    """Deploys a program: each method yields the plan of what it did or, in a preview, would do.

    They raise ``InfraError`` with a sentence; what was done until then is in the state.
    """

    def preview(self, observer: Observer = ignore_steps) -> Plan:
        """Tell what an ``up`` would do, and touch nothing."""

    def up(self, observer: Observer = ignore_steps) -> Plan:
        """Make what exists what the program describes."""

    def refresh(self, observer: Observer = ignore_steps) -> Plan:
        """Make the state what exists: drop what is gone, take over what differs."""

    def destroy(self, observer: Observer = ignore_steps) -> Plan:
        """Delete everything that the state knows."""

    def outputs(self) -> dict[str, PropertyValue]:
        """The outputs of the last ``up``; empty where there was none."""

    def remove(self, *, force: bool = False) -> None:
        """Forget the stack, after everything of it was deleted.

        Args:
            force: Even if the state knows resources: they went with their endpoint.
        """
