"""What a run looks like on a terminal: progress while it goes on, then one table, the verdict and how to repeat it.

On a terminal the progress is one live line; elsewhere each stage is a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.commands.status_line import StatusLine
from scenarios.history import History
from scenarios.model import Scenario
from scenarios.report.html import REPORT
from scenarios.runs.index import Run
from scenarios.runs.run import RunResult
from scenarios.verdict import Outcome, Verdict

COLOURS = {Outcome.PASS: "bold green", Outcome.FAIL: "bold red", Outcome.INCONCLUSIVE: "bold yellow"}


class Progress(StatusLine):
    """Shows how a run goes (see :class:`scenarios.local.observer.Observer`)."""

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(console)
        self._stage = ""
        self._counts = ""
        self.print(title)

    def began(self, seed: int, directory: Path) -> None:
        """Print the seed, without which a run cannot be repeated."""
        self.print(f"seed {seed}, files in {short(directory)}")

    def stage(self, text: str) -> None:
        """Show what comes next, once."""
        if text == self._stage:
            return
        self._stage = text
        if not self.live:
            self.print(f"{self.seconds:6.1f} s  {text}")
        self._refresh()

    def grown(self, history: History) -> None:
        """Show the counts."""
        again = sum(delivery.receive_count > 1 for delivery in history.deliveries)
        done = sum(effect.status == "ok" for effect in history.effects)
        self._counts = (
            f"sent {len(history.sends)} · done {done} · delivered again {again} · "
            f"deleted {len(history.gone)} · dead letters {len(history.dead_letters)} · faults {len(history.faults)}"
        )
        self._refresh()

    def waited(self) -> None:
        """Do nothing: a Ctrl-C reaches the run by itself."""

    def _refresh(self) -> None:
        self.show("  ".join(filter(None, (self._stage, self._counts))))


def print_result(console: Console, result: RunResult) -> None:
    """Print the table, the verdict with its reason, where the run is, and how to repeat it."""
    lines = [
        f"the end of {name}'s log:\n" + "\n".join(f"  | {line}" for line in log) for name, log in result.logs.items()
    ]
    where = result.verdict.conditions.endpoint
    lines.append(f"took       {result.seconds:.1f} s on stack {result.stack}{f', {where}' if where else ''}")
    kept = (
        [f"kept       stack {result.stack}; `invoke down --stack {result.stack}` takes it down"] if result.kept else []
    )
    print_verdict(console, result.verdict, result.directory, lines, kept)


def print_verdict(
    console: Console, verdict: Verdict, directory: Path, before: Iterable[str], after: Iterable[str] = ()
) -> None:
    """Print a verdict as every tier does, with lines of the tier's own before and after where the run is."""
    console.print()
    console.print(findings(verdict))
    console.print()
    console.print(headline(str(verdict.outcome).upper(), COLOURS[verdict.outcome], verdict.reason))
    where = (
        f"run        {short(directory)}",
        f"report     {short(directory / REPORT)}",
        f"reproduce  {verdict.conditions.command}",
    )
    for line in (*_remarks(verdict), *before, *where, *after):
        console.print(Text(line), soft_wrap=True)


def headline(word: str, style: str, rest: str) -> Text:
    """Return a line that begins with one coloured word."""
    line = Text(word, style=style)
    line.append(f"  {rest}", style="not bold default")
    return line


def findings(verdict: Verdict) -> Table:
    """Return the table of invariants and witnesses, each with its evidence."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text("invariants", style="bold"))
    for invariant in verdict.invariants:
        found = verdict.violations[invariant.name]
        if found:
            times = f"{len(found)} violations, e.g. " if len(found) > 1 else ""
            mark, said = Text("VIOLATED", style="bold red"), f"{times}{found[0].summary}"
        else:
            mark, said = Text("holds", style="green"), invariant.promise
        table.add_row(mark, invariant.name, Text(said))
    table.add_row(Text("witnesses", style="bold"))
    for witness in verdict.witnesses:
        evidence = verdict.evidence[witness.name]
        if evidence is not None:
            mark, said = Text("seen", style="green"), evidence.summary
        elif witness.required:
            mark, said = Text("MISSING", style="bold yellow"), witness.question
        else:
            mark, said = Text("not seen"), f"{witness.question} (not needed for a verdict)"
        table.add_row(mark, witness.name, Text(said))
    _add_not_judged(table, verdict)
    for name, found in verdict.warnings.items():
        table.add_row(Text("warning", style="yellow"), name, Text(f"{len(found)} times, e.g. {found[0].summary}"))
    return table


def _add_not_judged(table: Table, verdict: Verdict) -> None:
    """Add what convicts nobody: unseen operations, patterns that are not declared, messages that had no fair chance."""
    if verdict.not_judged or verdict.undeclared or verdict.excused:
        table.add_row(Text("not judged", style="bold"))
    for name, operations in verdict.not_judged.items():
        table.add_row(Text("unseen"), name, Text(f"{', '.join(operations)} cannot be seen from outside a program"))
    for name, pattern in verdict.undeclared.items():
        table.add_row(Text("undeclared"), name, Text(f"this consumer does not declare the pattern {pattern}"))
    for item in verdict.excused:
        table.add_row(Text("excused", style="yellow"), item.invariant, Text(item.why))


def _remarks(verdict: Verdict) -> Iterable[str]:
    twin = verdict.scenario.naive_twin
    if verdict.twin_met is True:
        yield f"This is the naive twin, without {twin.without}: it must violate {twin.violation}."
    elif verdict.twin_met is False:
        yield (
            f"THE NAIVE TWIN DID NOT VIOLATE {twin.violation}. It must, without {twin.without}; until it does, "
            "this scenario proves nothing about the pattern."
        )
    yield from verdict.remarks
    if verdict.recovered:
        yield f"{verdict.recovered} messages came out although no producer knew of their send."
    if verdict.queue_duplicates:
        yield f"The queue itself delivered twice: {', '.join(verdict.queue_duplicates[:10])}."


def print_scenarios(console: Console, scenarios: Iterable[Scenario]) -> None:
    """Print the table of scenarios."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("name", "pace", "messages", "what it shows", "its naive twin violates"):
        table.add_column(heading, no_wrap=heading != "what it shows")
    for scenario in scenarios:
        table.add_row(
            scenario.name,
            scenario.pace,
            str(scenario.defaults.count),
            scenario.summary,
            scenario.naive_twin.violation,
        )
    console.print(table)


def print_runs(console: Console, runs: Iterable[Run]) -> None:
    """Print the table of runs."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    for heading in ("run", "tier", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for run in runs:
        verdict = run.verdict
        if verdict is None:
            table.add_row(run.name, "", Text("none", style="yellow"), "it did not come to its end")
            continue
        outcome = Text(verdict["verdict"], style=COLOURS[Outcome(verdict["verdict"])])
        twin = " (naive twin)" if verdict["naive"] else ""
        table.add_row(run.name, verdict["tier"], outcome + Text(twin), Text(verdict["reason"], overflow="ellipsis"))
    if table.row_count:
        console.print(table)
    else:
        console.print("There is no run yet; `invoke scenario --name crash` makes one.")


def short(path: Path) -> str:
    """Return a path as seen from the working directory, where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
