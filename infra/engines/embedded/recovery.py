"""What a killed run left half done is brought to a known end before the next one begins, and drift is found."""

from dataclasses import replace

from infra.engines.embedded.journal import Journal
from infra.engines.embedded.registrar import ProviderFactory
from infra.engines.engine import Observer
from infra.engines.plan import Operation, Plan, Step
from infra.engines.state import PendingKind, PendingOperation, ResourceState, provider_urn
from infra.provider.aws import PROVIDER_TYPE, AwsProvider
from infra.provider.values import PropertyValue, keep_secret, reveal


def end_pending_operations(journal: Journal, providers: ProviderFactory) -> None:
    """Find out what became of every operation that was begun and not ended, and put that into the state.

    A resource whose create was begun is taken over if it is there, and forgotten if not; one whose update was begun
    is read as it is now, so that the next diff compares with what is true.
    """
    for entry in journal.pending:
        region = _region_of_pending(journal, entry)
        if region is None:
            journal.give_up(entry.resource.urn)
        elif entry.kind is PendingKind.CREATING:
            _end_create(journal, providers(region), entry.resource)
        else:
            _end_update(journal, providers(region), entry.resource)


def refresh_resources(journal: Journal, providers: ProviderFactory, observer: Observer) -> Plan:
    """Hold every resource against what is really there: drop what is gone, take over what differs."""
    plan = Plan()
    for resource in journal.resources:
        step = _refresh(journal, providers, resource)
        plan.steps.append(step)
        observer(step)
    return plan


def _refresh(journal: Journal, providers: ProviderFactory, resource: ResourceState) -> Step:
    if not resource.custom or resource.type == PROVIDER_TYPE:
        return Step(Operation.SAME, resource.urn)
    region = str(reveal(resource.outputs)["region"])
    found = providers(region).read(resource.urn, resource.id, reveal(resource.inputs))
    if found is None:
        journal.remove(resource)
        return Step(Operation.DELETE, resource.urn)
    outputs = reveal(resource.outputs)
    changes = tuple(sorted(key for key in found.outputs if found.outputs[key] != outputs.get(key)))
    if changes and not resource.delete:
        journal.end(_as_found(resource, found.id, found.inputs, found.outputs))
        return Step(Operation.UPDATE, resource.urn, changes)
    return Step(Operation.SAME, resource.urn)


def _region_of_pending(journal: Journal, entry: PendingOperation) -> str | None:
    """The region of the provider that was at work; it stands in the state before anything that needs it."""
    provider = journal.current(provider_urn(entry.resource.provider))
    return None if provider is None else str(reveal(provider.inputs)["region"])


def _end_create(journal: Journal, provider: AwsProvider, resource: ResourceState) -> None:
    inputs = reveal(resource.inputs)
    made = provider.find(resource.urn, inputs)
    found = None if made is None else provider.read(resource.urn, made, inputs)
    if found is None:
        journal.give_up(resource.urn)
    else:
        journal.end(_as_found(resource, found.id, found.inputs, found.outputs))


def _end_update(journal: Journal, provider: AwsProvider, resource: ResourceState) -> None:
    found = provider.read(resource.urn, resource.id, reveal(resource.inputs))
    if found is None:
        journal.give_up(resource.urn)
    else:
        journal.end(_as_found(resource, found.id, found.inputs, found.outputs))


def _as_found(
    resource: ResourceState, identity: str, inputs: dict[str, PropertyValue], outputs: dict[str, PropertyValue]
) -> ResourceState:
    secret = frozenset(
        key for part in (resource.inputs, resource.outputs) for key, value in part.items() if value != reveal(value)
    )
    return replace(resource, id=identity, inputs=keep_secret(inputs, secret), outputs=keep_secret(outputs, secret))
