"""The lab: what a scenario's story holds, whatever the tier.

A scenario starts producers and consumers, injects faults, waits for what the history shows, and ends. Every wait
is a condition on the history with a deadline in lab seconds (which a tier may let pass faster than the wall's). No
``ApproximateNumberOf...`` attribute convicts a consumer: it is approximate on AWS. Only at an endpoint that does not
record its own side does the lab ask for it, to know how long to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scenarios.errors import ServiceFailedError
from scenarios.history import History, SentMessage
from scenarios.parameters import Parameters
from services.consumer.assumptions import ALL, Assumption
from services.consumer.consumer import Consumer
from services.consumer.patterns import Pattern
from services.consumer.settings import StorySettings
from services.faults import Fault
from services.history import Recorder
from services.producer.options import ProducerOptions

#: Real seconds that a signal to a real process may be on its way.
SIGNAL_SECONDS = 1.0
#: Seconds of a consumer's long poll in a lab. A consumer that is asked to end finishes its poll; a short one ends soon.
WAIT_TIME_SECONDS = 1
#: So many visibility timeouts after the queue or the tables were deleted for good, a scenario waits for nothing more.
GIVEN_UP = 5


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """What a scenario may know of its queue: seconds, receives, and whether it keeps order."""

    visibility_timeout: float
    max_receive_count: int
    fifo: bool


@dataclass(frozen=True, slots=True)
class ConsumerHandle:
    """A consumer that was started, by the name that it has in the history."""

    name: str


@dataclass(frozen=True, slots=True)
class ProducerHandle:
    """A producer that was started, by the name that it has in the history."""

    name: str


def checked_options(options: Mapping[str, Any], count: int) -> ProducerOptions:
    """Return the producer's options that a scenario gives, with the run's count where it gives none.

    Raises:
        ValueError: one of them does not exist, or has a value that no producer takes.
    """
    return ProducerOptions(**{"count": count, **options})


def sending_seconds(options: ProducerOptions) -> float:
    """Return how long a producer waits between its sends and for its purge, in lab seconds."""
    return (options.purge_wait or 0.0) + (options.count / options.rate if options.rate else 0.0)


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the consumer's options that a scenario sets, each as ``services.consumer`` declares it.

    Raises:
        ValueError: one of them does not exist, or has a value that no consumer takes.
    """
    given = StorySettings(**settings)
    return {name: getattr(given, name) for name in settings}


def declared(consumer: type[Consumer], assumes: frozenset[Assumption] | None = None) -> dict[str, list[str]]:
    """Return what a run's event says of a consumer's patterns and assumptions; of each kind nothing where it is all.

    Args:
        consumer: its class.
        assumes: what the run's faults keep to, where that is less than the consumer assumes.
    """
    assumes = consumer.assumes if assumes is None else assumes
    return {
        **({} if consumer.follows >= frozenset(Pattern) else {"follows": sorted(consumer.follows)}),
        **({} if assumes >= ALL else {"assumes": sorted(assumes)}),
    }


def long_lease(settings: Mapping[str, Any], visibility_timeout: float) -> dict[str, float]:
    """Return what the history says of a consumer whose claims may outlast a delivery; nothing of another.

    A heartbeat extends claim and delivery one after the other, and by default both by the visibility timeout.
    """
    by_default = visibility_timeout if settings.get("heartbeat_seconds") else 0.0
    seconds = settings.get("claim_lease_seconds", by_default)
    return {"seconds": seconds} if seconds else {}


