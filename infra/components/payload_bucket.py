"""The bucket that holds what is too large for a message, which then carries a reference to it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.aws_classes import aws


@dataclass(frozen=True, kw_only=True)
class PayloadBucketArgs:
    """What the bucket is made of.

    Attributes:
        tags: Its tags.
    """

    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]


class PayloadBucket(pulumi.ComponentResource):
    """A bucket of payloads.

    Attributes:
        bucket: The bucket; its name is in lower case.
    """

    def __init__(self, name: str, args: PayloadBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("queueFundamentals:infra:PayloadBucket", name, None, opts)
        self.bucket = aws.s3.Bucket(
            name,
            # A lab's objects hold no data of value, and an interrupted run leaves some.
            force_destroy=True,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"bucket": self.bucket.bucket})
