"""The two tables that make a consumer idempotent: our own bookkeeping, and the external system's ledger."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.aws_classes import aws

HASH_KEY = "message_id"


@dataclass(frozen=True, kw_only=True)
class IdempotencyTablesArgs:
    """What the tables are made of.

    Attributes:
        tags: The tags of both tables.
        time_to_live: The attribute of the status table that holds the second, since 1970, from which DynamoDB may
            delete an item; None keeps all. The external system's ledger keeps all in any case.
        kms_key: The ARN of the KMS key that encrypts both tables; None leaves it to DynamoDB.
    """

    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    time_to_live: pulumi.Input[str] | None = None
    kms_key: pulumi.Input[str] | None = None


class IdempotencyTables(pulumi.ComponentResource):
    """The status table and the side effects table.

    They are two because they belong to two systems that share no transaction: the status table says what we know,
    the side effects table what really happened.

    Attributes:
        status: STARTED or COMPLETED, the attempts, and who holds the claim until when.
        side_effects: What the external system was made to do, and how often.
    """

    def __init__(self, name: str, args: IdempotencyTablesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("queueFundamentals:infra:IdempotencyTables", name, None, opts)
        self.status = self._table(f"{name}-status", args, args.time_to_live)
        self.side_effects = self._table(f"{name}-side-effects", args)
        self.register_outputs({"statusTable": self.status.name, "sideEffectsTable": self.side_effects.name})

    def _table(
        self, name: str, args: IdempotencyTablesArgs, time_to_live: pulumi.Input[str] | None = None
    ) -> aws.dynamodb.Table:
        return aws.dynamodb.Table(
            name,
            attributes=[{"name": HASH_KEY, "type": "S"}],
            hash_key=HASH_KEY,
            # A lab's load comes in bursts with hours of nothing between them.
            billing_mode="PAY_PER_REQUEST",
            ttl=None if time_to_live is None else {"attribute_name": time_to_live, "enabled": True},
            server_side_encryption=None if args.kms_key is None else {"enabled": True, "kms_key_arn": args.kms_key},
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
