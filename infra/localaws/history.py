"""The endpoint's history: every change of a queue's state as one JSON object a line, for a reader that follows it."""

import json
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

MAX_HISTORY_BYTES: Final = 1 << 30
"""Some four million events; a run has thousands."""


class HistoryFile:
    """Appends events to a file; what one request caused is written at once when the request is done.

    A file that cannot be written any more, or is full, ends the recording and not the service: what a queue has
    accepted stays accepted. The file then ends with a whole line, and ``fault`` says why it ends.

    Args:
        path: the file; it is created if need be.
        most: bytes that the file may have.

    Attributes:
        fault: why the recording has ended; empty as long as it goes on.

    Raises:
        OSError: the file cannot be opened for appending.
    """

    def __init__(self, path: Path, most: int = MAX_HISTORY_BYTES) -> None:
        self.path = path
        self.fault = ""
        self._most = most
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self._index = 0
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def observe(self, event: str, queue: str, fields: dict[str, Any]) -> None:
        """Take an event down; this is the model's observer."""
        if self.fault:
            return
        entry = {
            "time": time.monotonic(),
            "process": "endpoint",
            "index": self._index,
            "type": "event",
            "event": event,
            "queue": queue,
            **fields,
        }
        self._index += 1
        self._lines.append(json.dumps(entry))

    def flush(self) -> None:
        """Write the events that were taken down, whole lines only."""
        if self._lines:
            data = ("\n".join(self._lines) + "\n").encode()
            self._lines.clear()
            if self._size + len(data) > self._most:
                self._end(f"it has reached {self._most:,} bytes")
                return
            try:
                self._write(data)
            except OSError as error:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
                self._end(error.strerror or str(error))

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self._size += len(data)

    def _end(self, reason: str) -> None:
        self.fault = f"The endpoint no longer records its history {self.path}: {reason}."
        logging.getLogger("infra.localaws").error("%s The queues go on.", self.fault)

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        os.close(self._descriptor)
