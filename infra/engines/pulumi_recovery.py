"""What a run that was killed has left in a stack of the real engine: operations without an end, and its lock.

The engine notes an operation in its state before it begins, like ours. After a kill it keeps the note, warns, and
goes on; a half-made resource would stay for ever. Its name is in the note, so it can be found, and is deleted: what
nobody has been told of nobody uses. What was being changed or deleted is read again.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from infra.engines.state import provider_urn
from infra.errors import StackBusyError
from infra.provider.aws import HANDLERS, PROVIDER_TYPE, AwsProvider
from infra.provider.values import from_json, reveal

if TYPE_CHECKING:
    from pulumi.automation import Stack

LOCK_SECONDS = 20.0
"""Seconds to wait for the engine of a run that was killed: it ends once it notices that its provider is gone."""
_LOCK_PAUSE = 0.1
_LOCK_HOLDER = re.compile(r"created by \S*?@(?P<host>\S+) \(pid (?P<pid>\d+)\)")


def end_pending_operations(stack: "Stack", make_provider: Callable[[str], AwsProvider]) -> bool:
    """Bring every operation that was begun and not ended to a known end.

    Args:
        stack: The stack.
        make_provider: Makes the provider of a region.

    Returns:
        Whether there was one; then the state may differ from what exists, and wants a refresh.
    """
    exported = stack.export_stack()
    deployment: dict[str, Any] = dict(exported.deployment or {})
    pending = deployment.get("pending_operations") or []
    if not pending:
        return False
    regions = {
        resource["urn"]: resource["inputs"]["region"]
        for resource in deployment.get("resources", ())
        if resource.get("type") == PROVIDER_TYPE
    }
    for entry in pending:
        if entry["type"] == "creating" and entry["resource"]["type"] in HANDLERS:
            _delete_half_made(entry["resource"], regions, make_provider)
    del deployment["pending_operations"]
    exported.deployment = deployment
    stack.import_stack(exported)
    return True


def _delete_half_made(
    resource: Mapping[str, Any], regions: Mapping[str, str], make_provider: Callable[[str], AwsProvider]
) -> None:
    inputs = reveal(from_json(resource["inputs"]))
    provider = make_provider(regions[provider_urn(resource["provider"])])
    try:
        made = provider.find(resource["urn"], inputs)
        if made is not None:
            provider.delete(resource["urn"], made, inputs)
    finally:
        provider.close()


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
        while host == socket.gethostname() and _is_running(pid):
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


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # One that has ended and that nobody has waited for holds nothing. The state follows the name in brackets.
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - not a path of ours
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True
