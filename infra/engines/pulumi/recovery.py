"""What a run that was killed has left in a stack of the real engine: operations without an end, and its lock.

The engine notes an operation in its state before it begins, like ours. After a kill it keeps the note, warns, and
goes on; a half-made resource would stay for ever. Its name is in the note, so it can be found, and is deleted: what
no run has been told of no run uses. What was being changed or deleted is read again. If only the provider's process
was killed the engine drops the note, and the provider's own tells (``infra.provider.creations``).
"""

import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.engines.state import provider_urn
from infra.errors import StackBusyError
from infra.provider.aws import HANDLERS, PROVIDER_TYPE, AwsProvider
from infra.provider.creations import Creation
from infra.provider.naming import type_of
from infra.provider.values import Properties, from_json, reveal
from services.common.processes import is_running

if TYPE_CHECKING:
    from pulumi.automation import Stack

LOCK_SECONDS = 20.0
"""Seconds to wait for the engine of a run that was killed: it ends once it notices that its provider is gone."""
_LOCK_PAUSE = 0.1
_LOCK_HOLDER = re.compile(r"created by \S*?@(?P<host>\S+) \(pid (?P<pid>\d+)\)")


class Recovery:
    """Brings every operation that was begun and not ended to a known end.

    Args:
        stack: The stack.
        creations: What the provider has noted that it began to create.
        make_provider: Makes the provider of a region.

    Attributes:
        has_acted: Whether there was anything to end; then the state may differ from what exists, and wants a refresh.
    """

    def __init__(
        self, stack: "Stack", creations: Sequence[Creation], make_provider: Callable[[str], AwsProvider]
    ) -> None:
        self.has_acted = False
        self._stack = stack
        self._creations = creations
        self._make_provider = make_provider

    def end_what_was_begun(self) -> None:
        """Delete what is half made, and take what is pending out of the state.

        An engine that has outlived its provider may still be writing. The import at the end waits for its lock, so
        this is repeated if there is one.
        """
        exported = self._stack.export_stack()
        deployment: dict[str, Any] = dict(exported.deployment or {})
        resources: list[dict[str, Any]] = deployment.get("resources") or []
        pending = deployment.get("pending_operations") or []
        lost = _not_in(resources, self._creations)
        if not pending and not lost:
            return
        self.has_acted = True
        regions = {entry["urn"]: entry["inputs"]["region"] for entry in resources if entry.get("type") == PROVIDER_TYPE}
        for entry in pending:
            resource = entry["resource"]
            if entry["type"] == "creating" and resource["type"] in HANDLERS:
                region = regions[provider_urn(resource["provider"])]
                self._delete_half_made(resource["urn"], region, reveal(from_json(resource["inputs"])))
        for creation in lost:
            named = HANDLERS[type_of(creation.urn)].name_property
            inputs = {named: creation.name, "region": creation.region}
            self._delete_half_made(creation.urn, creation.region, inputs)
        deployment.pop("pending_operations", None)
        exported.deployment = deployment
        self._stack.import_stack(exported)

    def _delete_half_made(self, urn: str, region: str, inputs: Properties) -> None:
        provider = self._make_provider(region)
        try:
            made = provider.find(urn, inputs)
            if made is not None:
                provider.delete(urn, made, inputs)
        finally:
            provider.close()


def _not_in(resources: Sequence[Mapping[str, Any]], creations: Sequence[Creation]) -> list[Creation]:
    """The creations of which the state has no resource; the name is an id's last part, which is never encrypted."""
    known = {(entry["urn"], str(entry.get("id", "")).rsplit("/", 1)[-1]) for entry in resources}
    return [creation for creation in creations if (creation.urn, creation.name) not in known]


def wait_for_unlock(message: str, name: str, cancel: Callable[[], None]) -> None:
    """Wait until the process that holds a stack's lock has ended; a lock that a killed one has left is taken away.

    Args:
        message: What the CLI says of the lock.
        name: The stack's name.
        cancel: Takes the lock away.

    Raises:
        StackBusyError: The holder is at work, or is on another machine.
    """
    holders = list(_LOCK_HOLDER.finditer(message))
    deadline = time.monotonic() + LOCK_SECONDS
    for holder in holders:
        pid, host = int(holder["pid"]), holder["host"]
        while host == socket.gethostname() and is_running(pid):
            if time.monotonic() > deadline:
                raise StackBusyError(
                    f"Process {pid} (pulumi) is at work on stack {name}; wait until it has ended, then run this again."
                )
            time.sleep(_LOCK_PAUSE)
        if host != socket.gethostname():
            raise StackBusyError(
                f"Process {pid} on {host} is at work on stack {name}; if it is not, `pulumi cancel` ends its lock."
            )
    if holders:
        cancel()
