"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.consumer import Consumer
from services.operations import Message, Task


class RetriesAtOnce(Consumer):
    """Have what failed come again at once: an outage of seconds costs a message all of its receives in a blink."""

    def schedule_retry(self, message: Message) -> Task[None]:
        """Make the message visible now."""
        yield from self.release([message])
