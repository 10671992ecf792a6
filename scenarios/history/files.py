"""The history's files: read as they grow, merge into one, and write that down.

Each process appends to a file of its own. A process that dies by SIGKILL may leave half a line behind; whatever
follows a file's last newline is no record yet and is not read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from infra.files import write_atomically
from scenarios.errors import HistoryError
from scenarios.history.history import History
from scenarios.history.records import Record
from services.records import typed

#: The name of the merged history in a run's directory.
MERGED = "history.jsonl"


class TailedFile:
    """One process's file, read as it grows.

    Args:
        path: it need not exist yet.
        offset: the byte at which to begin.
        keep: which records are of interest.
        names: one of these stands in each line of interest; the others are not even parsed. Empty for all lines.
        speed: how many of the lab's seconds a real one is; the records that are returned hold the lab's.
        translate: returns the records in a record's place.
    """

    def __init__(
        self,
        path: Path,
        *,
        offset: int = 0,
        keep: Callable[[Record], bool] = lambda _: True,
        names: Iterable[str] = (),
        speed: float = 1.0,
        translate: Callable[[Record], Iterable[Record]] = lambda record: (record,),
    ) -> None:
        self._translate = translate
        self.path = path
        self._offset = offset
        self._keep = keep
        self._names = tuple(name.encode() for name in names)
        self._speed = speed

    def new_records(self) -> list[Record]:
        """Return the records of the lines that were completed since the last call.

        Raises:
            HistoryError: a complete line is no record.
        """
        try:
            # Most looks find nothing, and are many: to ask for the size is a tenth of the work.
            if self.path.stat().st_size == self._offset:
                return []
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        lines = complete.splitlines()
        if self._names:
            lines = [line for line in lines if any(name in line for name in self._names)]
        records = [parse_record(line, self.path) for line in lines]
        self._offset += len(complete)
        kept = [told for record in records if self._keep(record) for told in self._translate(record)]
        return kept if self._speed == 1 else [{**record, "time": record["time"] * self._speed} for record in kept]


class HistoryTail:
    """All files of a run, as one history that grows.

    Args:
        directory: every ``*.jsonl`` file in it is a process's.
        others: files that lie elsewhere, such as the endpoint's.
        speed: how many of the lab's seconds a real one is.
    """

    def __init__(self, directory: Path, others: Iterable[TailedFile] = (), *, speed: float = 1.0) -> None:
        self._directory = directory
        self._speed = speed
        self._others = tuple(others)
        self._own: dict[str, TailedFile] = {}
        self._records: list[Record] = []
        self.history = History(())

    def poll(self) -> bool:
        """Read what is new; return whether ``history`` has grown (it is then a new value)."""
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._directory)):  # noqa: PTH208 - a Path for each is most of the work
                if name.endswith(".jsonl") and name not in self._own:
                    self._own[name] = TailedFile(self._directory / name, speed=self._speed)
        new = [record for file in (*self._others, *self._own.values()) for record in file.new_records()]
        if not new:
            return False
        self._records += new
        self.history = History(self._records)
        return True


def read_history(path: Path) -> History:
    """Read a merged history.

    Raises:
        HistoryError: the file is not there, or a line of it is no record.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HistoryError(f"The history {path} cannot be read: {error.strerror}.") from None
    return History(parse_record(line, path) for line in data[: data.rfind(b"\n") + 1].splitlines())


def write_history(history: History, path: Path) -> None:
    """Write a merged history, whole or not at all."""
    write_atomically(path, b"".join(record_line(record) for record in history.records), durable=False)


def parse_record(line: bytes, path: Path) -> Record:
    """Return a line's record.

    Raises:
        HistoryError: it is none.
    """
    try:
        record: Record = json.loads(line)
        typed(record)
    except (ValueError, RecursionError) as error:
        raise HistoryError(
            f"The history {path} holds a line that is no record: {line[:80]!r} ({error}); the file was edited."
        ) from None
    return record


def record_line(record: Record) -> bytes:
    """Return a record as a history's line."""
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
