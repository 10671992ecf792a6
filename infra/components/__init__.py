"""Reusable components: a queue with its dead-letter queue, the idempotency tables, a scenario's whole set."""

from infra.components.idempotency_tables import IdempotencyTables, IdempotencyTablesArgs
from infra.components.queue_with_dead_letters import QueueWithDeadLetters, QueueWithDeadLettersArgs
from infra.components.scenario_resources import ScenarioResources, ScenarioResourcesArgs

__all__ = [
    "IdempotencyTables",
    "IdempotencyTablesArgs",
    "QueueWithDeadLetters",
    "QueueWithDeadLettersArgs",
    "ScenarioResources",
    "ScenarioResourcesArgs",
]
