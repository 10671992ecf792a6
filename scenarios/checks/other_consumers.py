"""Other consumers on the queue: processes outside the run that took its messages, so that nothing can be judged.

An endpoint that records its own side tells of each delivery and delete. What it handed out and no receive of the run
can have got, not even one that was cut short, another consumer has. Elsewhere the run's own history has to tell:

    a message is gone, and no process of the run asked for its delete      another consumer deleted it
    a receive count is higher than the run's receives can have made it     another consumer received it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scenarios.checks.invariants import unclaimed_deliveries
from scenarios.history import History, SentMessage
from services.producer.producer import PURGE_SECONDS


@dataclass(frozen=True, slots=True)
class Taken:
    """Messages that another consumer took.

    Attributes:
        message_ids: in order; empty where there was none.
        what: what it did, in words that complete "A consumer outside this run has ...".
    """

    message_ids: Sequence[str] = ()
    what: str = ""


def taken_by_others(history: History) -> Taken:
    """Return the messages that another consumer took."""
    if history.has_endpoint:
        if deleted := _deleted_by_others(history):
            return Taken(deleted, "received messages of the queue {queue} and deleted them")
        unclaimed = dict.fromkeys(record["message_id"] for record in unclaimed_deliveries(history))
        return Taken(list(unclaimed), "received messages of the queue {queue}, which no consumer of this run got")
    if gone := _gone_without_delete(history):
        return Taken(gone, "deleted messages of the queue {queue}, or the endpoint lost them")
    return Taken(_received_by_others(history), "received messages of the queue {queue}, by their receive counts")


def _deleted_by_others(history: History) -> list[str]:
    """Return the messages that another consumer received and deleted, by the endpoint's own account.

    A delivery that no consumer recorded may have gone to a process that died in the middle of its receive. But the dead
    delete nothing. So another consumer deleted a message where no delete of the run's asked for it, after
    a delivery that no receive of the run's has brought.
    """
    asked = _asked_to_delete(history)
    brought = {
        (item["message_id"], item["receive_count"]) for call in history.calls("Receive") for item in call.result or ()
    }
    elsewhere: dict[str, float] = {}
    for record in history.endpoint("delivered"):
        if (record["message_id"], record["receive_count"]) not in brought:
            elsewhere.setdefault(record["message_id"], record.time)
    return [
        record["message_id"]
        for record in history.endpoint("deleted")
        if record["message_id"] not in asked and elsewhere.get(record["message_id"], float("inf")) <= record.time
    ]


def _gone_without_delete(history: History) -> list[str]:
    """Return the messages that are in no queue, and that no process of the run asked to delete or to purge."""
    if history.left_in_queue is None:
        return []  # each message was deleted or dead-lettered
    asked = _asked_to_delete(history)
    return [
        message.message_id
        for message in history.sends
        if (latest := history.latest(message.message_id)) not in asked
        and latest not in history.dead_letters
        and not history.in_flight(latest)
        and not _may_be_purged(history, message)
    ]


def _may_be_purged(history: History, message: SentMessage) -> bool:
    """Return whether a purge was asked for that may have taken a message: one goes on for a minute."""
    return any(
        call.status != "fail" and message.call.started <= call.ended + PURGE_SECONDS for call in history.calls("Purge")
    )


def _received_by_others(history: History) -> list[str]:
    """Return the messages whose receive count is more than all receives of the run can have made it.

    Each receive of the run counts once, and each receive whose outcome is unknown may have brought any message.
    """
    unclear = sum(call.status == "unknown" for call in history.calls("Receive"))
    return [
        message_id
        for message_id, deliveries in history.deliveries_of.items()
        if max(delivery.receive_count for delivery in deliveries) > len(deliveries) + unclear
    ]


def _asked_to_delete(history: History) -> set[str]:
    return {message_id for call in history.calls("Delete") for message_id in call.arguments["messages"]}
