"""The state of a stack of the real engine, in the form of ours, so that one code reads both."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.engines.pulumi.cli import backend_url, cli_environment, drop_cut_attributes, find_cli
from infra.engines.state import PendingKind, PendingOperation, ResourceState, Snapshot
from infra.errors import StateError
from infra.stack.names import short_name


def read_pulumi_snapshot(
    stack: str, project: str, directory: Path, endpoint: str | None, *, backend: str | None = None
) -> Snapshot | None:
    """Ask the CLI for a stack's state; None if there is no such stack. Needs no passphrase: secrets stay encrypted.

    Args:
        stack: The stack's name.
        project: The project's name.
        directory: The project's directory.
        endpoint: What identifies the endpoint that the state is about.
        backend: The backend's URL; None for the one that the CLI would take.

    Raises:
        StateError: The state cannot be read.
        DeploymentError: There is no CLI.
    """
    backend = backend or backend_url(directory, stack=stack)
    drop_cut_attributes(backend, stack)
    answer = subprocess.run(
        [str(find_cli().path), "--non-interactive", "stack", "export", "--stack", stack],
        cwd=directory,
        env=cli_environment(backend),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if answer.returncode:
        if "no stack named" in answer.stderr or "unable to open state directory" in answer.stderr:
            return None
        raise unreadable(stack, backend, " ".join(answer.stderr.removeprefix("error: ").split()))
    try:
        return _snapshot(project, short_name(stack), endpoint, json.loads(answer.stdout)["deployment"] or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(stack, backend, f"{type(error).__name__}: {error}") from error


def unreadable(stack: str, backend: str, complaint: str) -> StateError:
    """The error of a state that cannot be read.

    Args:
        stack: The stack's name.
        backend: The backend's URL.
        complaint: What is wrong with it.
    """
    return StateError(
        f"The state of stack {stack} in {backend} cannot be read ({complaint}). "
        "It is kept as it is: bring back an earlier one, or move it away to begin anew."
    )


def _snapshot(project: str, stack: str, endpoint: str | None, deployment: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        project,
        stack,
        endpoint,
        resources=tuple(_resource(entry) for entry in deployment.get("resources") or ()),
        pending=tuple(
            PendingOperation(
                PendingKind.CREATING if entry["type"] == "creating" else PendingKind.UPDATING,
                _resource(entry["resource"]),
            )
            for entry in deployment.get("pending_operations") or ()
        ),
    )


def _resource(entry: Mapping[str, Any]) -> ResourceState:
    return ResourceState(
        urn=entry["urn"],
        type=entry["type"],
        custom=entry.get("custom", False),
        id=entry.get("id", ""),
        inputs=entry.get("inputs", {}),
        outputs=entry.get("outputs", {}),
        parent=entry.get("parent", ""),
        dependencies=tuple(entry.get("dependencies") or ()),
        provider=entry.get("provider", ""),
        delete=entry.get("delete", False),
    )
