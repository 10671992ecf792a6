"""The pages: README.md and docs/**/*.md, read for what a reader can type and follow.

    ```bash                                           a block; each of its lines is one command
    invoke scenario --name crash                      has to end with exit code 0
    invoke scenario --name crash --naive              with 1: a naive twin has to fail
    python -m services.producer --n 0  # exit code 2  or with what its comment says
    ```

A block of another language whose first line is a comment with a file's name (``# mine.py``, ``// mine.js``) is that
file, for the commands of its page. A fence without a language, or with ``text``, shows what is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: Histories of one exploration at most, as docs/scenarios/README.md says.
HISTORIES = 50
#: The seed of a run that names none: what the pages' own figures come from.
SEED = 7

_FENCE = re.compile(r"```(\w*)$")
_FILE = re.compile(r"(?:#|//) ([\w-]+\.\w+)$")
_COMMENT = re.compile(r"\s+#\s.*$")
_PROMISE = re.compile(r"# exit code (\d+)")
_SEEDED = re.compile(r"invoke (scenario|explore) ")
_SHARED = re.compile(r"invoke (explore|mutants) ")


@dataclass(frozen=True)
class Command:
    """One line of a block.

    Attributes:
        text: the command, without its comment.
        exit_code: what the page promises.
    """

    text: str
    exit_code: int

    @property
    def as_run(self) -> str:
        """The command with a seed, in one process, and with as few histories as a test has time for."""
        text = re.sub(r"--histories (\d+)", lambda found: f"--histories {min(int(found[1]), HISTORIES)}", self.text)
        for takes, option, value in ((_SEEDED, "--seed", SEED), (_SHARED, "--jobs", 1)):
            if takes.match(text) and option not in text:
                text += f" {option} {value}"
        return text


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        page: the page's path from the checkout.
        line: where it begins.
        language: what the fence says, empty for nothing.
        lines: what it holds.
    """

    page: str
    line: int
    language: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> tuple[Command, ...]:
        """What it has a reader type; nothing if it is no ``bash`` block."""
        return tuple(_commands(self.lines)) if self.language == "bash" else ()

    @property
    def file(self) -> str:
        """The name of the file that it shows, empty if it shows none."""
        named = _FILE.match(self.lines[0]) if self.lines and self.language not in {"", "bash", "text"} else None
        return named[1] if named else ""


@cache
def pages() -> tuple[str, ...]:
    """Return the paths of all pages, from the checkout."""
    return ("README.md", *sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs").rglob("*.md")))


@cache
def blocks() -> tuple[Block, ...]:
    """Return the blocks of all pages."""
    return tuple(block for page in pages() for block in blocks_of(page, (CHECKOUT / page).read_text().splitlines()))


def blocks_of(page: str, lines: Iterable[str]) -> Iterator[Block]:
    """Yield the blocks of one page."""
    language, begins, held = None, 0, []
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line.strip())
        if fence is None:
            held.append(line)
        elif language is None:
            language, begins, held = fence[1], number + 1, []
        else:
            yield Block(page, begins, language, tuple(held))
            language = None


def prose_of(page: str) -> list[str]:
    """Return the lines of a page outside its blocks."""
    prose, inside = [], False
    for line in (CHECKOUT / page).read_text().splitlines():
        if _FENCE.match(line.strip()):
            inside = not inside
        elif not inside:
            prose.append(line)
    return prose


def _commands(lines: Iterable[str]) -> Iterator[Command]:
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        text = _COMMENT.sub("", line).strip()
        if not text or text.startswith("#"):
            continue
        promised = _PROMISE.search(line)
        yield Command(text, int(promised[1]) if promised else int(" --naive" in text))
