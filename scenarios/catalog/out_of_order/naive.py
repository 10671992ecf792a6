"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.versions import ReconcilingConsumer


class LastWriteWins(ReconcilingConsumer):
    """Write each update as it comes: whichever is received last is the state, however old it is."""

    only_if_newer = False
