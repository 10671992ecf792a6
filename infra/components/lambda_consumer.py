"""A Lambda function that consumes a queue, with the role, the log group and the mapping that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from infra.aws_classes import aws

REPORT_ITEM_FAILURES = "ReportBatchItemFailures"
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
SQS_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")


@dataclass(frozen=True, kw_only=True)
class LambdaConsumerArgs:
    """What a function and its mapping are made of; the defaults are AWS's.

    Attributes:
        queue_arn: The queue that it consumes. Its visibility timeout is at least the function's timeout; AWS advises
            six times that, and the batching window.
        code: A zip file, a directory, or files.
        handler: ``module.function``.
        runtime: AWS's name of it.
        timeout: Seconds after which the function is killed.
        memory_size: MB.
        environment: The function's variables.
        reserved_concurrency: Invocations at once; -1 for a share of the account's. Fewer than ``maximum_concurrency``
            throttle the mapping, which can dead-letter messages that never ran.
        batch_size: Messages in a batch.
        batching_window: Seconds for which a batch is gathered; a batch above 10 needs at least 1.
        report_item_failures: Whether the handler's answer names the messages that failed.
        maximum_concurrency: Batches at once, 2 to 1,000; nothing for AWS's own limit.
        filters: Event filters as JSON texts; what none of them matches is deleted.
        log_retention: Days for which the log is kept.
        tags: The tags of every resource that can have some.
    """

    queue_arn: pulumi.Input[str]
    code: pulumi.Input[pulumi.Archive]
    handler: pulumi.Input[str]
    runtime: pulumi.Input[str] = "python3.12"
    timeout: pulumi.Input[int] = 3
    memory_size: pulumi.Input[int] = 128
    environment: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None
    reserved_concurrency: pulumi.Input[int] = -1
    batch_size: pulumi.Input[int] = 10
    batching_window: pulumi.Input[int] = 0
    report_item_failures: bool = True
    maximum_concurrency: pulumi.Input[int] | None = None
    filters: Sequence[pulumi.Input[str]] = ()
    log_retention: pulumi.Input[int] = 7
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)


class LambdaConsumer(pulumi.ComponentResource):
    """A function that consumes a queue.

    Attributes:
        function: The function.
        mapping: What polls the queue and invokes it.
        role: What the function, and the mapping for it, may do.
        log_group: Where its log goes.
    """

    def __init__(self, name: str, args: LambdaConsumerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("queueFundamentals:infra:LambdaConsumer", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        self.role = aws.iam.Role(
            name,
            assume_role_policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
            tags=args.tags,
            opts=own,
        )
        self.function = aws.lambda_.Function(
            name,
            role=self.role.arn,
            code=args.code,
            handler=args.handler,
            runtime=args.runtime,
            timeout=args.timeout,
            memory_size=args.memory_size,
            environment=None if args.environment is None else {"variables": args.environment},
            reserved_concurrent_executions=args.reserved_concurrency,
            tags=args.tags,
            opts=own,
        )
        # Lambda makes the group itself at the first line, and keeps its log for ever: so it is made beforehand.
        self.log_group = aws.cloudwatch.LogGroup(
            name,
            name=pulumi.Output.format("/aws/lambda/{0}", self.function.name),
            retention_in_days=args.log_retention,
            tags=args.tags,
            opts=own,
        )
        policy = aws.iam.RolePolicy(
            name,
            role=self.role.name,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": list(SQS_ACTIONS), "Resource": args.queue_arn},
                        {
                            "Effect": "Allow",
                            "Action": list(LOG_ACTIONS),
                            "Resource": pulumi.Output.format("{0}:*", self.log_group.arn),
                        },
                    ],
                }
            ),
            opts=own,
        )
        most = args.maximum_concurrency
        self.mapping = aws.lambda_.EventSourceMapping(
            name,
            event_source_arn=args.queue_arn,
            function_name=self.function.name,
            batch_size=args.batch_size,
            maximum_batching_window_in_seconds=args.batching_window,
            function_response_types=[REPORT_ITEM_FAILURES] if args.report_item_failures else [],
            scaling_config=None if most is None else {"maximum_concurrency": most},
            filter_criteria={"filters": [{"pattern": each} for each in args.filters]} if args.filters else None,
            tags=args.tags,
            # Lambda checks at the create that the role may read the queue; and the first line needs its log group.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, self.log_group]),
        )
        self.register_outputs(
            {
                "functionName": self.function.name,
                "functionArn": self.function.arn,
                "mapping": self.mapping.uuid,
                "logGroup": self.log_group.name,
            }
        )
