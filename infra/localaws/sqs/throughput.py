"""How many calls a second a FIFO queue takes: 300 of each action, and more in high throughput.

A call counts once, whether it is about one message or a batch of ten: 3,000 messages a second by batches. A bucket of
tokens for each queue and action holds those of one second.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

from typing import Final

from infra.localaws.sqs.errors import RequestThrottled
from infra.localaws.sqs.queue import Queue

CALLS_A_SECOND: Final = 300
HIGH_THROUGHPUT: Final = {
    **dict.fromkeys(("us-east-1", "us-west-2", "eu-west-1"), 70_000),
    **dict.fromkeys(("us-east-2", "eu-central-1"), 19_000),
    **dict.fromkeys(("ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1"), 9_000),
    **dict.fromkeys(("eu-west-2", "sa-east-1"), 4_500),
}
"""Calls a second and action of a queue in high throughput, by region."""
HIGH_ELSEWHERE: Final = 2_400

LIMITED: Final = frozenset(
    {
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
    }
)
"""The actions that have a limit."""


class FifoThroughput:
    """The limits of one region's FIFO queues.

    Args:
        region: AWS's name of it.
    """

    def __init__(self, region: str) -> None:
        self._high = HIGH_THROUGHPUT.get(region, HIGH_ELSEWHERE)
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def admit(self, queue: Queue, action: str, now: float) -> None:
        """Count a call.

        Args:
            queue: it is about this one; a standard queue has no limit.
            action: AWS's name of it.
            now: seconds since the epoch.

        Raises:
            RequestThrottled: the queue has had as many calls of this action in the last second as it takes.
        """
        if not queue.attributes.fifo or action not in LIMITED:
            return
        most = float(self.limit_of(queue))
        tokens, since = self._buckets.get((queue.name, action), (most, now))
        tokens = min(most, tokens + (now - since) * most)
        if tokens < 1:
            self._buckets[queue.name, action] = tokens, now
            raise RequestThrottled
        self._buckets[queue.name, action] = tokens - 1, now

    def limit_of(self, queue: Queue) -> int:
        """Return how many calls a second and action a queue takes."""
        return self._high if queue.attributes.fifo_throughput_limit == "perMessageGroupId" else CALLS_A_SECOND

    def forget(self, name: str) -> None:
        """Forget a queue that was deleted."""
        for key in [key for key in self._buckets if key[0] == name]:
            del self._buckets[key]
