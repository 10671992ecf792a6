"""Stacks as the scenarios and tasks see them: find one that is up, or have a temporary one for a while."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.clients import Clients, Login, aws_client, login_variables
from infra.engines.choice import read_stack_snapshot
from infra.engines.state import Snapshot
from infra.errors import EndpointError, InfraError, StackNotUpError
from infra.provider.values import reveal
from infra.stack.check import check_target
from infra.stack.discovery import find_target
from infra.stack.endpoint import find_endpoint
from infra.stack.lock import hold_lock, is_locked, remove_locked, wait_for_lock
from infra.stack.names import TEMPORARY_PREFIX, choose_stack
from infra.stack.paths import StackPaths, stack_paths, state_directory
from infra.stack.project import read_stack_config
from infra.stack.target import ENDPOINT_VARIABLE, Options, Target
from infra.stack.workspace import Place, Workspace, open_workspace
from services.common.loopback import is_loopback_url

_TEMPORARY_LOCK = "temporary.lock"
USE_SECONDS = 20.0
"""Seconds to wait for another command on the stack before it is said to be busy."""


@dataclass(frozen=True)
class ScenarioResources:
    """What the program promises for one scenario, read from the stack's outputs.

    Attributes:
        queue_url: The queue that consumers read.
        queue_arn: Its ARN.
        queue_name: Its name.
        dead_letter_queue_url: Where messages go that were received too often.
        dead_letter_queue_arn: Its ARN.
        dead_letter_queue_name: Its name.
        status_table: The name of the table with our own bookkeeping.
        side_effects_table: The name of the table with the external system's ledger.
        visibility_timeout: Seconds for which a received message stays invisible.
        receive_wait: Seconds that a receive waits for a message.
        max_receive_count: Receives after which the next one moves a message to the dead-letter queue.
        fifo: Whether both queues are FIFO queues.
        bucket: The bucket for what is too large for a message; empty where there is none.
    """

    queue_url: str
    queue_arn: str
    queue_name: str
    dead_letter_queue_url: str
    dead_letter_queue_arn: str
    dead_letter_queue_name: str
    status_table: str
    side_effects_table: str
    visibility_timeout: int
    receive_wait: int
    max_receive_count: int
    fifo: bool
    bucket: str = ""


@dataclass(frozen=True)
class Stack:
    """A stack that is up.

    Attributes:
        name: Its name.
        region: The AWS region of its resources.
        endpoint_url: Where its resources are; None for real AWS.
        endpoint_history: The embedded endpoint's history file; None for any other endpoint.
        outputs: What the program exports.
        login: Whose credentials its configuration chooses, by ``aws:profile`` and ``aws:assumeRoles``.
    """

    name: str
    region: str
    endpoint_url: str | None
    endpoint_history: Path | None
    outputs: Mapping[str, Any]
    login: Login = field(default_factory=Login)

    @cached_property
    def clients(self) -> Clients:
        """The boto3 clients of whatever runs on it, each made once: several threads may share them."""
        return Clients(
            lambda service, region: aws_client(service, endpoint_url=self.endpoint_url, region=region, login=self.login)
        )

    @cached_property
    def login_variables(self) -> Mapping[str, str]:
        """The variables by which its services act as its login; none for an endpoint on loopback, which asks nobody."""
        if self.endpoint_url is not None and is_loopback_url(self.endpoint_url):
            return {}
        return login_variables(self.login, self.region)

    @property
    def timeout_scale(self) -> int:
        """What its visibility timeouts are multiplied by, for an endpoint that is far away."""
        return int(self.outputs.get("timeoutScale", 1))

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The names of the scenarios that the stack has resources for."""
        return tuple(sorted(key for key, value in self.outputs.items() if isinstance(value, Mapping)))

    def scenario(self, name: str) -> ScenarioResources:
        """The resources of a scenario.

        Raises:
            StackNotUpError: The stack has none for it.
        """
        values = self.outputs.get(name)
        if not isinstance(values, Mapping):
            has = ", ".join(self.scenarios) or "none at all"
            raise StackNotUpError(
                f"Stack {self.name} has no resources for the scenario {name} (it has {has}); "
                "take it into the configuration's scenarios, then `invoke up`."
            )
        return ScenarioResources(
            queue_url=values["queueUrl"],
            queue_arn=values["queueArn"],
            queue_name=values["queueName"],
            dead_letter_queue_url=values["deadLetterQueueUrl"],
            dead_letter_queue_arn=values["deadLetterQueueArn"],
            dead_letter_queue_name=values["deadLetterQueueName"],
            status_table=values["statusTable"],
            side_effects_table=values["sideEffectsTable"],
            visibility_timeout=values["visibilityTimeout"],
            receive_wait=values["receiveWait"],
            max_receive_count=values["maxReceiveCount"],
            fifo=values["fifo"],
            bucket=values.get("bucket", ""),
        )


