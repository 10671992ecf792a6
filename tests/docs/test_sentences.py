"""A sentence of the pages is short: at most 25 words, and a table's cell likewise."""

import re

import pytest

from tests.docs.pages import pages, prose_of

MOST = 25
#: Pages about options and budgets with many conditions, where longer sentences stand.
LONGER = {"docs/simulation.md", "docs/your-own-consumer.md"}

_NEW_UNIT = re.compile(r"\s*([-*] |\d+\. |#+ |\||>|$)")
_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z])")
_CODE = re.compile(r"`[^`]*`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_CELLS = re.compile(r"(?<!\\)\|")


def units(lines):
    """Yield paragraphs, list items and table cells, code and targets of links left out."""
    paragraph = []
    for line in [*lines, ""]:
        if _NEW_UNIT.match(line) or line.startswith("    "):
            yield " ".join(paragraph)
            paragraph = []
        if line.strip().startswith("|"):
            yield from _CELLS.split(line)
        elif not line.startswith("    ") or line.lstrip().startswith(("-", "*")):
            paragraph.append(line.strip())


def sentences(lines):
    for unit in units(lines):
        yield from _END.split(_LINK.sub(r"\1", _CODE.sub("CODE", unit)))


def too_long(lines):
    return [said for said in sentences(lines) if sum(bool(re.search(r"\w", word)) for word in said.split()) > MOST]


@pytest.mark.parametrize("page", sorted(set(pages()) - LONGER))
def test_no_sentence_is_longer_than_a_reader_holds(page):
    assert not too_long(prose_of(page))


def test_a_long_sentence_is_found_and_two_short_ones_are_not():
    many = " ".join(["word"] * 20)
    assert too_long([f"{many},", f"{many}."])
    assert too_long(["| a |", f"| b | {many} {many} |"])
    assert not too_long([f"{many}.", f"Then {many}."])
    assert not too_long([f"- {many}", f"- {many}", "", f"{many} `{many}`"])
