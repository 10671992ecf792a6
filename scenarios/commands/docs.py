"""``invoke docs``: write the tables of scenarios, invariants and variables into README and docs, as they are declared.

A table stands between two comments, such as ``<!-- scenarios -->`` and ``<!-- /scenarios -->``. What stands there is
replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

from infra.files import write_atomically
from infra.stack.paths import project_root
from scenarios.catalog import all_scenarios
from scenarios.checks.costs import COSTS
from scenarios.checks.invariants import FIFO, Invariant
from scenarios.commands.options import command
from scenarios.errors import RequestError
from scenarios.model import Scenario, Theme
from services.operations import OPERATIONS
from services.tables import with_tables

#: An invariant of more scenarios than these is one of most.
MANY = 5
_STANDARD = frozenset(item.name for item in FIFO)


@command
def docs() -> int:
    """Write the tables into README.md and the pages of docs that hold one; return the exit code."""
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
    services, own = root / "docs" / "services.md", root / "docs" / "your-own-consumer.md"
    testing = root / "docs" / "testing.md"
    return {
        **{path: _placed(path, "scenarios", "\n".join(lines)) for path, lines in pages.items()},
        own: _placed(own, "invariants", "\n".join(_invariants(listed))),
        testing: _placed(testing, "operations", "\n".join(_operations())),
        services: with_tables(services.read_text(encoding="utf-8")),
    }


def _operations() -> Iterable[str]:
    """Yield the table of operations that a consumer may yield, each with its arguments."""
    yield "| operation | what it does |"
    yield "|---|---|"
    for name, kind in OPERATIONS.items():
        if kind.part == "program":
            continue
        arguments = ", ".join(
            item.name if item.default is MISSING and item.default_factory is MISSING else f"{item.name}="
            for item in fields(kind)
        )
        first = (kind.__doc__ or "").partition("\n")[0]
        said = re.sub(r":(?:class|data):`~?([\w.]+)`", r"`\1`", first).replace("``", "`")
        yield f"| `{name}({arguments})` | {said.replace('|', chr(92) + '|')} |"


def _placed(path: Path, name: str, table: str) -> str:
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    text, places = place.subn(lambda found: f"{found[1]}{table}\n{found[2]}", path.read_text(encoding="utf-8"))
    if places != 1:
        raise RequestError(f"{path} needs one place for its table: <!-- {name} --> and <!-- /{name} -->.")
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


def _invariants(scenarios: Iterable[Scenario]) -> Iterable[str]:
    """Yield the table of all invariants: what each promises, its class, and where it is judged."""
    rows: dict[tuple[str, str], list[str]] = {}
    for scenario in scenarios:
        for item in scenario.invariants:
            rows.setdefault((item.name, class_of(item, scenario)), []).append(scenario.name)
    promises = {item.name: item.promise for each in scenarios for item in each.invariants}
    promises |= {item.name: item.promise for item in FIFO}
    yield "| invariant | what it promises | class | where |"
    yield "|---|---|---|---|"
    for (name, kind), where in sorted(rows.items(), key=lambda row: (_rank(row[0][1]), row[0][0])):
        yield f"| `{name}` | {promises[name]} | {kind} | {_where(name, where)} |"
    for item in COSTS:
        yield f"| `{item.name}` | {item.promise} | cost | all |"


def class_of(item: Invariant, scenario: Scenario) -> str:
    """Return whose promise an invariant is in a scenario: every consumer's, or that of a pattern."""
    pattern = item.pattern or scenario.relies_on.get(item.name)
    if pattern is not None:
        return f"`{pattern}`"
    return "SQS and effects" if item.name in _STANDARD else "the scenario's task"


def _rank(kind: str) -> int:
    return ("SQS and effects", "the scenario's task").index(kind) if not kind.startswith("`") else 2


def _where(name: str, where: Sequence[str]) -> str:
    if name in _STANDARD and len(where) > MANY:
        return "most"
    return ", ".join(f"`{scenario}`" for scenario in where)