def find_stack(name: str | None = None) -> Stack | None:
    """The stack of that name, or None if it is not up.

    Args:
        name: The stack's name; None for ``PULUMI_STACK``, else one of the login name.

    Raises:
        ConfigError: The name cannot be a stack's.
        StateError: Its state cannot be read.
        EndpointError: Its endpoint is not running any more.
        StackNotUpError: Its last ``up`` did not come to its end.
    """
    stack = choose_stack(name)
    paths = stack_paths(stack)
    target = find_target(stack)
    snapshot = None if target is None else read_stack_snapshot(stack, target, paths)
    if target is None or snapshot is None or not snapshot.resources:
        return None
    config = read_stack_config(stack, region=target.region)
    target = check_target(stack, target, config)
    place = _living_place(stack, target, snapshot)
    outputs = reveal(snapshot.outputs)
    if "region" not in outputs or not target.complete:
        raise StackNotUpError(f"The last `invoke up` of stack {stack} did not come to its end; run it again.")
    return Stack(stack, outputs["region"], place.url, place.history, outputs, config.login)


@contextmanager
def use_stack(name: str | None = None) -> Iterator[Stack | None]:
    """The stack of that name, or None if it is not up; for the time of the block no ``down`` takes it away.

    A user's lock is taken while the stack's own is held, which a ``down`` holds from its first look to its end. So
    either the ``down`` sees the user, or the user sees no stack.

    Args:
        name: The stack's name; None for ``PULUMI_STACK``, else one of the login name.

    Raises:
        InfraError: As for ``find_stack``; and another process is at work on the stack.
    """
    stack = choose_stack(name)
    paths = stack_paths(stack)
    found = None
    with ExitStack() as cleanup:
        if find_stack(stack) is not None:
            lock = paths.directory / f"use-{os.getpid()}-{secrets.token_hex(4)}.lock"
            with hold_lock(paths.lock, f"stack {stack}", wait=USE_SECONDS):
                found = find_stack(stack)
                if found is not None:
                    cleanup.callback(lock.unlink, missing_ok=True)
                    cleanup.enter_context(hold_lock(lock, "the stack's use"))
                elif _is_only_locked(paths):
                    remove_locked(paths.lock)
        yield found


def _is_only_locked(paths: StackPaths) -> bool:
    """Whether a lock has made the directory after a ``down`` had removed it."""
    return [path.name for path in paths.directory.iterdir()] == [paths.lock.name]


def _living_place(stack: str, target: Target, snapshot: Snapshot) -> Place:
    if not target.embeds_endpoint:
        return Place.named(target)
    endpoint = find_endpoint(stack_paths(stack))
    if endpoint is None or endpoint.instance != snapshot.endpoint:
        raise EndpointError(f"The endpoint of stack {stack} is not running any more; `invoke up` makes all of it anew.")
    return Place.embedded(endpoint)


@contextmanager
def temporary_stack(
    scenarios: Sequence[str], options: Options | None = None, *, speed: float = 1.0, timeout_scale: int = 1
) -> Iterator[Stack]:
    """A stack for the time of a ``with`` block, with an endpoint of its own unless another one is named.

    At the block's end, however it comes, the endpoint is stopped (what is elsewhere is deleted) and all files are
    removed. What a run that was killed has left is cleaned up by the next one.

    Args:
        scenarios: The scenarios to make resources for.
        options: Which engine deploys it, and where; None for the embedded engine and an endpoint of its own.
        speed: How many seconds the clock of its own endpoint runs in a real one.
        timeout_scale: What its visibility timeouts are multiplied by.

    Raises:
        InfraError: It cannot be made.
    """
    overrides = overrides_for(scenarios, options, timeout_scale)
    with ExitStack() as cleanup:
        workspace = _open_temporary_workspace(cleanup, overrides, options, speed)
        plan, place = workspace.up()
        outputs = reveal(plan.outputs)
        yield Stack(workspace.stack, outputs["region"], place.url, place.history, outputs, workspace.config.login)


def overrides_for(scenarios: Sequence[str], options: Options | None, timeout_scale: int) -> dict[str, Any]:
    """The configuration of a stack that is made for one run.

    At an endpoint that is neither ours nor AWS's it has no RedriveAllowPolicy: not every endpoint knows one, and it
    protects from nothing in the time of a run.
    """
    elsewhere = (options.endpoint if options else None) or os.environ.get(ENDPOINT_VARIABLE)
    return {
        "scenarios": list(scenarios),
        "timeoutScale": timeout_scale,
        **({"redriveAllowPolicy": False} if elsewhere else {}),
    }


def _open_temporary_workspace(
    cleanup: ExitStack, overrides: Mapping[str, Any], options: Options | None, speed: float
) -> Workspace:
    # Between a directory's making and its locking no other run may take it for a leftover.
    with wait_for_lock(state_directory() / _TEMPORARY_LOCK):
        _clean_up_leftovers()
        name = f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}"
        workspace = cleanup.enter_context(open_workspace(name, overrides=overrides, options=options, speed=speed))
    cleanup.callback(workspace.dispose)
    return workspace


def _clean_up_leftovers() -> None:
    """Take down the temporary stacks whose owner was killed: no process holds their lock any more."""
    for directory in state_directory().glob(f"{TEMPORARY_PREFIX}*"):
        paths = StackPaths(directory)
        if is_locked(paths.lock):
            continue
        try:
            with open_workspace(directory.name) as workspace:
                workspace.dispose()
        except InfraError:
            continue  # it is busy, or cannot be deleted now: a later run tries again
