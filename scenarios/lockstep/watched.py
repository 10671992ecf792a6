"""Side effects that a program causes past the explorer: rows of an SQLite table, lines of a log, what it prints.

One program computes at a time, and the explorer looks whenever it is at rest. So it knows whose each side effect is,
and between which two of its requests it was caused:

    answer ──▶ the program computes: (side effect), (side effect) ──▶ at rest: here they are seen ──▶ its next request

Before each write to where they lie it is at rest as well, and may die there: see ``scenarios.lockstep.writes``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from scenarios.checks.effects import RUN, STDOUT, LogEffect, SqlEffect, WatchedEffect
from scenarios.local.effect_sources import source_of
from scenarios.lockstep.launcher import LINES, LOCKS
from scenarios.lockstep.writes import Call, Writes, sqlite_write, written

#: The descriptors of what a program prints.
_OUTPUT = (1, 2)


class RunDirectory:
    """A directory of one history's own."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="queue-fundamentals-"))

    def remove(self) -> None:
        """Remove it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class Watched:
    """The side effects of one history.

    Args:
        effect: what the configuration says.
        run: the history's directory.
    """

    def __init__(self, effect: WatchedEffect, run: Path) -> None:
        self._effect = effect
        self._run = run
        #: By process: how much of what it has printed was read.
        self._read: dict[str, int] = {}
        self._source = None if isinstance(effect, LogEffect) and effect.path == STDOUT else source_of(effect, run, run)
        if self._source is not None:
            self._source.begin()

    def caused(self, name: str, child: Any) -> list[str]:
        """Return the keys of the side effects that were caused since the last look, in their order.

        Args:
            name: the process that has computed since then.
            child: its program; see :class:`scenarios.lockstep.child.Child`.

        Raises:
            ScenarioError: they cannot be read.
        """
        if self._source is not None:
            return self._source.new(None)
        assert isinstance(self._effect, LogEffect)  # noqa: S101 - as the constructor has seen
        offset = self._read.get(name, 0)
        data: bytes = child.printed(offset)
        complete = data[: data.rfind(b"\n") + 1]
        self._read[name] = offset + len(complete)
        lines = complete.decode(errors="replace").splitlines()
        return [key for line in lines if (key := self._effect.key_in(line))]

    def writes(self) -> Writes:
        """Return what holds a program that is about to start wherever it begins to write a side effect."""
        if isinstance(self._effect, SqlEffect):
            return Writes(LOCKS, sqlite_write)
        return Writes(LINES, self._line_of)

    def _line_of(self, call: Call) -> str:
        """Return the name of the log to which a call writes a side effect; empty for any other call."""
        assert isinstance(self._effect, LogEffect)  # noqa: S101 - as ``writes`` has seen
        data = written(call)
        if b"\n" not in data:
            return ""
        if self._effect.path == STDOUT:
            if call.arguments[0] not in _OUTPUT:
                return ""
            # Python prints a line in pieces, and no program reads what one that was killed has printed.
            name, data = STDOUT, call.last_line() + data
        else:
            path = os.path.realpath(self._effect.path.replace(RUN, str(self._run)))
            name = Path(call.file).name if fnmatch(call.file, path) else ""
        complete = data[: data.rfind(b"\n")].decode(errors="replace").splitlines()
        return name if any(self._effect.key_in(line) for line in complete) else ""

    def close(self) -> None:
        """Let go of where they are read."""
        if self._source is not None:
            self._source.close()
