"""The consumer's options: what its decisions depend on, each declared once (see ``services.variables``).

A field is an environment variable, a keyword of the lab's ``start_consumer``, and a row of the table in
docs/services.md.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.batches import MAX_ENTRIES
from services.payload import business_fields
from services.variables import MAX_SECONDS, Count, OwnClock, Seconds, variable

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MAX_WAIT_SECONDS = 20


def _checked_fields(text: str) -> str:
    business_fields(text)
    return text


class ConsumerVariables(BaseModel):
    """The options that are variables of the consumer's environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wait_time_seconds: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)] = variable(10, "the long poll, 0 to 20")
    max_messages: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = variable(1, "messages a receive, 1 to 10")
    message_limit: Count = variable(0, "end after so many messages are done; 0 is never")
    idle_timeout_seconds: Seconds = variable(0.0, "end after so long without a message; 0 is never")
    idempotency_cache_size: Count = variable(1000, "completed keys in memory; the least recently used goes first")
    business_idempotency_field: Annotated[str, AfterValidator(_checked_fields)] = variable(
        "", "the payload field that names a side effect, such as `order_id`; several as `order_id,action`"
    )
    schema_version: Count = variable(
        0, "the newest payload version that `services.consumer.schema:SchemaConsumer` reads; 0 is all it can"
    )
    claim_lease_seconds: Annotated[float | None, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False), OwnClock()] = (
        variable(None, "how long a claim holds, from the claim", "90 % of the visibility timeout, from the receive")
    )
    min_lease_seconds: Annotated[float | None, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False), OwnClock()] = variable(
        None, "leave a message to its next delivery where its lease would be shorter", "10 % of the visibility timeout"
    )
    heartbeat_seconds: Seconds = variable(
        0.0, "extend visibility and claim of the messages in hand this often; 0 is never"
    )
    work_seconds: Seconds = variable(
        0.0, "work for so long before each side effect, and then make sure of the claim; 0 is no work"
    )
    max_age_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False), OwnClock()] = variable(
        0.0, "an older message is stale, for a consumer with a freshness rule; 0 is never"
    )
    timestamp_field: str = variable("created_at", "the payload field with a message's age, in seconds since the epoch")
    reject_payload_marker: str = variable("", "reject a body that contains this text")
    side_effect_log_path: str = variable("", "append one line to this file for each side effect")
    side_effect_log_field: str = variable("sequence", "the payload field that the line holds")


class ConsumerOptions(ConsumerVariables):
    """All that a consumer knows of its configuration.

    Attributes:
        owner: the name under which it claims; unique among the consumers of a queue.
        claims: whether there is a status table.
        ledger: whether there is a side-effects table.
    """

    owner: str
    claims: bool = True
    ledger: bool = True
