"""The log of the endpoint's own faults, which does not grow for ever."""

import logging
import traceback
from typing import Final

MAX_FAULTS: Final = 200
"""Faults that are logged with their traceback, for one process; a client that repeats a request adds no more."""


class FaultLog:
    """Logs the first faults, says once that it logs no more, and counts the rest.

    Attributes:
        count: how many faults there were.
    """

    def __init__(self, most: int = MAX_FAULTS) -> None:
        self.count = 0
        self._most = most
        self._log = logging.getLogger("infra.localaws")

    def exception(self, sentence: str, *values: object) -> None:
        """Log the exception that is being handled, after a sentence with ``%s`` for each value."""
        shown = tuple(str(value)[:_SHOWN] for value in values)
        self._log_first(sentence % shown if shown else sentence, traceback.format_exc())

    def note(self, sentence: str, error: BaseException | None) -> None:
        """Log a fault that no exception handler sees."""
        self._log_first(sentence, "" if error is None else repr(error))

    def _log_first(self, sentence: str, told: str) -> None:
        self.count += 1
        if self.count <= self._most:
            half = _TRACEBACK // 2
            shown = told if len(told) <= _TRACEBACK else f"{told[:half]}\n...\n{told[-half:]}"
            self._log.error("%s\n%s", sentence, shown)
        if self.count == self._most:
            self._log.error("The endpoint logs no more than %d faults; the next ones are not logged.", self._most)


_SHOWN: Final = 300
_TRACEBACK: Final = 8_000
"""Characters; the message of an exception can be as long as the request."""
FAULTS: Final = FaultLog()
