"""The real Pulumi engine, by the Automation API: the same program, the same plan, and Pulumi's own state.

::

    this process                               pulumi (the CLI)
    ┌───────────────────────┐  --client        ┌─────────────┐
    │ the program           │◀─────────────────│             │
    │                       │  --event-log     │ the engine  │── state ──▶ the backend
    │ plan, printed steps   │◀─────────────────│             │
    │                       │  PULUMI_DEBUG_   │             │
    │ the provider (gRPC)   │◀─────PROVIDERS───│             │
    └──────────┬────────────┘                  └─────────────┘
               └──▶ any AWS-compatible endpoint

On AWS itself nothing is served: the engine takes pulumi-aws's own plugin.
"""

import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pulumi import automation
from pulumi.automation._stack import StackInitMode  # exported nowhere else, and the constructor wants it

from infra.engines.engine import Deployment, Observer, ignore_steps
from infra.engines.plan import Plan
from infra.engines.pulumi.cli import cli_environment, drop_cut_attributes, find_cli, require_passphrase
from infra.engines.pulumi.events import Reporter
from infra.engines.pulumi.program import InlineProgram
from infra.engines.pulumi.recovery import Recovery, wait_for_unlock
from infra.engines.pulumi.snapshot import unreadable
from infra.errors import DeploymentError
from infra.provider.aws import AwsProvider
from infra.provider.creations import CreationLog
from infra.provider.servicer import serving_provider
from infra.provider.values import PropertyValue
from infra.provider_config import NAMESPACE, endpoint_in, endpoint_values
from infra.stack.names import directory_name
from infra.stack.paths import PROJECT_FILE, STATE_DIRECTORY, StackPaths

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")
_CUT = "failed to load checkpoint"
_UNREADABLE_PAUSES = (0.1, 0.3, 0.6)
_UNREADABLE = (_CUT, "could not deserialize", "snapshot integrity failure")
_INTEGRITY = re.compile(r"snapshot integrity failure; .*")


