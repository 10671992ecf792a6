"""Our consumer as a Lambda handler: ``services.consumer.lambda_handler.handler``, on AWS as in the laboratory.

    for each record:  claim ─▶ look up side effect ─▶ perform it ─▶ complete
    the answer:       {"batchItemFailures": [what is not settled]}

The event source mapping receives and deletes; set ``ReportBatchItemFailures`` for it, or a failed message is deleted.
The handler needs nothing but boto3, which AWS's Python runtimes have. The consumer's own variables configure it.

A claim holds until the invocation's deadline. AWS kills the function there, and the visibility timeout is not shorter.
So the next delivery finds the claim expired: it neither waits for a dead function, nor works beside a living one.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from services import runtime
from services.classes import load_class
from services.consumer.consumer import Consumer, Outcome
from services.consumer.patterns import Pattern
from services.errors import ConfigurationError
from services.operations import Message, QueueFacts, ReadClock, Task

if TYPE_CHECKING:
    from services.consumer.options import ConsumerOptions
    from services.drivers.base import Driver

#: How the name of a FIFO queue ends.
FIFO_SUFFIX = ".fifo"
#: The memory of a handler: completed keys. An environment lives for minutes or hours.
CACHE_SIZE = 1000

Answer = Any


class Context(Protocol):
    """What the handler uses of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Return milliseconds until the deadline."""


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """The consumer's options that concern a handler; see ``services.consumer.options`` for what they mean."""

    owner: str
    claims: bool = True
    ledger: bool = True
    business_idempotency_field: str = ""
    reject_payload_marker: str = ""
    idempotency_cache_size: int = CACHE_SIZE
    claim_lease_seconds: float | None = None
    min_lease_seconds: float | None = None
    side_effect_log_path: str = ""
    side_effect_log_field: str = "sequence"
    #: A function works as long as its code does: none of the work that the lab asks of a consumer that polls.
    work_seconds: ClassVar[float] = 0.0

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> HandlerOptions:
        """Return the options that environment variables give.

        Raises:
            ConfigurationError: a number is none, or both tables are one.
        """
        status, ledger = variables.get("MESSAGE_STATUS_TABLE", ""), variables.get("MESSAGE_SIDE_EFFECTS_TABLE", "")
        if status and status == ledger:
            raise ConfigurationError(
                f"MESSAGE_STATUS_TABLE and MESSAGE_SIDE_EFFECTS_TABLE are both {status!r}; our own bookkeeping and the "
                "external system's ledger are two tables."
            )
        return cls(
            # Each environment is another owner: a name may be used again after a crash.
            owner=f"{variables.get('AWS_LAMBDA_FUNCTION_NAME', 'handler')}-{uuid.uuid4().hex[:8]}",
            claims=bool(status),
            ledger=bool(ledger),
            business_idempotency_field=variables.get("BUSINESS_IDEMPOTENCY_FIELD", ""),
            reject_payload_marker=variables.get("REJECT_PAYLOAD_MARKER", ""),
            idempotency_cache_size=int(_number(variables, "IDEMPOTENCY_CACHE_SIZE") or CACHE_SIZE),
            claim_lease_seconds=_number(variables, "CLAIM_LEASE_SECONDS"),
            min_lease_seconds=_number(variables, "MIN_LEASE_SECONDS"),
            side_effect_log_path=variables.get("SIDE_EFFECT_LOG_PATH", ""),
            side_effect_log_field=variables.get("SIDE_EFFECT_LOG_FIELD", "sequence"),
        )


