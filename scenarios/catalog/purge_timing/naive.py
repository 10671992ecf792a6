"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.operations import Task
from services.producer.producer import Producer


class SendsIntoThePurge(Producer):
    """Take a purge for over as soon as the call has returned."""

    def wait_for_purge(self) -> Task[None]:
        """Wait for nothing."""
        yield from ()
