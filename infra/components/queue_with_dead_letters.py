"""A queue, the dead-letter queue that it redrives to, and the two policies that tie them together."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.aws_classes import aws
from infra.topology import DELAY, MAX_MESSAGE_SIZE, RETENTION

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_RETENTION = 14 * 24 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class QueueWithDeadLettersArgs:
    """What a queue and its dead-letter queue are made of.

    Attributes:
        fifo: Whether both are FIFO queues; a dead-letter queue has its source's type.
        visibility_timeout: Seconds for which a received message stays invisible.
        receive_wait: Seconds that a receive without a wait of its own waits for a message.
        max_receive_count: Receives after which the next one moves the message to the dead-letter queue.
        tags: The tags of both queues.
        redrive_allow_policy: Whether the dead-letter queue names the queue that it serves; not every AWS-compatible
            endpoint has that.
        retention: Seconds that the queue keeps a message, 60 to 1,209,600.
        dead_letter_retention: The same of the dead-letter queue; at least the queue's own.
        delivery_delay: Seconds before a sent message can be received, 0 to 900.
        max_message_size: Bytes, 1,024 to 1,048,576.
        content_based_deduplication: FIFO only: whether SQS deduplicates by a hash of the body.
        kms_key: The id, alias or ARN of the KMS key that encrypts both queues; None leaves it to SQS.
        kms_data_key_reuse: Seconds that SQS uses a data key again, 60 to 86,400.
    """

    fifo: pulumi.Input[bool]
    visibility_timeout: pulumi.Input[int]
    receive_wait: pulumi.Input[int]
    max_receive_count: pulumi.Input[int]
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    redrive_allow_policy: bool = True
    retention: pulumi.Input[int] = RETENTION
    dead_letter_retention: pulumi.Input[int] = MAX_RETENTION
    delivery_delay: pulumi.Input[int] = DELAY
    max_message_size: pulumi.Input[int] = MAX_MESSAGE_SIZE
    content_based_deduplication: pulumi.Input[bool] | None = None
    kms_key: pulumi.Input[str] | None = None
    kms_data_key_reuse: pulumi.Input[int] | None = None


class QueueWithDeadLetters(pulumi.ComponentResource):
    """A queue that gives up on a message after a number of receives and keeps it in a queue of its own.

    The policies are resources of their own because they name each other's queue: as properties of the queues
    they would be a cycle.

    Attributes:
        queue: The queue that consumers read.
        dead_letter_queue: Where messages go that were received too often.
        redrive_policy: The policy on the queue; what waits for it finds the queue ready.
    """

    def __init__(self, name: str, args: QueueWithDeadLettersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("queueFundamentals:infra:QueueWithDeadLetters", name, None, opts)

        self.dead_letter_queue = aws.sqs.Queue(
            f"{name}-dlq",
            fifo_queue=args.fifo,
            # A standard queue's dead letters keep their first enqueue time: with the source's own retention
            # a message that was dead-lettered late would expire before anyone has looked at it.
            message_retention_seconds=args.dead_letter_retention,
            content_based_deduplication=args.content_based_deduplication,
            kms_master_key_id=args.kms_key,
            kms_data_key_reuse_period_seconds=args.kms_data_key_reuse,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.queue = aws.sqs.Queue(
            name,
            fifo_queue=args.fifo,
            visibility_timeout_seconds=args.visibility_timeout,
            receive_wait_time_seconds=args.receive_wait,
            # The defaults as well: a change by hand shows as a difference, in any engine.
            delay_seconds=args.delivery_delay,
            message_retention_seconds=args.retention,
            max_message_size=args.max_message_size,
            content_based_deduplication=args.content_based_deduplication,
            kms_master_key_id=args.kms_key,
            kms_data_key_reuse_period_seconds=args.kms_data_key_reuse,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        allow_policies = [self._allow_policy(f"{name}-dlq")] if args.redrive_allow_policy else []
        self.redrive_policy = aws.sqs.RedrivePolicy(
            name,
            queue_url=self.queue.url,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": self.dead_letter_queue.arn, "maxReceiveCount": args.max_receive_count}
            ),
            # A queue may only redrive to a dead-letter queue that allows it: when the queue is replaced, the
            # permission for the new one has to be there first.
            opts=pulumi.ResourceOptions(parent=self, depends_on=allow_policies),
        )
        self.register_outputs(
            {
                "queueUrl": self.queue.url,
                "queueArn": self.queue.arn,
                "deadLetterQueueUrl": self.dead_letter_queue.url,
                "deadLetterQueueArn": self.dead_letter_queue.arn,
            }
        )

    def _allow_policy(self, name: str) -> aws.sqs.RedriveAllowPolicy:
        return aws.sqs.RedriveAllowPolicy(
            name,
            queue_url=self.dead_letter_queue.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [self.queue.arn]}
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
