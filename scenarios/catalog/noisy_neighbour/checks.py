"""Fairness between tenants: how many messages of a noisy one go before a quiet one's that is already there.

Time says little about it: a slow machine is slow for every tenant. The order of receives says all:

    noisy   ▪▪▪▪▪▪▪▪▪▪▪▪ sent                                  ▪▪▪ a receive    ▪▪▪ another
    quiet                    ▫ sent, and there from here on ───────────────────────────────▶ ▫ received
                                                               └ 6 were received before it ┘

A tenant is told by a field of the payload, so a message that names none to the queue has one for the judge. SQS serves
the others first while a tenant has many messages in flight; so only receives at which it had count here. In flight is
what was received before, is not deleted yet, and whose visibility timeout is not over.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import inf

from scenarios.checks.business import messages_by
from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Call, History, SentMessage

#: The payload field that names the tenant.
TENANT = "tenant"
#: So many messages of one tenant in flight are many. SQS publishes no figure; the embedded endpoint has the same.
MANY = 10
#: So many of a noisy tenant's messages may be received before a quiet one's: what one receive brings at most.
MOST_BEFORE = 10
#: A line is long from so many messages on: more than are let pass.
LONG_LINE = 20


@dataclass(frozen=True, slots=True)
class Wait:
    """How a quiet tenant's message waited for its first receive.

    Attributes:
        message: the message.
        tenant: whose it is.
        received: the receive that brought it.
        line: how many of the noisy tenant's messages were sent before it and not received by then.
        overtaken: how many of these it was received before.
        unfair: the receives that brought messages of the noisy tenant while it waited.
        before: how many messages those were.
    """

    message: SentMessage
    tenant: str
    received: Call
    line: int
    overtaken: int
    unfair: Sequence[Call]
    before: int

    @property
    def name(self) -> str:
        """The message's name for people: each tenant counts its own."""
        return f"message #{self.message.sequence} of {self.tenant}"


def waits(history: History) -> list[Wait]:
    """Return how the messages of quiet tenants waited; the noisy tenant is the one that sends most."""
    tenants = messages_by(history, TENANT)
    noisy = max(tenants, key=lambda tenant: len(tenants[tenant]), default="")
    flood = _Flood(history, frozenset(tenants.get(noisy, ())))
    tenant_of = {item: tenant for tenant, members in tenants.items() if tenant != noisy for item in members}
    return [
        flood.wait_of(message, tenant_of[message.message_id])
        for message in history.sends
        if message.message_id in tenant_of and message.message_id in history.deliveries_of
    ]


class _Flood:
    """The messages of the noisy tenant, and the receives that brought some while it had many in flight."""

    def __init__(self, history: History, message_ids: frozenset[str]) -> None:
        self._history = history
        self._message_ids = message_ids
        self._sends = [message for message in history.sends if message.message_id in message_ids]
        self._handed_out = _handed_out(history)
        in_flight = self._surely_in_flight()
        self._receives = [
            call
            for call in dict.fromkeys(delivery.call for delivery in history.deliveries)
            if self._of_mine(call)
            and sum(since < call.started and call.ended < until for since, until in in_flight) >= MANY
        ]

    def wait_of(self, message: SentMessage, tenant: str) -> Wait:
        """Return how a message of another tenant waited."""
        there = message.call.ended
        received = self._history.deliveries_of[message.message_id][0].call
        # A receive whose reply was lost took it out of the line as well.
        taken = min(received.started, self._handed_out.get(message.message_id, inf))
        unfair = [call for call in self._receives if there < call.started and call.ended < taken]
        earlier = [self._first_received(other) for other in self._sends if other.call.ended < message.call.started]
        return Wait(
            message,
            tenant,
            received,
            line=sum(time > message.call.started for time in earlier),
            overtaken=sum(time > received.ended for time in earlier),
            unfair=unfair,
            before=sum(self._of_mine(call) for call in unfair),
        )

    def _of_mine(self, receive: Call) -> int:
        return sum(item["message_id"] in self._message_ids for item in receive.result)

    def _first_received(self, message: SentMessage) -> float:
        deliveries = self._history.deliveries_of.get(message.message_id, ())
        return min([self._handed_out.get(message.message_id, inf), *(item.time for item in deliveries[:1])])

    def _surely_in_flight(self) -> list[tuple[float, float]]:
        """Return from when until when each delivery kept its message in flight beyond doubt."""
        given_up = _given_up(self._history)
        return [
            (
                delivery.time,
                min(
                    [
                        delivery.call.started + self._history.facts.visibility_timeout,
                        *(time for time in given_up.get(delivery.message_id, ()) if time > delivery.time),
                    ]
                ),
            )
            for delivery in self._history.deliveries
            if delivery.message_id in self._message_ids
        ]


def _handed_out(history: History) -> Mapping[str, float]:
    """Return when the endpoint first handed out each message, as far as it tells."""
    found: dict[str, float] = {}
    for record in history.endpoint("delivered"):
        found.setdefault(record["message_id"], record.time)
    return found


def _given_up(history: History) -> Mapping[str, Sequence[float]]:
    """Return when a consumer set out to delete each message, or to change its visibility timeout."""
    found: dict[str, list[float]] = defaultdict(list)
    for call in chain(history.calls("Delete"), history.calls("ChangeVisibility")):
        for message_id in call.arguments["messages"]:
            found[message_id].append(call.started)
    return found


def tenant_starved(history: History) -> list[Violation]:
    """Find messages of quiet tenants that a noisy one's were preferred to."""
    return [
        Violation(
            f"{wait.before} messages of the noisy tenant were received before {wait.name}, which was there already.",
            (wait.message.key,),
            (wait.message.message_id,),
            (
                *wait.message.call.records,
                *chain.from_iterable(call.records for call in wait.unfair),
                *wait.received.records,
            ),
        )
        for wait in waits(history)
        if wait.before > MOST_BEFORE
    ]


def find_long_line(history: History) -> Evidence | None:
    """Find a quiet tenant's message that was sent when many of the noisy one's waited."""
    return _longest(history, lambda wait: wait.line, "waited when {name} was sent")


def find_overtook(history: History) -> Evidence | None:
    """Find a quiet tenant's message that was received before many of the noisy one's that were sent earlier."""
    return _longest(history, lambda wait: wait.overtaken, "were sent before {name}, and received after it")


def _longest(history: History, count: Callable[[Wait], int], what: str) -> Evidence | None:
    found = [wait for wait in waits(history) if count(wait) >= LONG_LINE]
    if not found:
        return None
    longest = max(found, key=count)
    before = f"{longest.before} of them were received in its time" if longest.before else "none was preferred to it"
    summary = f"{count(longest)} messages of the noisy tenant {what.format(name=longest.name)}; {before}"
    return Evidence(summary, len(found), (*longest.message.call.records, *longest.received.records))


TENANT_STARVED = Invariant(
    "tenant-starved",
    f"no more than {MOST_BEFORE} of a noisy tenant's messages are received before a quiet one's that is there",
    tenant_starved,
)
LONG_LINE_SEEN = Witness("long-line", "a quiet tenant's message comes when many of a noisy one's wait", find_long_line)
OVERTOOK = Witness("overtook", "a quiet tenant's message is received before many that were sent earlier", find_overtook)
