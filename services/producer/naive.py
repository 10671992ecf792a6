"""The naive twins among the producers: each leaves out one protecting step of :class:`Producer`.

Never run one where money is carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.operations import OutgoingMessage, Task
from services.producer.producer import Producer


class WithoutTenant(Producer):
    """Send without a MessageGroupId: to the queue all tenants are one, and stand in one line."""

    def address(self, messages: Sequence[OutgoingMessage]) -> Sequence[OutgoingMessage]:
        """Name nobody."""
        return [replace(message, group=None) for message in messages]


class SendsIntoThePurge(Producer):
    """Take a purge for over as soon as the call has returned."""

    def wait_for_purge(self) -> Task[None]:
        """Wait for nothing."""
        yield from ()
