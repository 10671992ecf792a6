"""A small program whose topology a test changes from one deployment to the next."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.components import LambdaConsumer, LambdaConsumerArgs, QueueWithDeadLetters, QueueWithDeadLettersArgs
from tests.infra.engines.pulumi.labs import REGION


@dataclass(frozen=True)
class QueueEntry:
    """A queue with its dead-letter queue and their policies."""

    name: str
    fifo: bool = False
    visibility_timeout: int = 30
    max_receive_count: int = 3
    tag: str = "a"

    def declare(self, stack, provider):
        resources = QueueWithDeadLetters(
            f"{stack}-{self.name}",
            QueueWithDeadLettersArgs(
                fifo=self.fifo,
                visibility_timeout=self.visibility_timeout,
                receive_wait=1,
                max_receive_count=self.max_receive_count,
                tags={"tag": self.tag},
            ),
            opts=pulumi.ResourceOptions(provider=provider),
        )
        pulumi.export(self.name, {"url": resources.queue.url, "deadLetters": resources.dead_letter_queue.arn})


@dataclass(frozen=True)
class TableEntry:
    """A table."""

    name: str
    hash_key: str = "id"
    tag: str = "a"

    def declare(self, stack, provider):
        table = aws.dynamodb.Table(
            f"{stack}-{self.name}",
            attributes=[{"name": self.hash_key, "type": "S"}],
            hash_key=self.hash_key,
            billing_mode="PAY_PER_REQUEST",
            tags={"tag": self.tag},
            opts=pulumi.ResourceOptions(provider=provider),
        )
        pulumi.export(self.name, table.name)


@dataclass(frozen=True)
class BucketEntry:
    """A bucket."""

    name: str
    force_destroy: bool = False
    tag: str = "a"

    def declare(self, stack, provider):
        bucket = aws.s3.Bucket(
            f"{stack}-{self.name}",
            force_destroy=self.force_destroy,
            tags={"tag": self.tag},
            opts=pulumi.ResourceOptions(provider=provider),
        )
        pulumi.export(self.name, bucket.arn)


HANDLER = "def handler(event, context):\n    return {answer!r}\n"


@dataclass(frozen=True)
class LambdaEntry:
    """A queue and the function that consumes it."""

    name: str
    answer: str = "a"
    batch_size: int = 10
    maximum_concurrency: int | None = None
    pattern: str | None = None
    timeout: int = 3
    tag: str = "a"

    def declare(self, stack, provider):
        name = f"{stack}-{self.name}"
        opts = pulumi.ResourceOptions(provider=provider)
        queue = aws.sqs.Queue(name, opts=opts)
        consumer = LambdaConsumer(
            name,
            LambdaConsumerArgs(
                queue_arn=queue.arn,
                code=pulumi.AssetArchive({"app.py": pulumi.StringAsset(HANDLER.format(answer=self.answer))}),
                handler="app.handler",
                runtime="python3.11",
                timeout=self.timeout,
                batch_size=self.batch_size,
                maximum_concurrency=self.maximum_concurrency,
                filters=[] if self.pattern is None else [f'{{"body": {{"kind": ["{self.pattern}"]}}}}'],
                environment={"TAG": self.tag},
                tags={"tag": self.tag},
            ),
            opts=opts,
        )
        pulumi.export(self.name, {"url": queue.url, "function": consumer.function.arn})


def program_of(entries):
    """The program that declares these entries."""

    def program():
        provider = aws.Provider("aws", region=REGION)
        for entry in entries:
            entry.declare(pulumi.get_stack(), provider)

    return program
