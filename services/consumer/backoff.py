"""Retries with backoff: a failed message comes again after a delay that doubles, with jitter.

    receive 1 fails ── 1 s ── receive 2 fails ── 2 to 3 s ── receive 3 fails ── 4 to 7 s ── receive 4 ...

The queue keeps the time, by ChangeMessageVisibility on the failed message, so a crash of the consumer delays nothing. A
redrive policy counts receives. Retries without a delay use them up in milliseconds, while an outage lasts seconds.
"""

from __future__ import annotations

import hashlib
import logging

from services.consumer.consumer import Consumer
from services.operations import ChangeVisibility, Message, Note, OperationFailed, Task

#: Seconds within which the first retry comes; doubles with each receive.
FIRST = 2
#: Doublings after which the delay is beyond its limit in any case.
DOUBLINGS = 16
#: Seconds at most.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html has 43,200.
LONGEST = 300


class BackoffConsumer(Consumer):
    """Delay the retry of a failed message by a time that doubles with its receives, with jitter."""

    def schedule_retry(self, message: Message) -> Task[None]:
        """Set the visibility timeout of the message to the backoff."""
        seconds = backoff(message.receive_count, message.message_id)
        yield Note("retry-scheduled", {"message_id": message.message_id, "seconds": seconds}, logging.INFO)
        try:
            yield ChangeVisibility((message,), timeout=seconds)
        except OperationFailed as error:
            yield Note("retry-not-scheduled", {"message_id": message.message_id, "error": error.code}, logging.WARNING)


def backoff(receive_count: int, message_id: str) -> int:
    """Return whole seconds, from half of the doubled time up to all of it; the next range begins there.

    So each delay is longer than the one before, up to the limit. The jitter keeps messages that failed together from
    coming back together. It follows from the message and its receive count: two consumers agree on it, and a run can be
    repeated.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ calls this "equal jitter".
    """
    longest: int = min(LONGEST, FIRST << min(receive_count - 1, DOUBLINGS))
    least = longest // 2
    digest = hashlib.blake2b(f"{message_id}:{receive_count}".encode(), digest_size=4).digest()
    chance = int.from_bytes(digest, "big")
    return least + chance % (longest - least)
