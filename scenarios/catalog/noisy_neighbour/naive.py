"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.operations import OutgoingMessage
from services.producer.producer import Producer


class WithoutTenant(Producer):
    """Send without a MessageGroupId: to the queue all tenants are one, and stand in one line."""

    def address(self, messages: Sequence[OutgoingMessage]) -> Sequence[OutgoingMessage]:
        """Name no tenant."""
        return [replace(message, group=None) for message in messages]
