"""The corpus: histories that led to unusual states, kept as choices, for later campaigns to begin with and change.

    runs/corpus/<target>-<digest>.json

A campaign that is told to use it mutates an entry in one history of a few: it keeps the choices up to a point, answers
some of them anew, or draws all that follow. At its end it keeps the histories that together cover most states. What a
campaign reads is fixed when it begins, so its histories still follow from its seed, its corpus and their indices.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.files import write_atomically
from scenarios.errors import LabError, RequestError
from scenarios.exploration.state_coverage import states_of
from scenarios.exploration.targets import Target
from scenarios.simulation.choices import Choices, RecordedChoices, SeededChoices
from scenarios.simulation.run import simulate

DIRECTORY = "corpus"
#: The version of the file's form.
FORM = 1
#: So many entries are kept of a target.
MOST: Final = 64
#: At most one choice in so many is answered anew.
RARELY: Final = 40
#: In one mutation of so many, all choices after a point are drawn.
NEW_TAIL_ONE_IN: Final = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A history of the corpus.

    Attributes:
        seed: of its messages.
        choices: the numbers that decided it, its faults included; each is below 128.
    """

    seed: int
    choices: bytes


class MutatedChoices(Choices):
    """The choices of an entry, changed here and there by a seed."""

    def __init__(self, entry: Entry, seed: int) -> None:
        self._kept = entry.choices
        self._at = 0
        self._new = SeededChoices(seed)
        length = len(entry.choices)
        # All after a point, or a few anywhere.
        new_tail = not self._new.below(NEW_TAIL_ONE_IN)
        self._until = self._new.below(length + 1) if new_tail else length
        often = 0 if new_tail else 1 + self._new.below(max(1, length // RARELY))
        self._changed = frozenset(self._new.below(length) for _ in range(often)) if length else frozenset()

    def draw(self, bound: int) -> int:
        """See :class:`scenarios.simulation.choices.Choices`."""
        at = self._at
        self._at = at + 1
        if at >= self._until or at in self._changed:
            return self._new.draw(bound)
        return min(self._kept[at], bound - 1)


def corpus_path(runs: Path, target: Target) -> Path:
    """Return the file that holds a target's corpus."""
    digest = hashlib.blake2b(json.dumps(target.as_json(), sort_keys=True).encode(), digest_size=6).hexdigest()
    return runs / DIRECTORY / f"{target.name}-{digest}.json"


def read_corpus(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file; none where there is no file.

    Raises:
        RequestError: it holds no corpus.
    """
    try:
        content = json.loads(path.read_bytes())
        form = content["form"]
        entries = tuple(Entry(item["seed"], base64.b64decode(item["choices"])) for item in content["entries"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, LookupError, TypeError):
        form, entries = None, ()
    if form != FORM:
        raise RequestError(f"The file {path} holds no corpus of this version; remove it, and explore again.")
    return entries


def write_corpus(path: Path, target: Target, entries: Sequence[Entry]) -> None:
    """Write a target's corpus in the place of the one before."""
    document = {
        "form": FORM,
        "target": target.as_json(),
        "entries": [{"seed": entry.seed, "choices": base64.b64encode(entry.choices).decode()} for entry in entries],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(document).encode() + b"\n", durable=False)


def best_of(target: Target, candidates: Iterable[tuple[int, Choices]], most: int = MOST) -> tuple[Entry, ...]:
    """Return the histories that together cover most states, the richest first.

    Args:
        target: what is explored.
        candidates: the seed and the choices of each history.
        most: entries.
    """
    found: list[tuple[Entry, set[int]]] = []
    for seed, choices in candidates:
        recorded = RecordedChoices(choices)
        with suppress(LabError):
            states = states_of(simulate(target.plan(seed), recorded).history)
            found.append((Entry(seed, bytes(recorded.taken)), states))
    chosen: list[Entry] = []
    covered: set[int] = set()
    while found and len(chosen) < most:
        richest = max(found, key=lambda item: len(item[1] - covered))
        if not richest[1] - covered:
            break
        chosen.append(richest[0])
        covered |= richest[1]
        found.remove(richest)
    return tuple(chosen)
