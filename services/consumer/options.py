"""What a consumer is told: the part of its configuration that its decisions depend on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """A consumer's configuration, without anything that only the outside needs.

    Attributes:
        owner: the name under which claims are made; unique among the consumers of a queue.
        wait_seconds: how long a receive waits for its first message, 0 to 20 seconds.
        max_messages: how many messages a receive asks for, 1 to 10.
        message_limit: end after this many messages are done; 0 for no limit.
        idle_timeout: end after this many seconds without a message; 0 for never.
        cache_size: how many completed keys are remembered in memory; 0 for none.
        reject_marker: a body that contains this text is rejected; empty for none.
        business_field: the payload field by which a side effect is known; empty for the message's own id.
        schema_version: the newest version of the payload that a consumer of several knows; 0 for all that it can.
        claims: whether there is a status table.
        ledger: whether there is a side-effects table.
        lease_seconds: how long a claim holds, counted from the claim; None lets it end shortly before the message
            becomes visible again.
        min_lease: a message whose lease would end with its delivery, and be no longer than this many seconds, is not
            begun: the longest that one message's work takes, as far as that is known.
        heartbeat_seconds: how often work in hand is extended; 0 for never.
        max_age: a message that is older than this many seconds is stale; 0 for never. Only
            :class:`services.consumer.freshness.FreshnessConsumer` asks.
        timestamp_field: the payload field that says when a message was made.
        log_path: a file that gets one line a side effect; empty for none.
        log_field: the payload field that stands in that line.
    """

    owner: str
    wait_seconds: int = 10
    max_messages: int = 1
    message_limit: int = 0
    idle_timeout: float = 0.0
    cache_size: int = 1000
    reject_marker: str = ""
    business_field: str = ""
    schema_version: int = 0
    claims: bool = True
    ledger: bool = True
    lease_seconds: float | None = None
    min_lease: float = 0.0
    heartbeat_seconds: float = 0.0
    max_age: float = 0.0
    timestamp_field: str = "created_at"
    log_path: str = ""
    log_field: str = "sequence"
