"""``invoke explore --beyond``: which of its assumptions a consumer needs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.commands.options import VIOLATED, print_json
from scenarios.commands.status_line import StatusLine, make_console
from scenarios.exploration.beyond import Beyond, explore_beyond
from scenarios.exploration.campaign import Campaign, Tally
from services.consumer.assumptions import Assumption

#: Histories of each campaign where no option gives a number.
HISTORIES_EACH = 2_000


def beyond(campaign: Campaign, *, json: bool) -> int:
    """Drop assumptions one by one, and report; return 1 where something is violated within all of them, else 0."""
    with StatusLine(make_console(stderr=json)) as line:

        def told(dropped: Assumption | None, tally: Tally, _seconds: float) -> None:
            where = f"without {dropped}" if dropped else "within all assumptions"
            line.say(f"{where}: {tally.histories:,} of {campaign.histories:,} histories")

        found = list(explore_beyond(campaign, told))
    if json:
        print_json(
            {
                "schema": 1,
                "target": campaign.target.as_json(),
                "seed": campaign.seed,
                "campaigns": [item.as_json() for item in found],
            }
        )
    else:
        _print(found, campaign)
    return VIOLATED if found[0].violated else 0


def _print(found: Sequence[Beyond], campaign: Campaign) -> None:
    console = Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("dropped", "needed", "histories", "violated"):
        table.add_column(column, no_wrap=True)
    table.add_column("it says", overflow="fold")
    for item in found:
        table.add_row(
            item.dropped or "none",
            _needed(item),
            f"{item.explored.tally.histories:,}",
            ", ".join(item.violated),
            item.dropped.meaning if item.dropped else "all faults keep to what the consumer declares",
        )
    console.print(table)
    for item in found:
        if item.dropped and item.declared and not item.violated:
            console.print(Text(f"{item.dropped} is declared, and no history of {campaign.histories:,} needed it."))
    if found[0].violated:
        console.print(Text("The consumer fails within its assumptions; `invoke explore` without --beyond shows how."))
    console.print(Text(f"seed {campaign.seed}"))


def _needed(item: Beyond) -> str:
    if item.dropped is None:
        return "fails" if item.violated else "-"
    if not item.declared:
        return "not declared, holds without" if not item.violated else "YES, and not declared"
    return "yes" if item.violated else "not seen"
