"""One process at work on one stack: its lock, its target, its endpoint, its engine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.engines.choice import check_engine, import_engine, make_engine
from infra.engines.engine import Deployment, Engine, Observer, ignore_steps
from infra.engines.plan import Plan
from infra.engines.state import read_snapshot
from infra.errors import DeploymentError, EndpointError, ProviderError
from infra.files import disk_is_full, sweep_temporaries
from infra.progress import Progress, no_progress
from infra.stack.check import check_target, reach
from infra.stack.discovery import choose_stack_target, find_target
from infra.stack.endpoint import (
    Endpoint,
    StartingEndpoint,
    find_endpoint,
    read_endpoint,
    stop_endpoint,
    stop_unnoted_endpoints,
)
from infra.stack.lock import hold_lock, remove_locked
from infra.stack.names import short_name
from infra.stack.paths import StackPaths, stack_config_path, stack_paths
from infra.stack.project import StackConfig, read_stack_config
from infra.stack.target import EngineName, Options, Target


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stack's resources are.

    Attributes:
        url: The endpoint's URL; None for AWS.
        history: The embedded endpoint's history file; None for any other endpoint.
        instance: What identifies the endpoint's life; None for AWS, which has but one.
    """

    url: str | None
    history: Path | None = None
    instance: str | None = None

    @classmethod
    def embedded(cls, endpoint: Endpoint) -> "Place":
        """The place that a stack's own endpoint is."""
        return cls(endpoint.url, Path(endpoint.history), endpoint.instance)

    @classmethod
    def named(cls, target: Target) -> "Place":
        """The place that the user named: an endpoint, or AWS."""
        return cls(target.endpoint_url, instance=target.endpoint_url)

    def __str__(self) -> str:
        return self.url or "AWS"


@dataclass(frozen=True)
class Workspace:
    """A stack whose lock this process holds.

    Attributes:
        stack: The stack's name.
        paths: Its files.
        config: Its configuration, validated.
        target: Where it is deployed, and by which engine.
        tell: Tells the user a sentence while work goes on.
        speed: How many seconds the clock of an endpoint that is started here runs in a real one.
    """

    stack: str
    paths: StackPaths
    config: StackConfig
    target: Target = field(default_factory=Target)
    tell: Progress = no_progress
    speed: float = 1.0

    def preview(self, observer: Observer = ignore_steps) -> Plan:
        """Tell what an ``up`` would do; no endpoint is started for it."""
        return preview(self.stack, self.config, self.target, observer, self.tell)

    def up(self, observer: Observer = ignore_steps) -> tuple[Plan, Place]:
        """Start the endpoint if it is not alive, and make what exists what the program describes.

        Raises:
            InfraError: It cannot be done; what was done until then is in the state, and another ``up`` goes on there.
        """
        check_engine(self.stack, self.target)
        read_snapshot(self.paths.state)  # an unusable state is refused before anything starts
        place = self._start_endpoint() if self.target.embeds_endpoint else _reached(self.target)
        self.target.note(self.paths, place.instance, complete=False)
        engine = self._engine(place)
        if self.target.engine is EngineName.PULUMI and self.target.instance not in (None, place.instance):
            # The real engine knows nothing of the endpoint's life: let it find that everything is gone.
            engine.refresh()
        plan = engine.up(observer)
        self.target.note(self.paths, place.instance, complete=True)
        return plan, place

    def refresh(self, observer: Observer = ignore_steps) -> Plan:
        """Make the state what exists.

        Raises:
            EndpointError: The endpoint is not alive.
        """
        return self._engine(self._living_place()).refresh(observer)

    def down(self, observer: Observer = ignore_steps) -> Plan:
        """Delete everything, stop the endpoint and remove the stack's files.

        A dead endpoint has nothing left to delete: its resources were in its memory.
        """
        check_engine(self.stack, self.target)
        read_snapshot(self.paths.state)
        is_dead = self.target.embeds_endpoint and find_endpoint(self.paths) is None
        engine = self._engine(Place(None) if is_dead else self._living_place())
        plan, goes_with_its_endpoint = Plan(), is_dead
        if not is_dead:
            try:
                plan = engine.destroy(observer)
            except (OSError, ProviderError, EndpointError, DeploymentError):
                if not (self.target.embeds_endpoint and disk_is_full(self.paths.directory)):
                    raise
                goes_with_its_endpoint = True
                self.tell("The disk is full, so the resources are not deleted one by one: they end with the endpoint.")
        engine.remove(force=goes_with_its_endpoint)
        self.discard()
        return plan

    def dispose(self) -> None:
        """End a stack that is not needed any more, in the quickest way that leaves nothing behind."""
        if self.target.embeds_endpoint and self.target.engine is EngineName.EMBEDDED:
            self.discard()
        else:
            self.down()
            stack_config_path(self.stack).unlink(missing_ok=True)

    def discard(self) -> None:
        """Stop the endpoint, which ends all that is in it, and remove the stack's files."""
        endpoint = read_endpoint(self.paths)
        if endpoint is not None and not stop_endpoint(endpoint):
            stop_unnoted_endpoints(self.paths)  # the note is about a process that is not there, or not an endpoint
        remove_locked(self.paths.lock)

    def _start_endpoint(self) -> Place:
        starting = StartingEndpoint(self.paths, self.config.region, self.speed)
        try:
            # While the endpoint starts: the imports that take as long as that.
            import_engine(self.target)
            _program()
            endpoint = starting.wait()
        except BaseException:
            starting.cancel()
            raise
        if starting.replaces_dead:
            self.tell("The embedded endpoint had ended, and its state with it: everything is created again.")
        return Place.embedded(endpoint)

    def _living_place(self) -> Place:
        if not self.target.embeds_endpoint:
            return _reached(self.target)
        endpoint = find_endpoint(self.paths)
        if endpoint is None:
            raise EndpointError(f"The endpoint of stack {self.stack} is not running; `invoke up` starts it.")
        return Place.embedded(endpoint)

    def _engine(self, place: Place) -> Engine:
        deployment = _deployment(self.stack, self.config, place)
        return make_engine(
            self.target, deployment, self.config, self.paths, stack=self.stack, instance=place.instance, tell=self.tell
        )


