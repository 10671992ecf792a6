"""``invoke docs``: write the tables of scenarios and of variables into README and docs, from their declarations.

A table stands between two comments, ``<!-- scenarios -->`` and ``<!-- /scenarios -->``. What stands there is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from infra.files import write_atomically
from infra.stack.paths import project_root
from scenarios.catalog import all_scenarios
from scenarios.commands.options import command
from scenarios.errors import RequestError
from scenarios.model import Scenario, Theme
from services.tables import with_tables

_PLACE = re.compile(r"(<!-- scenarios -->\n).*?(<!-- /scenarios -->)", re.DOTALL)


@command
def docs() -> int:
    """Write the tables into README.md, docs/scenarios/README.md and docs/services.md; return the exit code."""
    for path, text in tables(project_root()).items():
        changed = text != path.read_text(encoding="utf-8")
        if changed:
            write_atomically(path, text.encode())
        print(f"{'written' if changed else 'as it was'}  {path.relative_to(project_root())}")
    return 0


def tables(root: Path) -> dict[Path, str]:
    """Return, by path, each page that holds a table, with the table as it is declared.

    Raises:
        RequestError: a page has no place for its table.
    """
    listed = tuple(all_scenarios().values())
    pages = {root / "README.md": _overview(listed), root / "docs" / "scenarios" / "README.md": _patterns(listed)}
    services = root / "docs" / "services.md"
    return {
        **{path: _placed(path, "\n".join(lines)) for path, lines in pages.items()},
        services: with_tables(services.read_text(encoding="utf-8")),
    }


def _placed(path: Path, table: str) -> str:
    text, places = _PLACE.subn(lambda found: f"{found[1]}{table}\n{found[2]}", path.read_text(encoding="utf-8"))
    if places != 1:
        raise RequestError(f"{path} needs one place for its table: <!-- scenarios --> and <!-- /scenarios -->.")
    return text


def _overview(scenarios: Iterable[Scenario]) -> Iterable[str]:
    """Yield README's table: by theme, what a scenario shows and how its naive twin fails."""
    listed = tuple(scenarios)
    yield "| scenario | what it shows | its naive twin |"
    yield "|---|---|---|"
    for theme in get_args(Theme):
        yield f"| **{theme}** | | |"
        for scenario in (each for each in listed if each.theme == theme):
            twin = scenario.naive_twin
            slow = "(slow) " if scenario.pace == "slow" else ""
            link = f"[`{scenario.name}`](docs/scenarios/{scenario.name}.md)"
            yield f"| {link} | {slow}{scenario.summary} | without {twin.without}: `{twin.violation}` |"


def _patterns(scenarios: Iterable[Scenario]) -> Iterable[str]:
    """Yield the table of docs/scenarios: which pattern a scenario shows."""
    yield "| scenario | what it shows | the pattern |"
    yield "|---|---|---|"
    for scenario in scenarios:
        yield f"| [{scenario.name}]({scenario.name}.md) | {scenario.summary} | {scenario.pattern} |"
