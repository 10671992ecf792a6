"""Retries that back off: what failed comes again later and later, and not all of it at once.

    receive 1 fails ── 1 s ── receive 2 fails ── 2 to 3 s ── receive 3 fails ── 4 to 7 s ── receive 4 ...

The queue keeps the time: ChangeMessageVisibility on the failed message. A consumer that dies meanwhile delays nothing.
A redrive policy counts receives. Whoever retries at once has used them up in a blink, while an outage lasts seconds.
"""

from __future__ import annotations

import hashlib
import logging

from services.consumer.consumer import Consumer
from services.operations import ChangeVisibility, Message, Note, OperationFailed, Task

#: Seconds within which the first retry comes; doubles with each receive.
FIRST = 2
#: So many doublings are beyond any longest time.
DOUBLINGS = 16
#: Seconds at most.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html has 43,200.
LONGEST = 300


class BackoffConsumer(Consumer):
    """Put off a failed message by a time that doubles with its receives, with jitter."""

    def schedule_retry(self, message: Message) -> Task[None]:
        """Have the queue keep the message invisible for as long as the backoff says."""
        seconds = backoff(message.receive_count, message.message_id)
        yield Note("retry-scheduled", {"message_id": message.message_id, "seconds": seconds}, logging.INFO)
        try:
            yield ChangeVisibility((message,), timeout=seconds)
        except OperationFailed as error:
            yield Note("retry-not-scheduled", {"message_id": message.message_id, "error": error.code}, logging.WARNING)


def backoff(receive_count: int, message_id: str) -> int:
    """Return whole seconds from half of the doubled time up to all of it, which is where the next one begins.

    So each is longer than the one before it, whatever chance says, until the longest is reached. The jitter keeps
    messages that failed together from coming back together. It follows from the message and its receive count: two
    consumers agree on it, and a run can be repeated.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ calls this "equal jitter".
    """
    longest: int = min(LONGEST, FIRST << min(receive_count - 1, DOUBLINGS))
    least = longest // 2
    digest = hashlib.blake2b(f"{message_id}:{receive_count}".encode(), digest_size=4).digest()
    chance = int.from_bytes(digest, "big")
    return least + chance % (longest - least)
