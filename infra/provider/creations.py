"""Which resources a run has begun to create, kept where the run's own end cannot lose it.

The real engine notes an operation before it begins, and takes the note back when the provider's process dies: to it
a broken connection is a create that failed. What the provider has made by then would stay for ever. So the provider
notes it itself, and the next run holds the notes against the state.

Only resources whose name the provider has chosen are noted: their random suffix tells that no other program has made
them. A policy needs no note, as setting it again is all that a repeated run has to do.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.errors import ProviderError
from infra.provider.schema import DEFAULTS_KEY
from infra.provider.values import Properties


@dataclass(frozen=True, slots=True)
class Creation:
    """A create that was begun.

    Attributes:
        urn: The resource's URN.
        region: Where.
        name: The name that was chosen for it.
    """

    urn: str
    region: str
    name: str


class CreationLog:
    """The notes of the runs since one last came to its end. Safe to be used from several threads.

    Args:
        path: Their file, a line each; there is none while there is nothing to tell.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @contextmanager
    def noted(self, urn: str, region: str, inputs: Properties) -> Iterator[None]:
        """Note a create for as long as its outcome may be unknown; one that AWS refuses has made nothing.

        Args:
            urn: The resource's URN.
            region: Where it is created.
            inputs: Its checked inputs.
        """
        chosen = inputs.get(DEFAULTS_KEY) or ()
        if not chosen:
            yield
            return
        # The name is all that the provider chooses.
        creation = Creation(urn, region, str(inputs[chosen[0]]))
        self._append({"begun": asdict(creation)})
        try:
            yield
        except ProviderError:
            self._append({"refused": creation.name})
            raise

    def read(self) -> list[Creation]:
        """The creates that were begun and not refused, in their order."""
        begun: dict[str, Creation] = {}
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        for line in lines:
            try:
                note = json.loads(line)
            except ValueError:
                continue  # cut while it was written: what it was to tell of had not begun
            if "begun" in note:
                creation = Creation(**note["begun"])
                begun[creation.name] = creation
            else:
                begun.pop(note["refused"], None)
        return list(begun.values())

    def clear(self) -> None:
        """Forget all: the state tells of everything."""
        self._path.unlink(missing_ok=True)

    def _append(self, note: object) -> None:
        # What is written survives this process; the machine's own end would take the endpoint's answer too.
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, json.dumps(note).encode() + b"\n")
            finally:
                os.close(descriptor)
