"""Reusable components: a queue with its dead letters, tables, a bucket, a Lambda consumer, a scenario's whole set."""

from infra.components.idempotency_tables import IdempotencyTables, IdempotencyTablesArgs
from infra.components.lambda_consumer import LambdaConsumer, LambdaConsumerArgs
from infra.components.payload_bucket import PayloadBucket, PayloadBucketArgs
from infra.components.queue_with_dead_letters import QueueWithDeadLetters, QueueWithDeadLettersArgs
from infra.components.scenario_resources import ScenarioResources, ScenarioResourcesArgs

__all__ = [
    "IdempotencyTables",
    "IdempotencyTablesArgs",
    "LambdaConsumer",
    "LambdaConsumerArgs",
    "PayloadBucket",
    "PayloadBucketArgs",
    "QueueWithDeadLetters",
    "QueueWithDeadLettersArgs",
    "ScenarioResources",
    "ScenarioResourcesArgs",
]
