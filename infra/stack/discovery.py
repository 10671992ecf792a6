"""Where a stack is that has no note: one that plain ``pulumi up`` has made is in the backend all the same."""

from collections.abc import Mapping
from typing import Any

from infra.engines.pulumi.cli import backend_url, find_cli, may_hold
from infra.engines.pulumi.snapshot import read_pulumi_snapshot
from infra.engines.state import Snapshot
from infra.errors import DeploymentError
from infra.provider.aws import PROVIDER_TYPE
from infra.provider.values import reveal
from infra.provider_config import endpoint_in
from infra.stack.paths import foreign_project, project_root, stack_config_path, stack_paths
from infra.stack.project import read_stack_config
from infra.stack.target import EngineName, Options, Target, TierName, choose_target, read_target


def find_target(stack: str) -> Target | None:
    """Where a stack is: as its note says, else as the state in the backend says; None if neither knows it.

    Raises:
        StateError: The note or the state cannot be read.
    """
    return read_target(stack_paths(stack)) or _target_in_backend(stack)


def choose_stack_target(stack: str, options: Options) -> Target:
    """The target of a command: where the stack is, else what the options and the environment say.

    Raises:
        ConfigError: An option cannot be used, or is not how the stack is deployed.
        StateError: The note or the state cannot be read.
    """
    paths = stack_paths(stack)
    known = None if read_target(paths) is not None else _target_in_backend(stack)
    return choose_target(paths, options, known=known)


def _target_in_backend(stack: str) -> Target | None:
    directory = project_root()
    if foreign_project(directory) is not None:
        return None
    backend = backend_url(directory, stack=stack)
    project = read_stack_config(stack).project
    # Only a file of the backend or of the stack tells of such a stack. To ask a backend on the network each time would
    # make every run wait that has no stack there.
    if not may_hold(backend, project, stack) or not (backend.startswith("file:") or stack_config_path(stack).exists()):
        return None
    try:
        find_cli()
    except DeploymentError:
        return None
    snapshot = read_pulumi_snapshot(stack, project, directory, None, backend=backend)
    if snapshot is None or not (snapshot.resources or snapshot.pending):
        return None
    provider = _provider_of(snapshot)
    endpoint = endpoint_in(provider)
    tier = TierName.AWS if endpoint is None else TierName.LOCAL
    region = provider.get("region")
    return Target(EngineName.PULUMI, tier, endpoint, region, deployed_region=region, backend=backend)


def _provider_of(snapshot: Snapshot) -> Mapping[str, Any]:
    for resource in snapshot.resources:
        if resource.type == PROVIDER_TYPE:
            inputs: Mapping[str, Any] = reveal(resource.inputs)
            return inputs
    return {}