@dataclass(frozen=True)
class PulumiSettings:
    """How the engine is run.

    Attributes:
        directory: Where ``Pulumi.yaml`` and the stack's configuration file are: the engine reads them itself.
        backend_url: The backend that keeps the stacks.
        qualified_stack: The stack's name for the CLI, with an organization; empty for the deployment's own.
        serve_provider: Whether the engine gets our provider; else it takes pulumi-aws's own plugin.
        config: Values to be set in the configuration of the stack, by full key.
        guard: Values that say where a stack is which is not on AWS; ``up`` sets them and ``remove`` takes them away.
        environment: What the CLI's environment has beyond this process's own.
    """

    directory: Path
    backend_url: str
    qualified_stack: str = ""
    serve_provider: bool = True
    config: Mapping[str, str] = field(default_factory=dict)
    guard: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class PulumiEngine:
    """Deploys a program with the real engine. The caller holds the stack's lock.

    Args:
        deployment: What to deploy. Its configuration is what the engine reads itself, in the project's directory.
        settings: How to run the engine.
        warn: Where warnings go.

    Raises:
        DeploymentError: There is no CLI, or it is too old.
        ConfigError: There is no passphrase.
    """

    def __init__(
        self,
        deployment: Deployment,
        settings: PulumiSettings,
        *,
        warn: Callable[[str], None] = _LOG.warning,
    ) -> None:
        cli = find_cli()
        self._stack_file = settings.directory / f"Pulumi.{deployment.stack}.yaml"
        require_passphrase(settings.backend_url, self._stack_file, {**os.environ, **settings.environment})
        self._deployment = deployment
        self._program = InlineProgram(deployment.program)
        self._settings = settings
        self._warn = warn
        self._command = cli.command()
        self._name = settings.qualified_stack or deployment.stack
        directory = settings.directory / STATE_DIRECTORY / directory_name(self._name)
        self._creations = CreationLog(StackPaths(directory).creations)

    def preview(self, observer: Observer = ignore_steps) -> Plan:
        """Tell what an ``up`` would do. For a stack that is not there a scratch one is made elsewhere, and removed."""
        with _scratch_project(self._settings, self._deployment.stack) as scratch:
            settings = self._settings if self._exists(self._settings) else scratch
            with self._open(settings) as stack:
                if settings is scratch:
                    self._create(stack, settings)
                return self._run(stack, stack.preview, observer)

    def up(self, observer: Observer = ignore_steps) -> Plan:
        """Make what exists what the program describes."""
        with self._open(self._settings) as stack:
            try:
                self._recover(stack)
            except automation.StackNotFoundError:
                self._create(stack, self._settings)
            self._set_guard(stack)
            plan = self._run(stack, stack.up, observer)
        plan.outputs = self.outputs()
        return plan

    def refresh(self, observer: Observer = ignore_steps) -> Plan:
        """Make the state what exists."""
        if not self._exists(self._settings):
            return Plan()
        with self._open(self._settings) as stack:
            self._recover(stack)
            plan = self._run(stack, stack.refresh, observer)
        plan.outputs = self.outputs()
        return plan

    def destroy(self, observer: Observer = ignore_steps) -> Plan:
        """Delete everything that the state knows; the stack itself stays."""
        if not self._exists(self._settings):
            return Plan()
        with self._open(self._settings) as stack:
            self._recover(stack)
            return self._run(stack, stack.destroy, observer)

    def outputs(self) -> dict[str, PropertyValue]:
        """The outputs of the last ``up``; empty where there was none."""
        try:
            with self._sentences(Reporter(ignore_steps, self._warn), expected=automation.StackNotFoundError):
                text = self._cli("stack", "output", "--json", "--show-secrets")
        except automation.StackNotFoundError:
            return {}
        outputs: dict[str, PropertyValue] = json.loads(text)
        return outputs

    def remove(self, *, force: bool = False) -> None:
        """Remove the stack and its history from the backend, and its configuration file if nothing is set in it.

        Args:
            force: Even if the state knows resources: they went with their endpoint.
        """
        if not self._exists(self._settings):
            return
        with self._sentences(Reporter(ignore_steps, self._warn)):
            guard = self._guard_in_file()
            if guard:
                self._cli("config", "rm-all", *guard)
            self._cli("stack", "rm", "--yes", "--preserve-config", *(("--force",) if force else ()))
        self._creations.clear()
        if self._stack_file.exists() and not _sets_anything(self._stack_file):
            self._stack_file.unlink()

    def _set_guard(self, stack: automation.Stack) -> None:
        if not self._settings.guard or self._guard_in_file() == self._settings.guard:
            return
        values = {
            path: automation.ConfigValue(text)
            for key, value in self._settings.guard.items()
            for path, text in _leaves(key, value)
        }
        with self._sentences(Reporter(ignore_steps, self._warn)):
            stack.set_all_config(values, path=True)

    def _guard_in_file(self) -> dict[str, Any]:
        """The guard that an ``up`` has written into the stack's file; empty where all or a part is the user's own."""
        import yaml  # noqa: PLC0415 - heavy

        if not self._stack_file.exists():
            return {}
        config = (yaml.safe_load(self._stack_file.read_text(encoding="utf-8")) or {}).get("config") or {}
        url = endpoint_in({"endpoints": config.get(f"{NAMESPACE}endpoints")})
        guard = {} if url is None else endpoint_values(url)
        # `pulumi config set-all` writes flags as texts.
        return guard if all(_plain(config.get(key)) == _plain(value) for key, value in guard.items()) else {}

    @property
    def version(self) -> str:
        """The CLI's version."""
        return str(self._command.version)

    def _exists(self, settings: PulumiSettings) -> bool:
        try:
            with self._sentences(Reporter(ignore_steps, self._warn), expected=automation.StackNotFoundError):
                self._cli("stack", "output", "--json", settings=settings)
        except automation.StackNotFoundError:
            return False
        return True

    def _cli(self, *arguments: str, settings: PulumiSettings | None = None) -> str:
        used = settings or self._settings
        command = [*arguments, "--stack", self._name]
        return self._once_whole(lambda: self._command.run(command, str(used.directory), _environment(used))).stdout

    def _once_whole(self, operation: Callable[[], _T]) -> _T:
        """Do something again whose state could not be read: another CLI may be writing it, or was killed as it did."""
        for pause in _UNREADABLE_PAUSES:
            try:
                return operation()
            except automation.CommandError as error:
                if _CUT not in str(error):
                    raise
            time.sleep(pause)
            drop_cut_attributes(self._settings.backend_url, self._name)
        return operation()

    @contextmanager
    def _open(self, settings: PulumiSettings) -> Iterator[automation.Stack]:
        environment = _environment(settings)
        workspace = _Workspace(
            work_dir=str(settings.directory),
            program=self._program,
            env_vars=environment,
            pulumi_command=self._command,
        )
        stack = _Stack(self._name, workspace, StackInitMode.SELECT)
        if not settings.serve_provider:
            yield stack
            return
        with serving_provider(self._provider, self._creations) as port:
            workspace.env_vars = {**environment, "PULUMI_DEBUG_PROVIDERS": f"aws:{port}"}
            yield stack
        if settings is self._settings:
            self._creations.clear()

    def _provider(self, region: str) -> AwsProvider:
        return AwsProvider(region, endpoint_url=self._deployment.endpoint_url, login=self._deployment.login)

    def _create(self, stack: automation.Stack, settings: PulumiSettings) -> None:
        with self._sentences(Reporter(ignore_steps, self._warn)):
            stack.workspace.create_stack(stack.name)
            for key, value in settings.config.items():
                for path, text in _paths(key, value):
                    stack.set_config(path, automation.ConfigValue(text), path=path != key)

    def _recover(self, stack: automation.Stack) -> None:
        recovery = Recovery(stack, self._creations.read(), self._provider)
        with self._sentences(Reporter(ignore_steps, self._warn), expected=automation.StackNotFoundError):
            self._unlocked(stack, recovery.end_what_was_begun)
        if recovery.has_acted:
            self._run(stack, stack.refresh, ignore_steps)
        self._creations.clear()

    def _run(self, stack: automation.Stack, operation: Callable[..., Any], observer: Observer) -> Plan:
        reporter = Reporter(observer, self._warn)

        def attempt() -> None:
            reporter.errors.clear()  # those of an attempt that could not begin
            operation(on_event=reporter.on_event)

        with self._sentences(reporter), self._program.cleaned_up():
            self._unlocked(stack, attempt)
        return reporter.plan

    def _unlocked(self, stack: automation.Stack, operation: Callable[[], _T]) -> _T:
        try:
            return self._once_whole(operation)
        except automation.ConcurrentUpdateError as error:
            wait_for_unlock(str(error), stack.name, lambda: self._cancel(stack))
        return self._once_whole(operation)

    def _cancel(self, stack: automation.Stack) -> None:
        self._cli("cancel", "--yes")
        self._warn(f"The lock of a run on stack {stack.name} that was killed has been taken away.")

    @contextmanager
    def _sentences(
        self, reporter: Reporter, expected: type[Exception] | tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """Turn the CLI's complaints into one sentence."""
        try:
            yield
        except expected:
            raise
        except automation.CommandError as error:
            text = str(error)
            sentence = reporter.errors[0] if reporter.errors else _complaint(text)
            if any(sign in text for sign in _UNREADABLE):
                raise unreadable(self._name, self._settings.backend_url, sentence) from error
            raise DeploymentError(sentence) from error


class _Workspace(automation.LocalWorkspace):
    """A workspace that does not change which stack is the selected one for a person who calls ``pulumi``."""

    def select_stack(self, stack_name: str) -> None:
        del stack_name


class _Stack(automation.Stack):
    """A stack whose operations ask for no outputs and history afterwards: each would cost a call of the CLI."""

    def outputs(self) -> automation.OutputMap:
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary | None:
        del show_secrets
        return automation.UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")


def _environment(settings: PulumiSettings) -> dict[str, str]:
    return {**cli_environment(settings.backend_url, serve_provider=settings.serve_provider), **settings.environment}


@contextmanager
def _scratch_project(settings: PulumiSettings, stack: str) -> Iterator[PulumiSettings]:
    """A copy of the project's files with a backend of its own, for what must not leave anything behind."""
    with tempfile.TemporaryDirectory(prefix="queue-fundamentals-preview-") as name:
        scratch = Path(name)
        for file in (PROJECT_FILE, f"Pulumi.{stack}.yaml"):
            if (settings.directory / file).exists():
                shutil.copy(settings.directory / file, scratch / file)
        # The engine wants the program's directory to be there, though it does not run what is in it.
        (scratch / "infra").mkdir()
        (scratch / "backend").mkdir()
        yield replace(settings, directory=scratch, backend_url=f"file://{scratch / 'backend'}")


def _paths(key: str, value: str) -> Iterator[tuple[str, str]]:
    """A value as ``pulumi config set`` takes it: a list, which stands as JSON, entry by entry."""
    try:
        entries = json.loads(value)
    except ValueError:
        entries = None
    if isinstance(entries, list):
        yield from ((f"{key}[{place}]", str(entry)) for place, entry in enumerate(entries))
    else:
        yield key, value


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool) else value


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """A structured value as ``pulumi config set-all --path`` takes it, leaf by leaf."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(f"{path}.{key}", part)
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _leaves(f"{path}[{place}]", part)
    else:
        yield path, json.dumps(value) if isinstance(value, bool) else str(value)


def _sets_anything(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(not line.startswith(("encryptionsalt:", "#", "config: {}")) for line in lines if line)


def _complaint(text: str) -> str:
    """What the CLI complains of, out of all that it has printed."""
    integrity = _INTEGRITY.search(text)
    if integrity is not None:
        return integrity[0]
    lines = [line.strip().removeprefix("stderr: ") for line in text.splitlines()]
    complaints = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return complaints[-1] if complaints else " ".join(text.split())
