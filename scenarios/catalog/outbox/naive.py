"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.operations import CommitChange, Task
from services.producer.outbox import OutboxProducer, key_of_order
from services.producer.producer import Batch, Producer


class DualWrite(OutboxProducer):
    """The naive twin: change the state, then send, in two steps. A crash in between leaves a change unsent."""

    def send_batch(self, batch: Batch) -> Task[tuple[int, int]]:
        """Commit, then send."""
        for message in batch:
            yield from self.with_retries(CommitChange(key_of_order(message), message.body))
        return (yield from Producer.send_batch(self, batch))

    def relay(self) -> Task[tuple[bool, int]]:
        """Have nothing to relay."""
        yield from ()
        return True, 0
