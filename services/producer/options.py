"""The producer's options, each declared once (see ``services.variables``).

A field is an option of the command line, a keyword of the lab's ``produce``, and a row of the table in
docs/services.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from services.batches import MAX_ENTRIES
from services.errors import ConfigurationError
from services.variables import MAX_SECONDS, Count, OwnClock, variable

#: Bytes of a payload at the most; it is held in memory.
MAX_PAYLOAD = 100_000_000
#: Messages that one run sends at the most: all of them are made before the first is sent.
MAX_MESSAGES = 1_000_000
#: What each payload has, beside the fields that are asked for.
PAYLOAD_FIELDS = ("id", "work", "sequence")
SLOWEST_RATE = 1 / MAX_SECONDS


def flag(name: str) -> str:
    """Return the option of the command line that a field is."""
    return "--n" if name == "count" else f"--{name.replace('_', '-')}"


def _object(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
            json.dumps(value, allow_nan=False)  # which JSON does not have, though Python reads it
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, Mapping):
        raise ValueError("a JSON object")  # noqa: TRY004 - pydantic turns a ValueError into a refusal
    return value


def _possible_rate(rate: float) -> float:
    if 0 < rate < SLOWEST_RATE:
        raise ValueError(f"0, or 1/{MAX_SECONDS} or more")
    return rate


class MessagePlan(BaseModel):
    """Which messages there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=0, le=MAX_MESSAGES)] = variable(10, "messages to send")
    poison_count: Count = variable(0, "poison messages, at random indices")
    poison_every: Count = variable(
        0, "every N-th is poison (3: indices 2, 5, 8 ...); overrides `--poison-count`", "none"
    )
    groups: Count = variable(0, "message groups `g0`, `g1` ..., dealt in turn", "1 on FIFO, none on standard")
    group_by: str = variable(
        "", "the `MessageGroupId` is this field of the payload; on a standard queue it names the tenant"
    )
    entities: Count = variable(
        0, "entities `e0`, `e1` ... that the messages update in turn: payload fields `entity` and `version`", "none"
    )
    first_version: Annotated[int, Field(ge=1)] = variable(1, "the version of each entity's first message")
    deduplication: Literal["id", "content"] | None = variable(
        None, "FIFO only: by the payload's `id`, or `content` (SQS hashes the body)", "`id`"
    )
    fields: Annotated[Mapping[str, Any], BeforeValidator(_object)] = variable(
        {}, "a JSON object whose fields every payload gets", "none"
    )


class ProducerOptions(MessagePlan):
    """What a producer sends, and how."""

    rate: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_possible_rate)] = variable(
        0.0, "messages a second; 0 is as fast as possible"
    )
    batch_size: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = variable(MAX_ENTRIES, "messages a call, 1 to 10")
    purge_wait: Annotated[float | None, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False), OwnClock()] = variable(
        None, "empty the queue first, and wait so many seconds for the purge to be over; SQS says 60", "no purge"
    )
    timestamp_field: str = variable(
        "", "the payload field that gets the time at which a message is first offered, in seconds since the epoch"
    )
    payload_bytes: Annotated[int, Field(ge=0, le=MAX_PAYLOAD)] = variable(
        0, "upload a payload of so many bytes for each message to `PAYLOAD_BUCKET`, and send a reference"
    )

    def plan(self, *, fifo: bool) -> MessagePlan:
        """Return the messages' plan for a queue.

        Raises:
            ConfigurationError: two options contradict each other.
        """
        self._check(fifo=fifo)
        return self.model_copy(
            update={
                "groups": self.groups or (1 if fifo and not self.group_by else 0),
                "deduplication": (self.deduplication or "id") if fifo else None,
            }
        )

    def _check(self, *, fifo: bool) -> None:
        if self.poison_count > self.count and not self.poison_every:
            raise ConfigurationError(f"--poison-count is {self.poison_count}, but only {self.count} messages are sent.")
        if self.group_by and self.groups:
            raise ConfigurationError("--groups and --group-by both say whose each message is; give one of them.")
        if self.group_by and self.group_by not in (*PAYLOAD_FIELDS, *self.fields):
            raise ConfigurationError(
                f"--group-by names the field {self.group_by!r}, which no payload has; give it one with --fields."
            )
        if taken := sorted({*PAYLOAD_FIELDS, "poison"} & {*self.fields, self.timestamp_field}):
            raise ConfigurationError(f"The payload field {taken[0]!r} is the producer's own; give yours another name.")
        if self.deduplication and not fifo:
            raise ConfigurationError(
                "--deduplication is for FIFO queues, and the name of this queue does not end in .fifo."
            )
