"""The endpoint's history: every change of a queue's state as one JSON object a line, for a reader that follows it."""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class HistoryFile:
    """Appends events to a file; what one request caused is written at once when the request is done.

    Args:
        path: the file; it is created if need be.

    Raises:
        OSError: the file cannot be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
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
            data = memoryview(("\n".join(self._lines) + "\n").encode())
            self._lines.clear()
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        os.close(self._descriptor)
