"""``invoke sweep``: strike each request of a program with each fault, and print one table of verdicts."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, Unpack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from scenarios.checks.program_config import ProgramConfig
from scenarios.commands.options import (
    HandlerOptions,
    Number,
    chosen_handler,
    chosen_seed,
    chosen_startup_timeout,
    command,
    configured_consumer,
    print_json,
    termination_as_exit,
    whole,
)
from scenarios.commands.output import short
from scenarios.commands.status_line import make_console
from scenarios.commands.suite import shares_effect
from scenarios.errors import RequestError
from scenarios.report.html import REPORT
from scenarios.runs.sweep import HANDLER_KINDS, KINDS, MOST_AT_A_TIME, Entry, Sweep, SweepRequest
from scenarios.runs.sweep import sweep as run_sweep
from scenarios.verdict import Outcome

#: The most messages of one run: more of them teach nothing new, and each adds its requests to the table.
MOST_MESSAGES = 50

_CELLS = {
    Outcome.PASS: Text("pass", style="green"),
    Outcome.FAIL: Text("FAIL", style="bold red"),
    Outcome.INCONCLUSIVE: Text("?", style="yellow"),
}


@command
def sweep(
    *,
    consumer: str | None = None,
    count: Number = None,
    seed: Number = None,
    jobs: Number = None,
    faults: str | None = None,
    only: str | None = None,
    startup_timeout: float | str | None = None,
    messages: str | None = None,
    message_key: str | None = None,
    follows: str | None = None,
    json: bool = False,
    handler: str | None = None,
    **function: Unpack[HandlerOptions],
) -> int:
    """Strike each request of a program with each fault; print the table, and return the exit code.

    Args:
        consumer: the program's command line.
        count: messages of each run; None for 2.
        seed: None draws one.
        jobs: runs at a time; None for as many as suit the machine.
        faults: the faults, separated by commas; None for all.
        only: strike only requests whose name holds this text.
        startup_timeout: real seconds for a program to start, and to ask for its first message.
        messages: a file of messages for a program, in the place of the lab's own.
        message_key: the JSON path to the key in each of them.
        follows: the patterns that a program declares, separated by commas, or ``none``.
        json: print nothing but the table as JSON; progress goes to standard error.
        handler: a Lambda handler in the place of a program: ``module.function``, or a program.
        function: the options of the handler's function and event source mapping.
    """
    own = chosen_handler(handler, function)
    if own is not None and (consumer is not None or messages or follows):
        raise RequestError(
            "--consumer, --messages and --follows are for a program, and --handler for a function; give one."
        )
    program, config = ("", ProgramConfig()) if own else configured_consumer(consumer, messages, message_key, follows)
    if not program and own is None:
        raise RequestError("Which program? Give --consumer, such as --consumer 'node my.js', or --handler app.handler.")
    request = SweepRequest(
        program,
        kinds=_kinds(faults, tuple(KINDS) if own is None else HANDLER_KINDS),
        count=whole("--count", count, 1, MOST_MESSAGES) or 2,
        seed=chosen_seed(seed),
        jobs=1 if shares_effect(config) else whole("--jobs", jobs, 1, MOST_AT_A_TIME),
        only=only or "",
        startup_timeout=chosen_startup_timeout(startup_timeout) or config.startup_timeout,
        program=config,
        handler=own,
    )
    with termination_as_exit(), _Shown(make_console(stderr=json), request) as shown:
        found = run_sweep(request, shown)
    if json:
        print_json(found.as_json())
    else:
        print_sweep(make_console(), found)
    return found.exit_code


def _kinds(faults: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (faults or "").split(",") if name.strip())
    for name in names:
        if name not in known:
            raise RequestError(f"--faults knows no {name!r}; it takes {', '.join(known)}, separated by commas.")
    return tuple(dict.fromkeys(names)) or known


class _Shown:
    """Shows how a sweep goes (see :class:`scenarios.runs.sweep.SweepObserver`); a context manager."""

    def __init__(self, console: Console, request: SweepRequest) -> None:
        self._console = console
        self._began = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("runs", total=None)
        self._print(f"sweep of {request.subject}, seed {request.seed}")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def stage(self, text: str) -> None:
        """Say what comes next."""
        self._print(text)

    def begins(self, points: int, runs: int) -> None:
        """Say how much there is to do."""
        self._print(f"the program makes {points} requests: {runs} runs")
        self._bar.update(self._task, total=runs)

    def ended(self, entry: Entry) -> None:
        """Show a run that is over."""
        self._bar.advance(self._task)
        if not self._console.is_terminal or entry.outcome != Outcome.PASS:
            what = f"{entry.kind} at {entry.point.name}" if entry.point else "no fault"
            self._print(f"{entry.outcome.upper():12}  {what}")

    def _print(self, line: str) -> None:
        self._console.print(Text(f"{time.monotonic() - self._began:6.1f} s  {line}"), soft_wrap=True)


def print_sweep(console: Console, found: Sweep) -> None:
    """Print the table, the first violation with its report, and how to repeat it."""
    kinds = found.request.kinds
    cells = {(entry.point.name, entry.kind): entry for entry in found.entries if entry.point}
    console.print()
    if cells:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("request", *kinds):
            table.add_column(heading, no_wrap=heading != "request", overflow="fold")
        for name in dict.fromkeys(name for name, _ in cells):
            table.add_row(name, *(_cell(cells.get((name, kind))) for kind in kinds))
        console.print(table)
        console.print()
    outcomes = [entry.outcome for entry in found.entries]
    failed, open_ = outcomes.count("fail"), sum(outcome in ("inconclusive", "none") for outcome in outcomes)
    word = "FAIL" if failed else "INCONCLUSIVE" if open_ else "PASS"
    said = f"{word}  {len(outcomes)} runs: {outcomes.count('pass')} pass, {failed} fail, {open_} show nothing"
    console.print(Text(f"{said}; in {found.seconds:.1f} s"))
    for entry in found.entries:
        if entry.outcome in ("none", "inconclusive"):
            where = f"{entry.kind} at {entry.point.name}" if entry.point else "no fault"
            why = entry.result.verdict.reason if entry.result else entry.error
            console.print(Text(f"shows nothing: {where}: {why}"), soft_wrap=True)
    first = found.first_violation
    if first and first.result:
        where = f"{first.kind} at {first.point.name}" if first.point else "no fault at all"
        console.print(Text(f"first violation: {where}: {first.result.verdict.reason}"), soft_wrap=True)
        for name, lines in first.result.logs.items():
            console.print(Text("\n".join([f"the end of {name}'s log:", *(f"  | {line}" for line in lines)])))
        console.print(Text(f"report   {short(first.result.directory / REPORT)}"), soft_wrap=True)
        console.print(Text(f"reproduce  {first.result.verdict.conditions.command}"), soft_wrap=True)
    console.print(Text(f"table    {short(found.directory)}/sweep.json"), soft_wrap=True)


def _cell(entry: Entry | None) -> Text:
    if entry is None:
        return Text("-", style="dim")  # no such fault can strike there
    if entry.result is None:
        return Text("none", style="yellow")
    verdict = entry.result.verdict
    cell = _CELLS[verdict.outcome].copy()
    violated = [name for name, found in verdict.violations.items() if found]
    if violated:
        cell = Text(", ".join(violated[:2]), style="bold red")
    cell.append(f" {entry.result.seconds:.1f} s", style="dim not bold")
    if entry.ended_by_itself is not None:
        cell.append(f" exit {entry.ended_by_itself}", style="yellow not bold")
    return cell
