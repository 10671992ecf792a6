"""What a set of scenarios looks like on a terminal: who is at work, each run as it ends, and one table of all."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.commands.output import short
from scenarios.commands.status_line import StatusLine
from scenarios.runs.suite import Entry

_UNDECLARED = Text("undeclared", style="yellow")
_MARKS = {
    0: Text("ok", style="green"),
    1: Text("UNEXPECTED", style="bold red"),
    2: Text("?", style="yellow"),
    3: Text("BROKEN", style="bold red"),
}


class SuiteProgress(StatusLine):
    """Shows how a suite goes (see :class:`scenarios.runs.suite.SuiteObserver`)."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._runs = 0
        self._ended = 0
        self._stages: dict[str, str] = {}
        self.show("bringing up a stack")

    def begins(self, runs: int, stack: str) -> None:
        """Say how much there is to do."""
        self._runs = runs
        self.print(f"{runs} runs on the stack {stack}, up after {self.seconds:.1f} s")

    def stage(self, name: str, text: str) -> None:
        """Show who is at work."""
        self._stages[name] = text
        self._refresh()

    def ended(self, entry: Entry, *, again: bool = False) -> None:
        """Print the run's line."""
        self._ended += not again
        self._stages.pop(_name(entry), None)
        said = str(entry.result.verdict.outcome).upper() if entry.result else "no verdict"
        seconds = f"{entry.result.seconds:4.1f} s" if entry.result else ""
        alone = "  retried" if again else ""
        self.print(f"{self.seconds:6.1f} s  {said:12}  {_name(entry)}  {seconds}{alone}")
        self._refresh()

    def _refresh(self) -> None:
        self.show(f"{self._ended} of {self._runs} done; running: {', '.join(self._stages)}")


def print_suite(console: Console, entries: Sequence[Entry], seconds: float) -> None:
    """Print the table, why a run came out unexpectedly, and how long all took."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("scenario", "verdict", "", "took", "seed", "run"):
        table.add_column(heading, no_wrap=True)
    for entry in entries:
        result = entry.result
        if result is None:
            table.add_row(_name(entry), "none", _MARKS[entry.exit_code], "", "", "")
            continue
        verdict = result.verdict
        table.add_row(
            _name(entry),
            str(verdict.outcome),
            _UNDECLARED if entry.is_undeclared else _MARKS[entry.exit_code],
            f"{result.seconds:.1f} s",
            str(verdict.conditions.seed),
            short(result.directory),
        )
    console.print()
    console.print(table)
    for entry in entries:
        if entry.exit_code or entry.is_undeclared:
            why = entry.result.verdict.reason if entry.result else entry.error
            console.print()
            console.print(Text(f"{_name(entry)}: {why}"), soft_wrap=True)
            if entry.result:
                console.print(Text(f"reproduce: {entry.result.verdict.conditions.command}"), soft_wrap=True)
    undeclared = sum(entry.is_undeclared for entry in entries)
    good = sum(not entry.exit_code for entry in entries) - undeclared
    others = f", {undeclared} about patterns that are not declared" if undeclared else ""
    console.print()
    console.print(Text(f"{good} of {len(entries)} ok{others}, in {seconds:.1f} s"))


def _name(entry: Entry) -> str:
    return f"{entry.scenario.name} (naive twin)" if entry.naive else entry.scenario.name