@contextmanager
def open_workspace(
    stack: str,
    *,
    overrides: Mapping[str, Any] | None = None,
    options: Options | None = None,
    tell: Progress = no_progress,
    speed: float = 1.0,
) -> Iterator[Workspace]:
    """Hold a stack's lock for the time of a ``with`` block.

    Args:
        stack: The stack's name.
        overrides: Configuration values that count more than the files.
        options: What the command was told of engine, tier and endpoint, to be completed by the environment; None
            for a stack with an endpoint of its own if nothing else is noted.
        tell: Tells the user a sentence while work goes on.
        speed: How many seconds the clock of an endpoint that is started here runs in a real one.

    Raises:
        StackBusyError: Another process is at work on the stack.
        ConfigError: The configuration or an option cannot be used.
    """
    paths = stack_paths(stack)
    read_stack_config(stack, overrides)  # what is wrong there is said before anything is made
    with hold_lock(paths.lock, f"stack {stack}"):
        sweep_temporaries(paths.directory)
        target = (find_target(stack) or Target()) if options is None else choose_stack_target(stack, options)
        config = read_stack_config(stack, overrides, region=target.region)
        yield Workspace(stack, paths, config, check_target(stack, target, config, ask=True), tell, speed)


def preview(
    stack: str, config: StackConfig, target: Target, observer: Observer = ignore_steps, tell: Progress = no_progress
) -> Plan:
    """Tell what an ``up`` of a stack would do. It needs neither the stack's lock nor its endpoint.

    Raises:
        StateError: The state cannot be read.
        DeploymentError: The program cannot be evaluated.
    """
    check_engine(stack, target)
    paths = stack_paths(stack)
    place = Place.named(target)
    if target.embeds_endpoint:
        endpoint = find_endpoint(paths)
        if endpoint is None and read_endpoint(paths) is not None:
            tell("The embedded endpoint has ended, and its state with it: everything would be created again.")
        place = Place(None) if endpoint is None else Place.embedded(endpoint)
    deployment = _deployment(stack, config, place)
    return make_engine(target, deployment, config, paths, stack=stack, instance=place.instance, tell=tell).preview(
        observer
    )


def _reached(target: Target) -> Place:
    """The place that was named, if something listens there."""
    reach(target)
    return Place.named(target)


def _deployment(stack: str, config: StackConfig, place: Place) -> Deployment:
    return Deployment(config.project, short_name(stack), _program(), config.values, place.url, config.login)


def _program() -> Callable[[], None]:
    from infra.__main__ import main  # noqa: PLC0415 - heavy: it imports the SDK and pulumi-aws

    return main
