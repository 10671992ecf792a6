"""SQS as a pure state machine: the clock and the randomness are handed in, and there is no I/O.

The embedded endpoint puts an HTTP face on it; a simulation uses it directly::

    model = SqsModel(clock=lambda: scheduler.now, rng=Random(7))
    model.create_queue("orders", {"VisibilityTimeout": "2"})
    model.send("orders", MessageDraft("hello"))
    for delivery in model.receive("orders", ReceiveRequest(max_messages=10)):
        model.delete("orders", delivery.receipt_handle)

A long poll is the caller's: it receives with ``long_poll=True``, and if nothing came it tries again at
``next_visible_at(name)``, or when ``on_available`` is called with the queue, until its own deadline.

Message move tasks go on whenever the model is called; a caller that needs them to go on without a call steps in with
``advance()`` at ``next_move_at()``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Final

from infra.localaws.sqs.attributes import QueueAttributes, is_arn
from infra.localaws.sqs.content import MessageDraft, check_content
from infra.localaws.sqs.errors import (
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameterValue,
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
    ResourceNotFound,
)
from infra.localaws.sqs.eventual_consistency import EventualConsistency
from infra.localaws.sqs.fifo import FifoQueue, check_group
from infra.localaws.sqs.limits import MAX_LISTED_MOVE_TASKS, MAX_MOVES_PER_SECOND, MAX_QUEUE_NAME_LENGTH
from infra.localaws.sqs.memory import TimedMemory
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.moves import MoveTask, MoveTasks
from infra.localaws.sqs.permissions import with_permission, without_permission
from infra.localaws.sqs.queue import (
    Observer,
    Queue,
    QueueIdentity,
    ReceiveRequest,
    Sent,
    Surroundings,
    check_visibility,
)
from infra.localaws.sqs.rates import DeliveryRates
from infra.localaws.sqs.standard import StandardQueue
from infra.localaws.sqs.throughput import FifoThroughput

ACCOUNT: Final = "000000000000"
FIFO_SUFFIX: Final = ".fifo"


class SqsModel:
    """The queues of one account in one region.

    Args:
        clock: returns seconds since the epoch; it must never run backwards.
        rng: draws message ids, and chooses deliveries unless ``random_for`` does.
        region: AWS's name of the region.
        account: the account's id, 12 digits.
        observer: is told of every change of state (see ``Observer``); None costs nothing.
        rates: how far new standard queues stray from a list.
        random_for: gives each new queue, by its name, its own source of randomness, so that what one queue
            delivers does not depend on the calls to another.
        on_available: called with a queue whenever a receive that found nothing may now find something earlier
            than ``next_visible_at`` said.
        consistency: how long purges, counts and names take to settle.
        limits_fifo: whether FIFO queues take no more calls a second than AWS's do; ``admit`` counts them.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        rng: Random,
        region: str = "us-west-1",
        account: str = ACCOUNT,
        observer: Observer | None = None,
        rates: DeliveryRates | None = None,
        random_for: Callable[[str], Random] | None = None,
        on_available: Callable[[Queue], None] | None = None,
        consistency: EventualConsistency | None = None,
        limits_fifo: bool = False,
    ) -> None:
        self.region = region
        self.account = account
        self._clock = clock
        self._rng = rng
        self._rates = DeliveryRates() if rates is None else rates
        self._random_for = random_for or (lambda _: rng)
        self._queues: dict[str, Queue] = {}
        self._consistency = EventualConsistency() if consistency is None else consistency
        self._deleted: TimedMemory[str, bool] = TimedMemory(self._consistency.name_reuse)
        self._throughput = FifoThroughput(region) if limits_fifo else None
        self._created = 0
        self._moves = MoveTasks(self._by_arn)
        self._surroundings = Surroundings(
            self._new_message_id, self._dead_letter_queue, observer, on_available, self._consistency
        )

    def now(self) -> float:
        """Return the clock's time, in seconds since the epoch."""
        return self._clock()

    @property
    def limits_fifo(self) -> bool:
        """Whether FIFO queues take no more calls a second than AWS's do."""
        return self._throughput is not None

    def admit(self, name: str, action: str) -> None:
        """Count a call of an action on a queue: the caller's, before it begins, since a batch is one call.

        Raises:
            QueueDoesNotExist: there is none of this name.
            RequestThrottled: a FIFO queue has had as many in the last second as it takes.
        """
        if self._throughput is not None:
            self._throughput.admit(self.queue(name), action, self._clock())

    # Queues

    def create_queue(
        self, name: str, attributes: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> Queue:
        """Create a queue, or return the one that exists with the same attributes.

        Raises:
            InvalidParameterValue: a malformed name or redrive policy.
            InvalidAttributeName, InvalidAttributeValue: an attribute is not known, or its value is not valid.
            QueueNameExists: the queue exists with another value of a given attribute.
            QueueDeletedRecently: a queue of this name was deleted within 60 seconds.
        """
        texts = dict(attributes or {})
        fifo = _check_name(name, texts.pop("FifoQueue", None))
        now = self._clock()
        existing = self._queues.get(name)
        if existing is not None:
            _check_same_attributes(existing, texts)
            return existing
        if self._deleted.get(name, now):
            raise QueueDeletedRecently(
                f"You must wait {self._consistency.name_reuse:.0f} seconds after deleting a queue before you can "
                "create another with the same name."
            )
        wanted = _wanted(fifo, tuple(texts.items()))
        identity = QueueIdentity(name, self.arn(name), self._created + 1, now)
        self._check_redrive(wanted, identity.arn, texts.get("RedrivePolicy", ""))
        self._created += 1
        kind = FifoQueue if fifo else StandardQueue
        queue = kind(identity, wanted, self._surroundings, self._random_for(name), self._rates, dict(tags or {}))
        self._queues[name] = queue
        if observer := self._surroundings.observer:
            observer("queue-created", name, {})
        return queue

    def queue(self, name: str) -> Queue:
        """Return a queue, with what its move tasks have done by now.

        Raises:
            QueueDoesNotExist: there is none of this name.
        """
        if self._moves.any_active:
            self._moves.advance(self._clock())
        queue = self._queues.get(name)
        if queue is None:
            raise QueueDoesNotExist
        return queue

    def has_queue(self, name: str) -> bool:
        """Tell whether there is a queue of this name."""
        return name in self._queues

    def queue_names(self, prefix: str = "") -> list[str]:
        """Return the names that begin with ``prefix``, sorted."""
        return sorted(name for name in self._queues if name.startswith(prefix))

    def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages; the name can be used again after 60 seconds."""
        queue = self.queue(name)
        del self._queues[name]
        self._moves.forget(queue.identity.arn)
        if self._throughput is not None:
            self._throughput.forget(name)
        self._deleted.put(name, True, self._clock())
        if observer := self._surroundings.observer:
            observer("queue-deleted", name, {})
        if on_available := self._surroundings.on_available:
            on_available(queue)

    def free_name(self, name: str) -> None:
        """Let the name of a deleted queue be used again at once."""
        self._deleted.forget(name)

    def attribute_texts(self, name: str) -> dict[str, str]:
        """Return all attributes of a queue by AWS's names, counts and times among them."""
        queue = self.queue(name)
        counts = queue.counts(self._clock())
        return {
            "QueueArn": queue.identity.arn,
            "ApproximateNumberOfMessages": str(counts.visible),
            "ApproximateNumberOfMessagesNotVisible": str(counts.in_flight),
            "ApproximateNumberOfMessagesDelayed": str(counts.delayed),
            "CreatedTimestamp": str(int(queue.identity.created_at)),
            "LastModifiedTimestamp": str(int(queue.modified_at)),
            **queue.attributes.texts(),
        }

    def set_attributes(self, name: str, attributes: Mapping[str, str]) -> None:
        """Change attributes of a queue; an empty ``RedrivePolicy``, ``RedriveAllowPolicy`` or ``Policy`` removes it.

        Raises:
            InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue: see ``create_queue``.
        """
        queue = self.queue(name)
        texts = dict(attributes)
        _check_same_type(queue, texts.pop("FifoQueue", None))
        now = self._clock()
        changed = queue.attributes.changed(texts)
        if "RedrivePolicy" in texts:
            self._check_redrive(changed, queue.identity.arn, texts["RedrivePolicy"])
        queue.set_attributes(changed, now)
        if on_available := self._surroundings.on_available:
            on_available(queue)

    def add_permission(self, name: str, label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
        """Add a statement to a queue's policy.

        Raises:
            MissingParameter, InvalidParameterValue, OverLimit: see ``with_permission``.
        """
        queue = self.queue(name)
        policy = with_permission(queue.attributes.policy, queue.identity.arn, label, accounts, actions)
        self._set_policy(queue, policy)

    def remove_permission(self, name: str, label: str) -> None:
        """Take a statement out of a queue's policy.

        Raises:
            InvalidParameterValue: it has none of this label.
        """
        queue = self.queue(name)
        self._set_policy(queue, without_permission(queue.attributes.policy, label))

    def dead_letter_sources(self, name: str) -> list[str]:
        """Return the names of the queues that have this one as their dead-letter queue, sorted."""
        arn = self.queue(name).identity.arn
        return sorted(
            source.name
            for source in self._queues.values()
            if (policy := source.attributes.redrive_policy) and policy.dead_letter_target_arn == arn
        )

    def purge(self, name: str) -> int:
        """Forget all messages of a queue, at once unless purges are to settle; return how many they are.

        Raises:
            PurgeQueueInProgress: the last purge was less than 60 seconds ago.
        """
        queue = self.queue(name)
        now = self._clock()
        if queue.purge_in_progress(now):
            seconds = f"{self._consistency.purge_interval:.0f}"
            raise PurgeQueueInProgress(f"Only one PurgeQueue operation on {name} is allowed every {seconds} seconds.")
        return queue.purge(now)

    def reset(
        self,
        name: str,
        *,
        seed: int | None = None,
        rates: DeliveryRates | None = None,
        purge_seconds: float | None = None,
    ) -> None:
        """Make a queue as good as new: no messages, no deduplication or purge window, its own randomness.

        Args:
            name: the queue.
            seed: seeds a source of randomness for this queue alone; None keeps the present one.
            rates: None keeps the present ones.
            purge_seconds: within which a purge of this queue is complete; None keeps the present ones.
        """
        queue = self.queue(name)
        rng = None if seed is None else Random(seed)  # noqa: S311 - chooses deliveries, guards nothing
        queue.reset(rng, queue.rates if rates is None else rates, purge_seconds)

    # Message move tasks

    def start_move_task(
        self, source_arn: str, destination_arn: str | None = None, most_per_second: int | None = None
    ) -> MoveTask:
        """Begin to move the messages of a dead-letter queue, as new messages.

        Args:
            source_arn: the dead-letter queue.
            destination_arn: None moves each message back to the queue that it was dead-lettered from.
            most_per_second: 1 to 500, None for as fast as SQS moves by itself.

        Raises:
            ResourceNotFound: one of the queues is not there.
            InvalidParameterValue: the source is no queue's dead-letter queue, a task of it is active, the rate is out
                of range, or the destination is of the other type.
        """
        if most_per_second is not None and not 1 <= most_per_second <= MAX_MOVES_PER_SECOND:
            raise InvalidParameterValue.of(
                "MaxNumberOfMessagesPerSecond",
                most_per_second,
                f"Must be between 1 and {MAX_MOVES_PER_SECOND}, if provided.",
            )
        now = self.advance()
        source = self._resource(source_arn, "SourceArn")
        if not self.dead_letter_sources(source.name):
            raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
        if destination_arn is not None:
            destination = self._resource(destination_arn, "DestinationArn")
            if destination.attributes.fifo is not source.attributes.fifo or destination is source:
                raise InvalidParameterValue.of(
                    "DestinationArn", destination_arn, "It must be another queue of the same type as the source queue."
                )
        source.advance(now)
        task = MoveTask(self._new_message_id(), source_arn, destination_arn, most_per_second, now, source.visible)
        self._moves.start(task)
        if on_available := self._surroundings.on_available:
            on_available(source)
        return task

    def move_tasks(self, source_arn: str, most: int = 1) -> list[MoveTask]:
        """Return the latest move tasks of a queue, the latest first.

        Raises:
            ResourceNotFound: there is no such queue.
            InvalidParameterValue: ``most`` is not from 1 to 10.
        """
        if not 1 <= most <= MAX_LISTED_MOVE_TASKS:
            raise InvalidParameterValue.of(
                "MaxResults", most, f"Must be between 1 and {MAX_LISTED_MOVE_TASKS}, if provided."
            )
        self.advance()
        self._resource(source_arn, "SourceArn")
        return self._moves.latest(source_arn, most)

    def cancel_move_task(self, handle: str) -> MoveTask:
        """Stop a running move task; what it has moved stays moved.

        Raises:
            InvalidParameterValue: the handle is malformed.
            ResourceNotFound: it names no running task.
        """
        self.advance()
        return self._moves.cancel(handle)

    def advance(self) -> float:
        """Let move tasks do what is due; return the clock's time."""
        now = self._clock()
        self._moves.advance(now)
        return now

    def next_move_at(self) -> float | None:
        """Return when a move task has something to do next, in the clock's seconds; None if none is active."""
        return self._moves.next_at()

    # Messages

    def send(self, name: str, draft: MessageDraft) -> Sent:
        """Send a message.

        Raises:
            MissingParameter, InvalidParameterValue, InvalidMessageContents: the message is not acceptable.
        """
        queue = self.queue(name)
        check_content(draft, queue.attributes.maximum_message_size)
        if draft.group is not None and not queue.attributes.fifo:
            check_group(draft.group)
        return queue.send(draft, self._clock())

    def receive(self, name: str, request: ReceiveRequest = ReceiveRequest()) -> list[Delivery]:  # noqa: B008 - immutable
        """Receive messages; an empty list if none is available now.

        Raises:
            InvalidParameterValue: a parameter is out of range.
            OverLimit: a short poll of a standard queue with 120,000 messages in flight.
        """
        return self.queue(name).receive(request, self._clock())

    def delete(self, name: str, receipt_handle: str) -> None:
        """Delete a received message; see ``Queue.delete`` for stale handles and errors."""
        self.queue(name).delete(receipt_handle, self._clock())

    def change_visibility(self, name: str, receipt_handle: str, timeout: int) -> None:
        """Make a message in flight visible ``timeout`` seconds from now; see ``Queue.change_visibility`` for errors."""
        check_visibility(timeout)
        self.queue(name).change_visibility(receipt_handle, timeout, self._clock())

    def expire(self, name: str, message_id: str) -> None:
        """Let a message's retention end now."""
        self.queue(name).expire(message_id, self._clock())

    def next_visible_at(self, name: str) -> float | None:
        """Return when a receive can next find something; see ``Queue.next_visible_at``."""
        return self.queue(name).next_visible_at(self._clock())

    def arn(self, name: str) -> str:
        """Return the ARN of the queue of this name, whether it exists or not."""
        return f"arn:aws:sqs:{self.region}:{self.account}:{name}"

    # Within

    def _new_message_id(self) -> str:
        digits = f"{self._rng.getrandbits(122):031x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{_VARIANT[digits[15]]}{digits[16:19]}-{digits[19:]}"

    def _dead_letter_queue(self, arn: str, source_arn: str) -> Queue | None:
        queue = self._by_arn(arn)
        if queue is None:
            return None
        allowed = queue.attributes.redrive_allow_policy
        return queue if allowed is None or allowed.allows(source_arn) else None

    def _resource(self, arn: str, parameter: str) -> Queue:
        if not is_arn(arn):
            raise InvalidParameterValue(
                f"You must use this format to specify the {parameter}: "
                "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
            )
        queue = self._by_arn(arn)
        if queue is None:
            raise ResourceNotFound(f"The resource that you specified for the {parameter} parameter doesn't exist.")
        return queue

    def _set_policy(self, queue: Queue, policy: str) -> None:
        queue.set_attributes(replace(queue.attributes, policy=policy), self._clock())

    def _by_arn(self, arn: str) -> Queue | None:
        queue = self._queues.get(arn.rpartition(":")[2])
        return queue if queue is not None and queue.identity.arn == arn else None

    def _check_redrive(self, source: QueueAttributes, source_arn: str, text: str) -> None:
        policy = source.redrive_policy
        if policy is None:
            return
        target = self._by_arn(policy.dead_letter_target_arn)
        if target is None:
            raise _invalid_redrive(text, "Dead letter target does not exist.")
        if target.attributes.fifo is not source.fifo:
            raise _invalid_redrive(text, "Dead-letter queue must be same type of queue as the source.")
        allowed = target.attributes.redrive_allow_policy
        if allowed is not None and not allowed.allows(source_arn):
            raise _invalid_redrive(
                text, "The redrive allow policy of the dead-letter queue does not allow this source queue."
            )


@lru_cache(maxsize=64)
def _wanted(fifo: bool, texts: tuple[tuple[str, str], ...]) -> QueueAttributes:
    """Return the attributes of a new queue; a simulation makes the same queues again and again."""
    return QueueAttributes(fifo=fifo).changed(dict(texts))


def _check_name(name: str, fifo_text: str | None) -> bool:
    """Return whether a new queue is FIFO; raise the error that its name or type deserves."""
    stem = name.removesuffix(FIFO_SUFFIX)
    if len(name) > MAX_QUEUE_NAME_LENGTH or not _NAME(stem):
        raise InvalidParameterValue(
            f"Can only include alphanumeric characters, hyphens, or underscores. 1 to {MAX_QUEUE_NAME_LENGTH} in length"
        )
    fifo = fifo_text is not None and fifo_text.lower() == "true"
    if fifo and stem == name:
        raise InvalidParameterValue(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
            "underscores, must end with .fifo suffix and be 1 to 80 in length"
        )
    if not fifo and fifo_text is not None:
        # SQS knows FifoQueue=true only; a standard queue is made by leaving it out.
        raise InvalidAttributeName(_NO_FIFO)
    if not fifo and stem != name:
        raise InvalidParameterValue(
            f"Can only include alphanumeric characters, hyphens, or underscores. 1 to {MAX_QUEUE_NAME_LENGTH} in length"
        )
    return fifo


def _check_same_type(queue: Queue, fifo_text: str | None) -> None:
    """Raise the error of a request that would make a queue another type; None asks for nothing."""
    if fifo_text is None:
        return
    if not queue.attributes.fifo:
        raise InvalidAttributeName(_NO_FIFO)
    if fifo_text.lower() != "true":
        raise InvalidAttributeValue(
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
        )


def _check_same_attributes(existing: Queue, asked: Mapping[str, str]) -> None:
    have, want = existing.attributes.texts(), existing.attributes.changed(asked).texts()
    # The error names the first attribute that differs, in the order of the request.
    for attribute in dict.fromkeys((*asked, *have, *want)):
        if have.get(attribute) != want.get(attribute):
            raise QueueNameExists(
                "A queue already exists with the same name and a different value for attribute " + attribute
            )


def _invalid_redrive(text: str, reason: str) -> InvalidParameterValue:
    return InvalidParameterValue.of("RedrivePolicy", text, reason)


_NO_FIFO: Final = "Unknown Attribute FifoQueue."
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_VARIANT: Final = {f"{digit:x}": "89ab"[digit % 4] for digit in range(16)}
