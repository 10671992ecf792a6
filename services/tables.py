"""The tables of variables in docs/services.md, made from the options' declarations.

``python -m services.tables`` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from services.consumer.settings import ConsumerFaults, ConsumerSettings
from services.variables import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "services.md"
#: Each table, by the name that its marks on the page bear.
TABLES: Mapping[str, str] = {
    "consumer variables": markdown_table(ConsumerSettings, leave_out=ConsumerFaults),
    "fault variables": markdown_table(ConsumerFaults),
}


def with_tables(text: str) -> str:
    """Return a page with its tables as they should be: what stands between the marks of each is replaced.

    Raises:
        ValueError: the page has no marks for one of them.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"The page has no place for the table {name!r}; give it one with {begin} and {end}.")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


def main() -> int:
    """Write the page."""
    PAGE.write_text(with_tables(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
