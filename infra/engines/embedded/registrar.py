"""What the embedded engine does with each resource that the program registers, and with those that it does not."""

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from infra.engines.embedded.goal import Goal
from infra.engines.embedded.journal import Journal
from infra.engines.engine import Observer
from infra.engines.plan import Operation, Plan, Step
from infra.engines.state import STACK_TYPE, PendingKind, ResourceState, provider_urn
from infra.errors import DeploymentError, InfraError, ProviderError
from infra.provider.aws import (
    PROVIDER_TYPE,
    AwsProvider,
    check_provider_config,
    diff_provider_config,
    failures_sentence,
)
from infra.provider.lifecycle import DiffResult
from infra.provider.values import PropertyValue, keep_secret, reveal

ProviderFactory = Callable[[str], AwsProvider]
"""Gives the provider of a region."""
SEED_BYTES = 32
"""As many random bytes as the real engine hands to each check."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the program is told of a resource that it registered; in a preview the id may be empty."""

    urn: str
    id: str
    outputs: Mapping[str, PropertyValue]


class Registrar:
    """Brings one resource after the other to its goal; called from several threads.

    After the first failure it takes no more: what is under way comes to its end, and is in the state.

    Args:
        journal: The state.
        providers: Gives the provider of a region.
        observer: Is told of each step.
        preview: Whether to tell only what would be done.
    """

    def __init__(self, journal: Journal, providers: ProviderFactory, observer: Observer, *, preview: bool) -> None:
        self.plan = Plan()
        self.failure: InfraError | None = None
        self._journal = journal
        self._providers = providers
        self._observer = observer
        self._preview = preview
        self._regions: dict[str, str] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def register(self, goal: Goal) -> Registered:
        """Bring a resource to its goal.

        Raises:
            InfraError: It cannot be done, or something before it could not.
        """
        with self._lock:
            if self.failure is not None:
                raise DeploymentError("Something before it failed.")
            if goal.urn in self._seen:
                raise DeploymentError(f"The program registers {goal.urn} twice; give one of the two another name.")
            self._seen.add(goal.urn)
        if not goal.custom:
            return self._register_component(goal)
        if goal.type == PROVIDER_TYPE:
            return self._register_provider(goal)
        return self._register_resource(goal)

    def register_outputs(self, urn: str, outputs: Mapping[str, PropertyValue]) -> None:
        """Take over the outputs of a component; those of the stack are the program's own."""
        if urn.split("::")[2] == STACK_TYPE:
            self.plan.outputs = dict(outputs)
        component = self._journal.current(urn)
        if component is not None and not self._preview:
            self._journal.note(replace(component, outputs=outputs))

    def fail(self, error: InfraError) -> None:
        """Take no more; the first failure is the one that counts."""
        with self._lock:
            self.failure = self.failure or error

    def delete_the_rest(self) -> None:
        """Delete what was replaced and what the program does not describe any more, dependants first."""
        for resource in reversed(self._journal.resources):
            if resource.delete or resource.urn not in self._seen:
                if not self._preview:
                    delete_resource(self._journal, self._providers, resource)
                if not resource.delete:
                    self._done(Operation.DELETE, resource.urn)

    def _register_component(self, goal: Goal) -> Registered:
        old = self._journal.current(goal.urn)
        component = self._state_of(goal, "", goal.inputs, old.outputs if old else {})
        if old is None:
            self._note(component)
            self._done(Operation.CREATE, goal.urn)
        elif old.inputs != goal.inputs:
            self._note(component)
            self._done(Operation.UPDATE, goal.urn, _changed(old.inputs, goal.inputs))
        else:
            self._note(component)
            self._done(Operation.SAME, goal.urn)
        return Registered(goal.urn, "", goal.inputs)

    def _register_provider(self, goal: Goal) -> Registered:
        inputs = reveal(goal.inputs)
        failures = check_provider_config(inputs).failures
        if failures:
            raise DeploymentError(failures_sentence(goal.urn, failures))
        with self._lock:
            self._regions[goal.urn] = inputs["region"]
        self._providers(inputs["region"]).configure(inputs, ask=not self._preview)
        old = self._journal.current(goal.urn)
        diff = diff_provider_config(reveal(old.inputs), inputs) if old else DiffResult()
        if old is not None and not diff.replaces:
            identity, operation = old.id, Operation.UPDATE if diff.changes else Operation.SAME
        else:
            identity = "" if self._preview else str(uuid.uuid4())
            operation = Operation.CREATE if old is None else Operation.REPLACE
        self._note(self._state_of(goal, identity, inputs, inputs))
        self._done(operation, goal.urn, diff.changes)
        return Registered(goal.urn, identity, inputs)

    def _register_resource(self, goal: Goal) -> Registered:
        provider = self._provider_of(goal)
        old = self._journal.current(goal.urn)
        inputs = self._checked(provider, goal, reveal(old.inputs) if old else {})
        if old is None:
            return self._create(provider, goal, inputs, Operation.CREATE, ())
        diff = provider.diff(goal.urn, reveal(old.inputs), inputs)
        replaces = diff.replaces if old.provider == goal.provider else ("provider", *diff.replaces)
        if diff.delete_before_replace:
            raise DeploymentError(
                f"{goal.type} {goal.urn.rsplit('::', 1)[-1]} has a name of its own and cannot be replaced while it "
                "has it: give it another name, or none, so that one is chosen."
            )
        if replaces:
            fresh = self._checked(provider, goal, {})
            changes = tuple(sorted({*diff.changes, *replaces}))
            return self._create(provider, goal, fresh, Operation.REPLACE, changes)
        if diff.changes:
            return self._update(provider, goal, old, inputs, diff.changes)
        self._note(self._state_of(goal, old.id, old.inputs, old.outputs))
        self._done(Operation.SAME, goal.urn)
        return Registered(goal.urn, old.id, old.outputs)

    def _create(
        self,
        provider: AwsProvider,
        goal: Goal,
        inputs: Mapping[str, PropertyValue],
        operation: Operation,
        changes: tuple[str, ...],
    ) -> Registered:
        if not self._preview:
            self._journal.begin(PendingKind.CREATING, self._state_of(goal, "", inputs, {}))
        try:
            created = provider.create(goal.urn, inputs, preview=self._preview)
        except ProviderError:
            self._forget_if_nothing_was_made(provider, goal, inputs)
            raise
        outputs = keep_secret(created.outputs, goal.secret_outputs)
        if not self._preview:
            self._journal.end(self._state_of(goal, created.id, inputs, outputs))
        self._done(operation, goal.urn, changes)
        return Registered(goal.urn, created.id, outputs)

    def _update(
        self,
        provider: AwsProvider,
        goal: Goal,
        old: ResourceState,
        inputs: Mapping[str, PropertyValue],
        changes: tuple[str, ...],
    ) -> Registered:
        if not self._preview:
            # The old inputs stay in the state, the new ones in the pending operation: after a crash in between only
            # the endpoint can tell which of the two hold.
            self._journal.begin(PendingKind.UPDATING, self._state_of(goal, old.id, inputs, old.outputs))
        updated = provider.update(goal.urn, old.id, reveal(old.inputs), inputs, preview=self._preview)
        outputs = keep_secret({**old.outputs, **updated} if self._preview else updated, goal.secret_outputs)
        if not self._preview:
            self._journal.end(self._state_of(goal, old.id, inputs, outputs))
        self._done(Operation.UPDATE, goal.urn, changes)
        return Registered(goal.urn, old.id, outputs)

    def _forget_if_nothing_was_made(
        self, provider: AwsProvider, goal: Goal, inputs: Mapping[str, PropertyValue]
    ) -> None:
        """Forget a pending create that was refused; where the endpoint cannot tell, the next run will ask again."""
        if self._preview:
            return
        try:
            made = provider.find(goal.urn, inputs)
        except InfraError:
            return
        if made is None:
            self._journal.give_up(goal.urn)

    def _checked(
        self, provider: AwsProvider, goal: Goal, olds: Mapping[str, PropertyValue]
    ) -> dict[str, PropertyValue]:
        result = provider.check(goal.urn, olds, reveal(goal.inputs), os.urandom(SEED_BYTES))
        if result.failures:
            raise DeploymentError(failures_sentence(goal.urn, result.failures))
        return result.inputs

    def _provider_of(self, goal: Goal) -> AwsProvider:
        region = self._regions.get(provider_urn(goal.provider))
        if region is None:
            raise DeploymentError(
                f"{goal.type} {goal.urn.rsplit('::', 1)[-1]} has no provider: give it, or its parent, an aws.Provider."
            )
        return self._providers(region)

    def _state_of(
        self, goal: Goal, identity: str, inputs: Mapping[str, PropertyValue], outputs: Mapping[str, PropertyValue]
    ) -> ResourceState:
        return ResourceState(
            urn=goal.urn,
            type=goal.type,
            custom=goal.custom,
            id=identity,
            inputs=keep_secret(inputs, goal.secret_outputs),
            outputs=outputs,
            parent=goal.parent,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
            provider=goal.provider,
        )

    def _note(self, resource: ResourceState) -> None:
        if not self._preview:
            self._journal.note(resource)

    def _done(self, operation: Operation, urn: str, changes: tuple[str, ...] = ()) -> None:
        step = Step(operation, urn, changes)
        with self._lock:
            self.plan.steps.append(step)
            self._observer(step)


def delete_resource(journal: Journal, providers: ProviderFactory, resource: ResourceState) -> None:
    """Delete a resource and drop it from the state. Killed in between, the next run deletes what is gone: no error."""
    if resource.custom and resource.type != PROVIDER_TYPE:
        inputs = reveal(resource.inputs)
        providers(region_of(resource)).delete(resource.urn, resource.id, inputs)
    journal.remove(resource)


def region_of(resource: ResourceState) -> str:
    """The region that a resource was made in."""
    return str(reveal(resource.outputs)["region"])


def _changed(old: Mapping[str, PropertyValue], new: Mapping[str, PropertyValue]) -> tuple[str, ...]:
    return tuple(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))
