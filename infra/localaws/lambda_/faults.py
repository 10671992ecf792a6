"""Faults that a lab scripts: each strikes one invocation of a function, or one delete of its mapping.

A fault is data, and each that has struck is told to the observer as ``fault-struck``, so that a witness can find it in
the history. What a lab does at one of the handler's own calls it does itself: it sees the call, and crashes the
function's environments.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final


class FaultKind(Enum):
    """What happens."""

    CRASH_BEFORE = "crash-before"
    """The environment is killed before the handler sees the event."""
    CRASH_DURING = "crash-during"
    """It is killed so many seconds after the handler got the event."""
    CRASH_AFTER = "crash-after"
    """It is killed when the handler has returned, and before the answer counts."""
    HANG = "hang"
    """The handler stands still so many seconds after it got the event, and is killed at the function's timeout."""
    ANSWER_LOST = "answer-lost"
    """The answer does not reach the poller, and the environment lives on."""
    THROTTLE = "throttle"
    """From here on every invocation is throttled for so many seconds."""
    COLD_START = "cold-start"
    """The idle environments are gone, so that this invocation begins with an init."""
    DELETE_FAILED = "delete-failed"
    """The entries at these positions of a DeleteMessageBatch fail."""


#: What strikes an invocation that has begun; a throttle keeps it from beginning.
OF_INVOCATIONS: Final = (
    FaultKind.CRASH_BEFORE,
    FaultKind.CRASH_DURING,
    FaultKind.CRASH_AFTER,
    FaultKind.HANG,
    FaultKind.ANSWER_LOST,
    FaultKind.COLD_START,
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: what happens.
        at: which invocation (or delete, for DELETE_FAILED) of the function it strikes, counted from 1; 0 for every one.
        seconds: of the queue's clock; see the kind.
        entries: positions in the delete, from 0; empty for all.
    """

    kind: FaultKind
    at: int
    seconds: float = 0.0
    entries: tuple[int, ...] = ()

    def fails(self, position: int) -> bool:
        """Return whether the entry at a position of the delete fails."""
        return not self.entries or position in self.entries


class FaultPlan:
    """The faults that have yet to strike one function."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Script more."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Script none."""
        self._faults.clear()

    def take(self, kind: FaultKind, at: int) -> Fault | None:
        """Take out the fault of a kind that strikes an invocation; one that strikes every invocation stays."""
        for fault in self._faults:
            if fault.kind is kind and fault.at in {0, at}:
                if fault.at:
                    self._faults.remove(fault)
                return fault
        return None

    def take_any(self, kinds: Iterable[FaultKind], at: int) -> Fault | None:
        """Take out the first fault of these kinds that strikes an invocation."""
        return next((fault for kind in kinds if (fault := self.take(kind, at))), None) if self._faults else None


def parse_faults(documents: Any) -> list[Fault]:
    """Return the faults that a list of JSON objects describes.

    Raises:
        ValueError: one is malformed; the message is a sentence.
    """
    if not isinstance(documents, list):
        raise ValueError("faults is a list of objects.")  # noqa: TRY004 - one kind of refusal
    return [_parse(document) for document in documents]


def _parse(document: Any) -> Fault:
    if not isinstance(document, Mapping) or document.keys() - {"kind", "at", "seconds", "entries"}:
        raise ValueError('a fault is an object with "kind" and "at", and perhaps "seconds" or "entries".')
    kinds = {kind.value: kind for kind in FaultKind}
    kind = kinds.get(str(document.get("kind")))
    if kind is None:
        raise ValueError(f"the kind of a fault is one of {', '.join(kinds)}, not {document.get('kind')!r}.")
    at, seconds, entries = document.get("at"), document.get("seconds", 0), document.get("entries", [])
    if type(at) is not int or at < 0:
        raise ValueError(f"at is the number of an invocation, from 1 on, or 0 for every one, not {at!r}.")
    if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
        raise ValueError(f"seconds is a number from 0 on, not {seconds!r}.")
    if not isinstance(entries, list) or any(type(entry) is not int or entry < 0 for entry in entries):
        raise ValueError(f"entries is a list of positions from 0 on, not {entries!r}.")
    return Fault(kind, at, seconds, tuple(entries))
