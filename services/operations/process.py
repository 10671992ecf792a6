"""What a process does by itself: Sleep, ReadClock, ReadWallClock, Note, AppendToLog."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from services.operations.base import Operation


@dataclass(frozen=True, slots=True)
class Sleep(Operation, part="process"):
    """Wait for ``seconds``. Result: True, or False where shutdown cut the wait short.

    Attributes:
        uninterrupted: shutdown does not cut it short.
    """

    recorded: ClassVar[bool] = False
    seconds: float
    uninterrupted: bool = False


@dataclass(frozen=True, slots=True)
class ReadClock(Operation, part="process"):
    """Read a monotonic clock. Result: seconds; only differences have a meaning."""

    recorded: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class ReadWallClock(Operation, part="process"):
    """Read the wall clock. Result: seconds since the epoch, as far as this machine's clock is right."""

    recorded: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Note(Operation, part="process"):
    """Write a line into the log and an event into the history. Result: None.

    Attributes:
        event: what happened, in a word or two with hyphens.
        details: JSON values.
        level: one of ``logging``'s levels.
    """

    recorded: ClassVar[bool] = False
    event: str
    details: Mapping[str, Any]
    level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class AppendToLog(Operation, part="process"):
    """Append one line to a file that several consumers may share. Result: None."""

    path: str
    line: str
