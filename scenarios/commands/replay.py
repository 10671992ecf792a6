"""``invoke replay``: repeat a simulated run, and compare it byte for byte."""

from __future__ import annotations

from pathlib import Path

from scenarios.commands.exploration_output import print_replay
from scenarios.commands.options import VIOLATED, command, print_json
from scenarios.exploration import replay as files


@command
def replay(run: str | None = None, *, json: bool = False, runs: Path | None = None) -> int:
    """Let a simulated run happen again; return 0 where it is the same, byte for byte, else 1.

    Args:
        run: its directory, or the directory's name; None for the latest.
        json: print nothing but JSON.
        runs: where runs leave their directories.
    """
    replayed = files.replay(run or "", runs)
    if json:
        document = {
            **replayed.simulation.verdict.as_json(),
            "same": replayed.differs_at is None,
            "differs_at_line": replayed.differs_at,
            "bytes": replayed.length,
        }
        print_json(document)
    else:
        print_replay(replayed)
    return 0 if replayed.differs_at is None else VIOLATED
