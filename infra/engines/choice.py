"""The engine of a stack, and the state that it keeps, whichever of the two it is."""

import importlib

from infra.engines.engine import Deployment, Engine
from infra.engines.pulumi.cli import backend_url, find_cli, require_passphrase
from infra.engines.pulumi.snapshot import read_pulumi_snapshot
from infra.engines.state import Snapshot, read_snapshot
from infra.errors import ConfigError
from infra.progress import Progress
from infra.provider_config import endpoint_values
from infra.stack.paths import PROJECT_FILE, StackPaths, foreign_project, project_root, stack_config_path
from infra.stack.project import StackConfig, read_stack_config
from infra.stack.target import EngineName, Target


def check_engine(stack: str, target: Target) -> None:
    """Make sure that a target's engine can be run, before anything is begun for it.

    Args:
        stack: The stack's name.
        target: The target.

    Raises:
        InfraError: Something that it needs is missing.
    """
    if target.engine is EngineName.PULUMI:
        if (name := foreign_project(project_root())) is not None:
            raise ConfigError(
                f"{project_root() / PROJECT_FILE} belongs to another Pulumi project, {name}: work in another "
                "directory, or leave out --engine pulumi."
            )
        find_cli()
        require_passphrase(backend_url(project_root(), stack=stack), stack_config_path(stack))


def import_engine(target: Target) -> None:
    """Import what a target's engine needs, which takes a moment that another wait can hide."""
    importlib.import_module(f"infra.engines.{target.engine}.engine")


def make_engine(
    target: Target,
    deployment: Deployment,
    config: StackConfig,
    paths: StackPaths,
    *,
    stack: str,
    instance: str | None,
    tell: Progress,
) -> Engine:
    """The engine that deploys to a target.

    Args:
        target: The target.
        deployment: What to deploy.
        config: The stack's configuration.
        paths: The stack's files.
        stack: The stack's name, with its organization if it has one.
        instance: What identifies the endpoint.
        tell: Where warnings go.

    Raises:
        ConfigError: The target is AWS, and pulumi-aws is not installed.
    """
    if target.engine is EngineName.EMBEDDED:
        from infra.engines.embedded.engine import EmbeddedEngine  # noqa: PLC0415 - heavy

        return EmbeddedEngine(deployment, paths.state, endpoint_identity=instance, warn=tell)
    from infra.aws_classes import require_pulumi_aws  # noqa: PLC0415 - heavy
    from infra.engines.pulumi.engine import PulumiEngine, PulumiSettings  # noqa: PLC0415 - heavy

    if target.is_aws:
        require_pulumi_aws()
    directory = project_root()
    settings = PulumiSettings(
        directory,
        target.backend or backend_url(directory, stack=stack),
        qualified_stack=stack,
        serve_provider=not target.is_aws,
        config=config.from_outside,
        guard={} if deployment.endpoint_url is None else endpoint_values(deployment.endpoint_url),
    )
    return PulumiEngine(deployment, settings, warn=tell)


def read_stack_snapshot(stack: str, target: Target, paths: StackPaths) -> Snapshot | None:
    """The state of a stack, from the engine that keeps it; None if there is none.

    Raises:
        StateError: It cannot be read.
    """
    if target.engine is EngineName.EMBEDDED:
        return read_snapshot(paths.state)
    project = read_stack_config(stack).project
    return read_pulumi_snapshot(stack, project, project_root(), target.instance, backend=target.backend)
