"""The tables of options in docs/services.md, made from the options' declarations; ``invoke docs`` writes them."""

from __future__ import annotations

from collections.abc import Mapping

from services.consumer.settings import ConsumerFaults, ConsumerSettings
from services.producer.options import ProducerOptions, flag
from services.variables import markdown_table, rows

#: Each table, by the name in the comments around it.
TABLES: Mapping[str, str] = {
    "producer options": markdown_table(rows(ProducerOptions, spelled=flag), "option"),
    "consumer variables": markdown_table(rows(ConsumerSettings, leave_out=ConsumerFaults)),
    "fault variables": markdown_table(rows(ConsumerFaults)),
}


def with_tables(text: str) -> str:
    """Return a page with its tables as they should be: what stands between the comments of each is replaced.

    Raises:
        ValueError: the page has no place for one of them.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"The page has no place for the table {name!r}; give it one with {begin} and {end}.")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text
