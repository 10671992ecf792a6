"""The line that shows what goes on: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from infra.commands.printing import OutputConsole

#: Columns, where no terminal says how many there are.
PLAIN_WIDTH = 140
#: Seconds between two lines of progress where there is no terminal.
SAY_EVERY = 5.0


def make_console(*, stderr: bool = False) -> Console:
    """Return the console to print on."""
    console = OutputConsole(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


class StatusLine:
    """Shows what goes on; a context manager."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began_at = time.monotonic()
        self._said = 0.0
        self._status: Status | None = console.status("") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    @property
    def live(self) -> bool:
        """Whether there is a terminal, and so one line that changes."""
        return self._status is not None

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began_at

    def show(self, text: str) -> None:
        """Change the live line; elsewhere do nothing."""
        if self._status is not None:
            self._status.update(Text(text))

    def say(self, text: str) -> None:
        """Change the live line; elsewhere print a line, if the last one is some seconds old."""
        if self.live:
            self.show(text)
        elif time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            self.print(text)

    def print(self, line: str) -> None:
        """Print a line that stays."""
        self.console.print(Text(line), soft_wrap=True)
