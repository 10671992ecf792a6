"""A consumer that gives a failed message back at once, instead of waiting for its visibility timeout.

On a FIFO queue a message in flight blocks its group only *behind* it. A failed head that is visible again may go to
another consumer while the rest of its group is still in flight here, so the rest must not be worked on: the consumer
stops the group, as :class:`services.consumer.consumer.Consumer` does by itself.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
"""

from __future__ import annotations

from services.consumer.consumer import Consumer
from services.operations import Message, Task


class GiveBackConsumer(Consumer):
    """Make a failed message visible again at once; stop its group on a FIFO queue."""

    def schedule_retry(self, message: Message) -> Task[None]:
        """Set the message's visibility timeout to 0."""
        yield from self.release([message])
