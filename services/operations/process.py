"""What a process does by itself: Sleep, ReadClock, ReadWallClock, Note, AppendToLog, Gather."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from services.operations.base import Operation, Task, immutable


@immutable
class Sleep(Operation, part="process"):
    """Wait for ``seconds``. Result: True, or False where shutdown cut the wait short.

    Attributes:
        uninterrupted: shutdown does not cut it short.
    """

    recorded: ClassVar[bool] = False
    seconds: float
    uninterrupted: bool = False


@immutable
class ReadClock(Operation, part="process"):
    """Read a monotonic clock. Result: seconds; only differences have a meaning."""

    recorded: ClassVar[bool] = False


@immutable
class ReadWallClock(Operation, part="process"):
    """Read the wall clock. Result: seconds since the epoch, as far as this machine's clock is right."""

    recorded: ClassVar[bool] = False


@immutable
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


@immutable
class AppendToLog(Operation, part="process"):
    """Append one line to a file that several consumers may share. Result: None."""

    path: str
    line: str


@immutable
class Gather(Operation, part="runtime"):
    """Run tasks side by side, as a pool of threads or ``Promise.all`` does. Result: what each came to, in their order.

    A task's value stands in its place, and so does the ``OperationFailed`` with which it ended. Any other exception is
    raised here, at the ``yield``. What strikes the process (a crash, a pause) strikes all of them.

    Attributes:
        tasks: generators of operations, as the consumer itself is one.
        at_once: how many run at a time; 0 for all.
        until_first_failure: raise the first failure at once, as ``Promise.all`` does. The other tasks go on.
    """

    recorded: ClassVar[bool] = False
    tasks: tuple[Task[Any], ...]
    at_once: int = 0
    until_first_failure: bool = False
