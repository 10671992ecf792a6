"""Other consumers on the queue: processes outside the run that took its messages, so that nothing can be judged."""

from __future__ import annotations

from scenarios.history import History


def taken_by_others(history: History) -> list[str]:
    """Return the messages that another consumer received and deleted, in order.

    Only an endpoint that records its own side can tell. A delivery that no consumer recorded is no sign: a process that
    died in the middle of its receive had no time to. But the dead delete nothing. So another consumer deleted a message
    where no delete of the run's asked for it, after a delivery that no receive of the run's has brought.
    """
    asked = {message_id for call in history.calls("Delete") for message_id in call.arguments["messages"]}
    brought = {
        (item["message_id"], item["receive_count"]) for call in history.calls("Receive") for item in call.result or ()
    }
    elsewhere: dict[str, float] = {}
    for record in history.endpoint("delivered"):
        if (record["message_id"], record["receive_count"]) not in brought:
            elsewhere.setdefault(record["message_id"], record["time"])
    return [
        record["message_id"]
        for record in history.endpoint("deleted")
        if record["message_id"] not in asked and elsewhere.get(record["message_id"], float("inf")) <= record["time"]
    ]
