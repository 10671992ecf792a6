"""Side effects that a program causes past the explorer: rows of an SQLite table, lines of a log, what it prints.

One program computes at a time, and the explorer looks whenever it is at rest. So it knows whose each side effect is,
and between which two of its requests it was caused:

    answer ──▶ the program computes: (side effect), (side effect) ──▶ at rest: here they are seen ──▶ its next request
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from scenarios.checks.effects import STDOUT, LogEffect, WatchedEffect
from scenarios.local.effect_sources import source_of


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

    def close(self) -> None:
        """Let go of where they are read."""
        if self._source is not None:
            self._source.close()
