"""The consumer's environment variables: names, defaults and limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.consumer.options import ConsumerOptions
from services.faults import MAX_SECONDS, Fault
from services.settings import ServiceSettings

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MAX_WAIT_SECONDS = 20
MAX_RECEIVE = 10

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


class ConsumerSettings(ServiceSettings):
    """What a consumer reads, beside what every service reads. Each field is a variable of the same name."""

    wait_time_seconds: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)] = 10
    max_messages: Annotated[int, Field(ge=1, le=MAX_RECEIVE)] = 1
    message_limit: Count = 0
    idle_timeout_seconds: Seconds = 0.0
    reject_payload_marker: str = ""
    message_status_table: str = ""
    message_side_effects_table: str = ""
    idempotency_cache_size: Count = 1000
    business_idempotency_field: str = ""
    schema_version: Count = 0
    claim_lease_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)] | None = None
    min_lease_seconds: Seconds = 0.0
    heartbeat_seconds: Seconds = 0.0
    max_age_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    timestamp_field: str = "created_at"
    side_effect_log_path: str = ""
    side_effect_log_field: str = "sequence"
    crash_rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    crash_after_receive: Count = 0
    crash_after_side_effect: Count = 0
    side_effect_delay_seconds: Seconds = 0.0
    consumer: str = "services.consumer.consumer:Consumer"

    def options(self, owner: str) -> ConsumerOptions:
        """Return what the consumer's decisions depend on."""
        return ConsumerOptions(
            owner=owner,
            wait_seconds=self.wait_time_seconds,
            max_messages=self.max_messages,
            message_limit=self.message_limit,
            idle_timeout=self.idle_timeout_seconds,
            cache_size=self.idempotency_cache_size,
            reject_marker=self.reject_payload_marker,
            business_field=self.business_idempotency_field,
            schema_version=self.schema_version,
            claims=bool(self.message_status_table),
            ledger=bool(self.message_side_effects_table),
            lease_seconds=self.claim_lease_seconds,
            min_lease=self.min_lease_seconds,
            heartbeat_seconds=self.heartbeat_seconds,
            max_age=self.max_age_seconds,
            timestamp_field=self.timestamp_field,
            log_path=self.side_effect_log_path,
            log_field=self.side_effect_log_field,
        )

    def all_faults(self) -> tuple[Fault, ...]:
        """Return FAULTS and what the single variables stand for: the n-th receive or side effect is the last."""
        shorthand = (
            (self.crash_after_receive, Fault("crash", "Receive", nth=self.crash_after_receive)),
            (self.crash_after_side_effect, Fault("crash", "PerformSideEffect", nth=self.crash_after_side_effect)),
            (
                self.side_effect_delay_seconds,
                Fault("delay", "PerformSideEffect", nth=0, seconds=self.side_effect_delay_seconds),
            ),
        )
        return self.faults + tuple(fault for value, fault in shorthand if value)
