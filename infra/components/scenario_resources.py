"""Everything that one scenario has to itself.

A queue with its dead-letter queue, the idempotency tables, and a bucket where the scenario wants one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.components.idempotency_tables import IdempotencyTables, IdempotencyTablesArgs
from infra.components.payload_bucket import PayloadBucket, PayloadBucketArgs
from infra.components.queue_with_dead_letters import QueueWithDeadLetters, QueueWithDeadLettersArgs


@dataclass(frozen=True, kw_only=True)
class ScenarioResourcesArgs:
    """What a scenario's resources are made of.

    Attributes:
        fifo: Whether its queues are FIFO queues.
        visibility_timeout: Seconds for which a received message stays invisible.
        receive_wait: Seconds that a receive waits for a message.
        max_receive_count: Receives after which the next one moves the message to the dead-letter queue.
        tags: The tags of every resource.
        redrive_allow_policy: Whether the dead-letter queue names the queue that it serves.
        bucket: Whether there is a bucket for what is too large for a message.
    """

    fifo: pulumi.Input[bool]
    visibility_timeout: pulumi.Input[int]
    receive_wait: pulumi.Input[int]
    max_receive_count: pulumi.Input[int]
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    redrive_allow_policy: bool = True
    bucket: bool = False


class ScenarioResources(pulumi.ComponentResource):
    """One scenario's isolated set of resources.

    Attributes:
        outputs: What a scenario needs to know to run, by the names of the stack's output.
        queue_arn: The queue that consumers read.
    """

    def __init__(self, name: str, args: ScenarioResourcesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("queueFundamentals:infra:ScenarioResources", name, None, opts)
        queues = QueueWithDeadLetters(
            name,
            QueueWithDeadLettersArgs(
                fifo=args.fifo,
                visibility_timeout=args.visibility_timeout,
                receive_wait=args.receive_wait,
                max_receive_count=args.max_receive_count,
                tags=args.tags,
                redrive_allow_policy=args.redrive_allow_policy,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.queue_arn = queues.queue.arn
        tables = IdempotencyTables(
            name, IdempotencyTablesArgs(tags=args.tags), opts=pulumi.ResourceOptions(parent=self)
        )
        self.outputs: dict[str, pulumi.Input[object]] = {
            "queueUrl": queues.queue.url,
            "queueArn": queues.queue.arn,
            "queueName": queues.queue.name,
            "deadLetterQueueUrl": queues.dead_letter_queue.url,
            "deadLetterQueueArn": queues.dead_letter_queue.arn,
            "deadLetterQueueName": queues.dead_letter_queue.name,
            "statusTable": tables.status.name,
            "sideEffectsTable": tables.side_effects.name,
            "visibilityTimeout": args.visibility_timeout,
            "receiveWait": args.receive_wait,
            "maxReceiveCount": args.max_receive_count,
            "fifo": args.fifo,
        }
        if args.bucket:
            payloads = PayloadBucket(name, PayloadBucketArgs(tags=args.tags), opts=pulumi.ResourceOptions(parent=self))
            self.outputs["bucket"] = payloads.bucket.bucket
        self.register_outputs(self.outputs)
