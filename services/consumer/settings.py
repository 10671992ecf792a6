"""The consumer's environment: its options, its tables, and what goes wrong on purpose."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from services.consumer.options import ConsumerOptions, ConsumerVariables
from services.faults import Fault
from services.settings import FaultVariables, ServiceSettings
from services.variables import Count, Seconds, variable


class CrashVariables(BaseModel):
    """The faults of a consumer that have a variable of their own."""

    crash_rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = variable(
        0.0, "the probability, per received message, of a crash while it is in hand"
    )
    crash_after_receive: Count = variable(0, "crash after the n-th receive that brought a message; 0 is never")
    crash_after_side_effect: Count = variable(
        0, "crash after the n-th side effect, before it is marked as completed; 0 is never"
    )
    side_effect_delay_seconds: Seconds = variable(0.0, "a slow external system: wait before each side effect")


class ConsumerFaults(CrashVariables, FaultVariables):
    """All that goes wrong with a consumer on purpose."""


class StorySettings(ConsumerVariables, CrashVariables):
    """The options that a scenario may set. The lab sets the rest: queue, tables, history, seed."""


class ConsumerSettings(ConsumerVariables, ConsumerFaults, ServiceSettings):
    """What a consumer reads from its environment. Each field is a variable of the same name."""

    model_config = ServiceSettings.model_config

    message_status_table: str = variable("", "the table of claims; without it nothing is claimed")
    message_side_effects_table: str = variable("", "the ledger; without it side effects leave no trace but the log")
    consumer: str = variable("services.consumer.consumer:Consumer", "the class that consumes: a subclass of yours")

    def options(self, owner: str) -> ConsumerOptions:
        """Return what the consumer's decisions depend on."""
        shared = {name: getattr(self, name) for name in ConsumerVariables.model_fields}
        return ConsumerOptions(
            owner=owner,
            claims=bool(self.message_status_table),
            ledger=bool(self.message_side_effects_table),
            **shared,
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
