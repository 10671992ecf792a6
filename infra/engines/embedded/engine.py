"""The embedded engine: evaluates the program in this process and calls the provider itself; nothing to install."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from infra.engines.embedded.journal import Journal
from infra.engines.embedded.recovery import end_pending_operations, refresh_resources
from infra.engines.embedded.registrar import ProviderFactory, Registrar, delete_resource
from infra.engines.engine import Deployment, Observer, ignore_steps
from infra.engines.plan import Operation, Plan, Step
from infra.engines.state import Snapshot, read_snapshot
from infra.errors import DeploymentError, InfraError
from infra.provider.aws import AwsProvider
from infra.provider.values import PropertyValue

_LOG = logging.getLogger(__name__)

PARALLEL = 8
"""Resources that are at work at once: more gains nothing from an endpoint of one thread."""
LOOK_EVERY = 0.1
"""Seconds of one wait: a signal that comes just before a wait begins does not cut it short."""


class EmbeddedEngine:
    """Deploys a program against its own state file. The caller holds the stack's lock.

    Args:
        deployment: What to deploy.
        state_path: The state file.
        endpoint_identity: What identifies the endpoint. Where the state was made at another one, its resources
            went with that: the state is taken as empty.
        warn: Where the program's warnings go.
    """

    def __init__(
        self,
        deployment: Deployment,
        state_path: Path,
        *,
        endpoint_identity: str | None = None,
        warn: Callable[[str], None] = _LOG.warning,
    ) -> None:
        self._deployment = deployment
        self._state_path = state_path
        self._endpoint_identity = endpoint_identity
        self._warn = warn

    def preview(self, observer: Observer = ignore_steps) -> Plan:
        """Tell what an ``up`` would do; neither the endpoint nor the state file is touched."""
        with self._providers() as providers:
            return self._evaluate(self._open(), providers, observer, preview=True)

    def up(self, observer: Observer = ignore_steps) -> Plan:
        """Make what exists what the program describes."""
        journal = self._open()
        with self._providers() as providers:
            try:
                end_pending_operations(journal, providers)
                return self._evaluate(journal, providers, observer, preview=False)
            finally:
                journal.flush()

    def refresh(self, observer: Observer = ignore_steps) -> Plan:
        """Make the state what exists."""
        journal = self._open()
        with self._providers() as providers:
            end_pending_operations(journal, providers)
            plan = refresh_resources(journal, providers, observer)
        plan.outputs = journal.snapshot().outputs
        return plan

    def destroy(self, observer: Observer = ignore_steps) -> Plan:
        """Delete everything that the state knows, dependants first."""
        journal = self._open()
        # What a full disk keeps in the state is deleted once more by the next run, for which nothing is no error.
        journal.go_on_without_room = True
        plan = Plan()
        with self._providers() as providers:
            end_pending_operations(journal, providers)
            for resource in reversed(journal.resources):
                delete_resource(journal, providers, resource)
                if not resource.delete:
                    step = Step(Operation.DELETE, resource.urn)
                    plan.steps.append(step)
                    observer(step)
        return plan

    def outputs(self) -> dict[str, PropertyValue]:
        """The outputs of the last ``up``; empty where there was none."""
        snapshot = read_snapshot(self._state_path)
        return {} if snapshot is None else snapshot.outputs

    def remove(self, *, force: bool = False) -> None:
        """Remove the state file."""
        del force
        self._state_path.unlink(missing_ok=True)

    def _open(self) -> Journal:
        snapshot = read_snapshot(self._state_path)
        if snapshot is None:
            snapshot = Snapshot(self._deployment.project, self._deployment.stack, self._endpoint_identity)
        if snapshot.endpoint != self._endpoint_identity:
            snapshot = snapshot.emptied(self._endpoint_identity)
        return Journal(self._state_path, snapshot)

    @contextmanager
    def _providers(self) -> Iterator[ProviderFactory]:
        made: dict[str, AwsProvider] = {}

        def provider_of(region: str) -> AwsProvider:
            # setdefault is atomic: two threads that come at once are given one and the same.
            return made.get(region) or made.setdefault(
                region,
                AwsProvider(region, endpoint_url=self._deployment.endpoint_url, login=self._deployment.login),
            )

        try:
            yield provider_of
        finally:
            for provider in made.values():
                provider.close()

    def _evaluate(self, journal: Journal, providers: ProviderFactory, observer: Observer, *, preview: bool) -> Plan:
        registrar = Registrar(journal, providers, observer, preview=preview)
        try:
            # In a context of its own: the SDK keeps its settings in context variables.
            contextvars.copy_context().run(_run_program, self._deployment, registrar, self._warn, preview)
        except InfraError as error:
            raise registrar.failure or error from None
        except Exception as error:
            if registrar.failure is not None:
                raise registrar.failure from None
            raise DeploymentError(f"The program failed: {type(error).__name__}: {error}") from error
        registrar.delete_the_rest()
        if not preview:
            journal.settle()
        return registrar.plan


def _run_program(deployment: Deployment, registrar: Registrar, warn: Callable[[str], None], preview: bool) -> None:
    from pulumi.runtime import config, settings  # noqa: PLC0415 - heavy: only an evaluation needs the SDK
    from pulumi.runtime.stack import run_in_stack  # noqa: PLC0415 - likewise

    from infra.engines.embedded.monitor import EmbeddedMonitor, EngineLog  # noqa: PLC0415 - likewise

    settings.ROOT.set(None)
    settings.configure(
        settings.Settings(
            project=deployment.project,
            stack=deployment.stack,
            monitor=EmbeddedMonitor(registrar, deployment.project, deployment.stack),
            engine=EngineLog(warn),
            parallel=PARALLEL,
            dry_run=preview,
            organization="organization",
        )
    )
    config.set_all_config(dict(deployment.config))

    async def evaluate() -> None:
        deployment.program()
        await _registered()

    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(PARALLEL, thread_name_prefix="register"))
    # The registrar keeps the failure; asyncio would report once more every task that it reached.
    loop.set_exception_handler(_stay_silent)
    evaluation = loop.create_task(run_in_stack(evaluate))
    outcome = _Outcome()
    # In a thread of its own: in this one a signal (Ctrl-C) would raise its exception anywhere in the SDK, which then
    # waits for ever for what it was just about to do. A second signal ends this wait too, and so it is not joined.
    thread = threading.Thread(target=_run_loop, args=(loop, evaluation, outcome), name="program", daemon=True)
    try:
        thread.start()
        outcome.wait()
    except BaseException:
        with suppress(RuntimeError):  # closed by now
            loop.call_soon_threadsafe(lambda: loop.create_task(_end(evaluation)))
        outcome.wait()
        raise
    if outcome.error is not None:
        raise outcome.error


class _Outcome:
    """How the program's thread came out. To wait for it takes no lock that a signal's exception could leave taken."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._known = False
        self._news: SimpleQueue[None] = SimpleQueue()

    def set(self, error: BaseException | None) -> None:
        """Say that the thread has ended, and by what error, if any."""
        self.error = error
        self._known = True
        self._news.put(None)

    def wait(self) -> None:
        """Wait until the thread has ended."""
        while not self._known:
            with suppress(Empty):
                self._news.get(timeout=LOOK_EVERY)