class Lab(Protocol):
    """A place in which a scenario can be staged.

    Attributes:
        seed: what all chance of this run comes from.
        naive: whether the consumers are the scenario's naive twins; a scenario need not ask.
        history: what has happened so far.
    """

    @property
    def parameters(self) -> Parameters:
        """What the user may change about the run."""

    @property
    def seed(self) -> int:
        """The seed of the run."""

    @property
    def naive(self) -> bool:
        """Whether this is the naive twin's run."""

    @property
    def queue(self) -> QueueInfo:
        """What the queue under study is like."""

    @property
    def history(self) -> History:
        """What has happened so far."""

    def produce(self, **options: Any) -> tuple[SentMessage, ...]:
        """Run a producer to its end; return what it sent.

        Args:
            options: its options (see :class:`services.producer.options.ProducerOptions`).

        Raises:
            ServiceFailedError: it did not send everything.
        """

    def start_producer(
        self, name: str | None = None, *, faults: Sequence[Fault] = (), **options: Any
    ) -> ProducerHandle:
        """Start a producer, and do not wait for it; ``has_ended`` tells when it has sent everything, or died."""

    def start_consumer(
        self, name: str | None = None, *, faults: Sequence[Fault] = (), **settings: Any
    ) -> ConsumerHandle:
        """Start a consumer, and do not wait for it: the next may start at the same time.

        Args:
            name: the consumer's name in the history; by itself ``consumer-1``, ``consumer-2`` and so on.
            faults: what goes wrong with it.
            settings: its options (see :class:`services.consumer.settings.StorySettings`); the lab sets the others.
        """

    def stop(self, *consumers: ConsumerHandle) -> None:
        """Ask consumers to end, as SIGTERM does, and wait until they have; without any, all that still run."""

    def wait_for(self, condition: Callable[[History], bool], *, deadline: float, what: str) -> None:
        """Wait until the history fulfils a condition.

        Args:
            condition: asked whenever the history has grown.
            deadline: lab seconds from now.
            what: what is waited for, in words that complete "waiting for ...".

        Raises:
            DeadlineMissed: it did not in time.
            ServiceFailedError: a consumer ended unasked, and no fault struck it.
        """

    def watch(self, look: Callable[[History, float], bool], *, every: float, deadline: float, what: str) -> None:
        """Look at the history at regular times, as an autoscaler does, until the look says enough.

        Args:
            look: is given the history and the present moment on its clock; it may act on the lab, and returns True for
                enough.
            every: lab seconds between two looks.
            deadline: lab seconds from now.
            what: what is waited for, in words that complete "waiting for ...".

        Raises:
            DeadlineMissed: it never was enough in time.
            ServiceFailedError: as :meth:`wait_for` does.
        """

    def note(self, event: str, **details: Any) -> None:
        """Write something into the history that the scenario has decided."""

    def ask_to_end(self, *consumers: ConsumerHandle) -> None:
        """Send SIGTERM to consumers, and do not wait for their end; see :meth:`stop`."""

    def collect_dead_letters(self) -> tuple[str, ...]:
        """Receive what is in the dead-letter queue, into the history; return the MessageIds, also of earlier calls."""

    def redrive(self, *, deadline: float) -> int:
        """Move what is in the dead-letter queue back to the queue, by a message move task; wait until that has ended.

        Returns:
            How many messages it moved; each has a new MessageId.

        Raises:
            DeadlineMissed: it did not end in time.
            ServiceFailedError: it ended before all was moved.
            UnsuitableError: the endpoint has no message move tasks.
        """

    def remove_payload(self, message: SentMessage) -> None:
        """Take a message's payload out of the bucket, as a clean-up that comes too early would."""

    def sweep_payloads(self) -> tuple[str, ...]:
        """Remove all that is left in the bucket, and return the keys.

        An object that no message in the queue refers to is an orphan: at the end of a scenario, with all settled, that
        is all there is. In production it is what is older than the queues' retention, and a rule of the bucket's life
        cycle removes it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html
        """

    def settle(self, *, deadline: float, leave_dead_letters: bool = False) -> None:
        """Wait until each message that was sent is deleted or in the dead-letter queue.

        At an endpoint that does not record its own side, the lab takes dead letters to know them, and asks the queue
        whether it is empty.

        Args:
            deadline: lab seconds from now.
            leave_dead_letters: take no dead letter: a redrive is to move them back.

        Raises:
            DeadlineMissed: some are not in time.
        """


def has_ended(*services: ConsumerHandle | ProducerHandle) -> Callable[[History], bool]:
    """Return the condition that all of these have ended, however they did; so has a producer's successor."""
    return lambda history: all(_is_over(history, service.name) for service in services)


def _is_over(history: History, name: str) -> bool:
    end = history.exits.get(name)
    while end is not None and "successor" in end.record:
        end = history.exits.get(end.record["successor"])
    return end is not None


def struck(consumer: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that a fault of the scenario's own has struck a consumer, or its successor."""
    return lambda history: any(fault.planned and is_it(fault.process, consumer) for fault in history.faults)


def has_died(consumer: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that a crash of the scenario's own has ended a consumer, or its successor.

    Whatever else befalls it may keep it from that: then everything is settled before, and the condition is met as well.
    """

    def condition(history: History) -> bool:
        crashes = (fault.process for fault in history.faults if fault.planned and fault.kind == "crash")
        return any(is_it(name, consumer) and name in history.exits for name in crashes) or not history.unsettled

    return condition


def has_started(*consumers: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that each of these consumers, or the one that took its place, has been ready to receive.

    It says so, or it asks for messages.
    """

    def condition(history: History) -> bool:
        started = {event.process for event in history.events("started")}
        started.update(history.receives_of)
        return all(any(is_it(name, consumer) for name in started) for consumer in consumers)

    return condition


def in_a_long_poll(consumer: ConsumerHandle) -> Callable[[History], bool]:
    """Return the condition that a consumer is waiting for messages at this moment."""

    def condition(history: History) -> bool:
        polls = [call for call in history.calls("Receive") if is_it(call.process, consumer)]
        return bool(polls) and polls[-1].outcome is None

    return condition


def is_it(process: str, consumer: ConsumerHandle) -> bool:
    """Return whether a process is a consumer, or the one that took its place when something had ended it."""
    return process == consumer.name or process.startswith(f"{consumer.name}-")


def redriven(recorder: Recorder, status: str, moved: int, failure: str | None) -> int:
    """Say in the history how a move task ended; return how many messages it moved.

    Raises:
        ServiceFailedError: it did not move all.
    """
    recorder.event("redriven", status=status, moved=moved)
    if status != "COMPLETED":
        why = f" ({failure})" if failure else ""
        raise ServiceFailedError(f"The message move task ended as {status}{why}, after {moved} messages.")
    return moved
