"""The end of a process's log, as terminal and report show it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

#: The most lines that are shown of one log.
MOST_LINES = 15
#: The most characters that are shown of one line.
MOST_CHARACTERS = 300
#: The most bytes that are read for them.
MOST_BYTES = 64 * 1024

#: Colours and the like, and what would move a terminal's cursor.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def last_lines(log: Path) -> tuple[str, ...]:
    """Return the last lines of a log, as plain text; none where there is no log, or nothing in it."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            text = file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return ()
    lines = [_CONTROL.sub("", line.replace("\t", "    ")).rstrip() for line in text.splitlines()]
    return tuple(line[:MOST_CHARACTERS] for line in lines if line)[-MOST_LINES:]


def logs_of(directory: Path, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the last lines of the logs of some processes; those that said nothing are left out."""
    found = {name: last_lines(directory / f"{name}.log") for name in names}
    return {name: lines for name, lines in found.items() if lines}