class LambdaConsumer(Consumer):
    """Handle the records of one event, each on its own, and name those that are not settled."""

    #: The poller is AWS's, so no promise about the queue's calls is the handler's.
    follows = frozenset({Pattern.CLAIMS, Pattern.LEDGER_LOOK, Pattern.GROUPS_IN_A_BATCH})
    #: Starts a task beside the handler. Lambda freezes it between invocations, and it ends with its environment.
    beside: Callable[[Task[Any]], None]

    def handle_event(self, messages: Sequence[Message], *, remaining: float, fifo: bool) -> Task[Answer]:
        """Handle a batch; return what the handler returns.

        On a FIFO queue the rest of a message group waits for what has failed: it is returned with it.

        Args:
            messages: the records of the event, in its order.
            remaining: seconds until the invocation's deadline.
            fifo: whether the queue keeps order.
        """
        now = yield ReadClock()
        # The lease ends with the deadline: no margin is left for the queue, whose timeout is not shorter.
        self._facts = QueueFacts(visibility_timeout=0, fifo=fifo)
        self._in_hand = []
        failed: list[Message] = []
        stopped_groups: set[str | None] = set()
        for message in messages:
            if message.group in stopped_groups:
                failed.append(message)
                continue
            delivery = self.open(message, now + remaining)
            outcome: Outcome = self.reject(delivery) if delivery.rejection else (yield from self.handle(delivery))
            yield self._handled(delivery, outcome)
            if outcome.settled:
                continue
            failed.append(message)
            if fifo and self.stops_group(outcome):
                stopped_groups.add(message.group)
        return self.answer(messages, failed)

    def answer(self, _received: Sequence[Message], failed: Sequence[Message]) -> Answer:
        """Return the partial batch response.

        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
        """
        return {"batchItemFailures": [{"itemIdentifier": message.message_id} for message in failed]}


def handler(event: Mapping[str, Any], context: Context) -> Answer:
    """Handle an event of an SQS event source mapping."""
    consumer, driver = _environment()
    records = event["Records"]
    messages = [message_of(record) for record in records]
    fifo = bool(records) and records[0]["eventSourceARN"].endswith(FIFO_SUFFIX)
    remaining = context.get_remaining_time_in_millis() / 1000
    return runtime.step(consumer.handle_event(messages, remaining=remaining, fifo=fifo), driver)


def message_of(record: Mapping[str, Any]) -> Message:
    """Return the message that a record of an event is."""
    attributes = record["attributes"]
    return Message(
        record["messageId"],
        record["receiptHandle"],
        record["body"],
        int(attributes["ApproximateReceiveCount"]),
        attributes.get("MessageGroupId"),
        attributes.get("SequenceNumber"),
    )


def make_consumer(options: HandlerOptions, kind: type[LambdaConsumer] = LambdaConsumer) -> LambdaConsumer:
    """Return a consumer with a handler's options."""
    # They are the options by the same names that a handler can have; the model of all needs more than boto3.
    return kind(cast("ConsumerOptions", options))


_made: list[tuple[LambdaConsumer, Driver]] = []


def _environment() -> tuple[LambdaConsumer, Driver]:
    """Return what lives as long as the execution environment: the consumer with its memory, and the clients."""
    if not _made:
        variables = os.environ
        logging.getLogger("services").setLevel(variables.get("LOG_LEVEL", "INFO"))
        spec = variables.get("CONSUMER", "")
        kind = load_class(spec, LambdaConsumer, f"CONSUMER is {spec!r}, which") if spec else LambdaConsumer
        consumer = make_consumer(HandlerOptions.of_environment(variables), kind)
        driver = _driver(variables)
        consumer.beside = lambda task: runtime.start_beside(task, driver)
        _made.append((consumer, driver))
    return _made[0]


def _driver(variables: Mapping[str, str]) -> Driver:
    # A simulation, which steps the consumer alone, needs none of these.
    import boto3  # noqa: PLC0415

    from services.drivers.aws import AwsDriver  # noqa: PLC0415
    from services.drivers.store import Store  # noqa: PLC0415

    status, ledger = variables.get("MESSAGE_STATUS_TABLE", ""), variables.get("MESSAGE_SIDE_EFFECTS_TABLE", "")
    dynamodb = boto3.client("dynamodb") if status or ledger else None
    # The mapping receives and deletes: a handler has no business with the queue.
    return AwsDriver(None, Store(dynamodb, status, ledger), threading.Event())


def _number(variables: Mapping[str, str], name: str) -> float | None:
    text = variables.get(name, "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{name} is {text!r}, and must be a number.") from None


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _environment()  # in the init, for which AWS gives more time than a short function timeout does
