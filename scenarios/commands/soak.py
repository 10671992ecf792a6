"""``invoke soak``: kill processes at random moments while traffic flows, and print what became of every message."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.commands.options import (
    Number,
    check_consumer,
    chosen_seed,
    command,
    print_json,
    termination_as_exit,
    whole,
)
from scenarios.commands.output import COLOURS, headline, short
from scenarios.commands.status_line import StatusLine, make_console
from scenarios.errors import BROKEN, RequestError
from scenarios.runs.soak import TABLE, Round, Soak, SoakRequest
from scenarios.runs.soak import soak as run_soak
from scenarios.verdict import Outcome

#: More of either is a typing error.
MAX_MINUTES, MAX_KILLS = 24 * 60.0, 1_000_000
MEGABYTE = 1_000_000


@command
def soak(
    *,
    minutes: float | str | None = None,
    kills: Number = None,
    seed: Number = None,
    consumer: str | None = None,
    json: bool = False,
) -> int:
    """Soak; print the report, and return the exit code.

    Args:
        minutes: it ends then at the latest; None for 10.
        kills: it ends after so many; None for 1000.
        seed: None draws one.
        consumer: a class in the place of our consumer, as ``module:Class``.
        json: print nothing but the report as JSON; progress goes to standard error.
    """
    given = check_consumer(consumer)
    if given and ":" not in given:
        raise RequestError(f"soak takes a class such as my.module:MyConsumer, and --consumer is {given!r}.")
    request = SoakRequest(
        minutes=_minutes(minutes),
        kills=whole("--kills", kills, 1, MAX_KILLS) or 1000,
        seed=chosen_seed(seed),
        consumer=given,
    )
    with termination_as_exit(), _Progress(make_console(stderr=json), request) as progress:
        found = run_soak(request, progress)
    if json:
        print_json(found.as_json())
    else:
        print_soak(make_console(), found)
    return found.exit_code


def _minutes(value: float | str | None) -> float:
    try:
        minutes = 10.0 if value in (None, "") else float(value)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= MAX_MINUTES:
        raise RequestError(f"--minutes must be a number above 0, up to {MAX_MINUTES:g}, and is {value!r}.")
    return minutes


class _Progress(StatusLine):
    """Shows how a soak goes (see :class:`scenarios.runs.soak.SoakObserver`)."""

    def __init__(self, console: Console, request: SoakRequest) -> None:
        super().__init__(console)
        self.print(f"soak of {request.minutes:g} minutes or {request.kills} kills, seed {request.seed}")

    def ended(self, round_: Round, so_far: Soak) -> None:
        """Say what all rounds have come to, and what went wrong in this one."""
        if round_.exit_code:
            verdict = round_.error or (round_.verdict.reason if round_.verdict else "")
            where = f" (files: {short(round_.directory)})" if round_.directory else ""
            self.print(f"{self.seconds:6.1f} s  round {len(so_far.rounds)}: {verdict}{where}")
        self.say(
            f"{self.seconds:6.1f} s  {sum(so_far.kills.values())} kills · sent {so_far.total('sent')} · "
            f"handled {so_far.total('handled')} · lost {so_far.total('lost')} · twice {so_far.total('twice')}"
        )

    def waited(self) -> None:
        """Do nothing: a Ctrl-C reaches the soak by itself."""


def print_soak(console: Console, found: Soak) -> None:
    """Print the report and the verdict."""
    kills = found.kills
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, said in (
        ("sent", found.total("sent"), "messages whose send was acknowledged"),
        ("handled", found.total("handled"), "side effects that were done"),
        ("lost", found.total("lost"), "messages that were never done and are in no queue"),
        ("twice", found.total("twice"), "side effects that were done more than once"),
        ("dead letters", found.total("dead_lettered"), "messages whose receives the kills used up"),
        ("ended with the endpoint", found.total("gone"), "messages that waited in its memory when it was killed"),
        ("came again", found.total("again"), "messages that a killed consumer had held, delivered to another"),
        ("kills", sum(kills.values()), ", ".join(f"{count} of {kind}s" for kind, count in sorted(kills.items()))),
        ("restarts", found.total("started"), "consumers and producers that were started"),
        ("endpoints", found.endpoints, f"{found.total('outlived')} processes outlived one, and ended in order"),
        ("memory", round(found.memory / MEGABYTE), "megabytes: the most that an endpoint had at the end of a round"),
        ("rounds", len(found.rounds), f"in {found.seconds:.0f} s"),
    ):
        table.add_row(name, f"{value:,}", Text(said))
    console.print()
    console.print(table)
    console.print()
    outcome = {0: Outcome.PASS, 1: Outcome.FAIL}.get(found.exit_code, Outcome.INCONCLUSIVE)
    word = "BROKEN" if found.exit_code == BROKEN else str(outcome).upper()
    console.print(headline(word, COLOURS[outcome], found.reason), soft_wrap=True)
    for line in (f"report     {short(found.directory / TABLE)}", f"repeat     {found.request.command}"):
        console.print(Text(line), soft_wrap=True)
