"""One process at work on one stack: its lock, its endpoint, its engine."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from infra.endpoint import Endpoint, StartingEndpoint, find_endpoint, read_endpoint, stop_endpoint
from infra.engines.engine import Deployment, Engine, Observer, ignore_steps
from infra.engines.lock import hold_lock
from infra.engines.plan import Plan
from infra.engines.state import read_snapshot
from infra.errors import EndpointError
from infra.paths import StackPaths, stack_paths
from infra.project import StackConfig, read_stack_config

Tell = Callable[[str], None]
"""Tells the user a sentence while work goes on."""


def tell_nobody(sentence: str) -> None:
    """The teller that keeps it to itself."""
    del sentence


@dataclass(frozen=True)
class Workspace:
    """A stack whose lock this process holds.

    Attributes:
        stack: The stack's name.
        paths: Its files.
        config: Its configuration, validated.
        tell: Tells the user a sentence while work goes on.
    """

    stack: str
    paths: StackPaths
    config: StackConfig
    tell: Tell = tell_nobody

    def preview(self, observer: Observer = ignore_steps) -> Plan:
        """Tell what an ``up`` would do; no endpoint is started for it."""
        return preview(self.stack, self.config, observer, self.tell)

    def up(self, observer: Observer = ignore_steps) -> tuple[Plan, Endpoint]:
        """Start the endpoint if it is not alive, and make what exists what the program describes.

        Raises:
            InfraError: It cannot be done; what was done until then is in the state, and another ``up`` goes on there.
        """
        read_snapshot(self.paths.state)  # a state that is to be refused is refused before anything is started
        starting = StartingEndpoint(self.paths, self.config.program().aws_region)
        try:
            # While the endpoint starts: the imports that take as long as that.
            from infra.engines.embedded import EmbeddedEngine  # noqa: PLC0415

            program = _program()
            endpoint = starting.wait()
        except BaseException:
            starting.cancel()
            raise
        if starting.replaces_dead:
            self.tell("The embedded endpoint had ended, and its state with it: everything is created again.")
        engine = EmbeddedEngine(
            self._deployment(program, endpoint.url),
            self.paths.state,
            endpoint_identity=endpoint.instance,
            warn=self.tell,
        )
        return engine.up(observer), endpoint

    def refresh(self, observer: Observer = ignore_steps) -> Plan:
        """Make the state what exists.

        Raises:
            EndpointError: The endpoint is not alive.
        """
        return self._engine_on_living_endpoint().refresh(observer)

    def down(self, observer: Observer = ignore_steps) -> Plan:
        """Delete everything, stop the endpoint and remove the stack's files.

        A dead endpoint has nothing left to delete: its resources were in its memory.
        """
        read_snapshot(self.paths.state)
        endpoint = find_endpoint(self.paths)
        plan = Plan() if endpoint is None else self._engine_on_living_endpoint().destroy(observer)
        self.discard()
        return plan

    def discard(self) -> None:
        """Stop the endpoint, which ends all that is in it, and remove the stack's files."""
        endpoint = read_endpoint(self.paths)
        if endpoint is not None:
            stop_endpoint(endpoint)
        shutil.rmtree(self.paths.directory, ignore_errors=True)

    def _engine_on_living_endpoint(self) -> Engine:
        from infra.engines.embedded import EmbeddedEngine  # noqa: PLC0415 - heavy

        endpoint = find_endpoint(self.paths)
        if endpoint is None:
            raise EndpointError(f"The endpoint of stack {self.stack} is not running; `invoke up` starts it.")
        return EmbeddedEngine(
            self._deployment(_program(), endpoint.url),
            self.paths.state,
            endpoint_identity=endpoint.instance,
            warn=self.tell,
        )

    def _deployment(self, program: Callable[[], None], endpoint_url: str) -> Deployment:
        return _deployment(self.stack, self.config, program, endpoint_url)


@contextmanager
def open_workspace(
    stack: str, *, overrides: Mapping[str, Any] | None = None, tell: Tell = tell_nobody
) -> Iterator[Workspace]:
    """Hold a stack's lock for the time of a ``with`` block.

    Args:
        stack: The stack's name.
        overrides: Configuration values that count more than the files.
        tell: Tells the user a sentence while work goes on.

    Raises:
        StackBusyError: Another process is at work on the stack.
        ConfigError: The configuration cannot be used.
    """
    config = read_stack_config(stack, overrides)
    paths = stack_paths(stack)
    with hold_lock(paths.lock, f"stack {stack}"):
        yield Workspace(stack, paths, config, tell)


def preview(stack: str, config: StackConfig, observer: Observer = ignore_steps, tell: Tell = tell_nobody) -> Plan:
    """Tell what an ``up`` of a stack would do. It needs neither the stack's lock nor its endpoint.

    Raises:
        StateError: The state cannot be read.
        DeploymentError: The program cannot be evaluated.
    """
    from infra.engines.embedded import EmbeddedEngine  # noqa: PLC0415 - heavy

    paths = stack_paths(stack)
    endpoint = find_endpoint(paths)
    if endpoint is None and read_endpoint(paths) is not None:
        tell("The embedded endpoint has ended, and its state with it: everything would be created again.")
    engine = EmbeddedEngine(
        _deployment(stack, config, _program(), endpoint.url if endpoint else None),
        paths.state,
        endpoint_identity=endpoint.instance if endpoint else None,
        warn=tell,
    )
    return engine.preview(observer)


def _deployment(stack: str, config: StackConfig, program: Callable[[], None], endpoint_url: str | None) -> Deployment:
    return Deployment(config.project, stack, program, config.values, endpoint_url)


def _program() -> Callable[[], None]:
    from infra.__main__ import main  # noqa: PLC0415 - heavy: it imports the SDK and pulumi-aws

    return main