def _run_loop(loop: asyncio.AbstractEventLoop, evaluation: asyncio.Task[None], outcome: _Outcome) -> None:
    async def evaluated() -> None:
        await evaluation

    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(evaluated())
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is the other thread's to raise
        outcome.set(error)
    else:
        outcome.set(None)


async def _end(evaluation: asyncio.Task[None]) -> None:
    """End an evaluation: what a provider has begun is done, and nothing new is begun.

    Cancelled once, the SDK would still wait for what is under way, and for what then never comes, as the outputs of a
    stack whose registration has been cancelled.
    """
    while not evaluation.done():
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)


async def _registered() -> None:
    """Wait until what the SDK has under way is done, or a part of it has failed.

    The SDK does this too, but wakes for each task and then looks at all: the square of a program's size, which for a
    few hundred resources is a third of the time. What is not seen here it waits for afterwards.
    """
    while tasks := _tasks_of_the_sdk():
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if any(not task.cancelled() and task.exception() for task in done):
            return


def _tasks_of_the_sdk() -> set[asyncio.Task[Any]]:
    from pulumi.runtime import settings  # noqa: PLC0415 - as above

    manager = getattr(settings, "_get_rpc_manager", lambda: None)()
    under_way = (*getattr(manager, "rpcs", ()), *getattr(settings.SETTINGS, "outputs", ()))
    return {task for task in under_way if isinstance(task, asyncio.Task) and not task.done()}


def _stay_silent(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    del loop, context
