"""What a simulated run leaves in its directory, and how it is repeated from it.

    history.jsonl    the history
    verdict.json     the verdict
    report.html      the history and the verdict as a page
    story.txt        the history as a story, with what it violates
    choices.json     what the history was made of: enough to make it again, byte for byte
    campaign.json    of a campaign: what all of its histories came to

A campaign in which nothing is violated leaves the last of them alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from infra.files import write_atomically
from infra.stack.paths import project_root
from scenarios.errors import RequestError
from scenarios.exploration.bounded import schedule_as_json, schedule_of_json
from scenarios.exploration.case import Case
from scenarios.exploration.targets import Target
from scenarios.history import History
from scenarios.history.files import MERGED, record_line
from scenarios.report.counterexample import format_counterexample
from scenarios.report.html import REPORT, render
from scenarios.runs.directory import CAMPAIGN, LATEST, VERDICT, new_run_directory
from scenarios.simulation.lab import Cut
from scenarios.simulation.run import Simulation

CHOICES = "choices.json"
STORY = "counterexample.txt"
#: What a file of choices is, and the version of its form.
FORMAT = "queue-fundamentals simulation"
FORM = 2


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to.

    Attributes:
        differs_at: the first line of the history that is different, from 1; None where every byte is the same.
        length: how many bytes the history has.
    """

    case: Case
    simulation: Simulation
    differs_at: int | None
    length: int


def runs_directory() -> Path:
    """Return where runs leave their directories."""
    return project_root() / "runs"


def write_run(case: Case, simulation: Simulation, directory: Path) -> None:
    """Write a run's files."""
    history = history_bytes(simulation.history)
    story = "\n".join(format_counterexample(simulation.verdict, simulation.history)) + "\n"
    document = {**simulation.verdict.as_json(), "run": str(directory)}
    write_atomically(directory / MERGED, history, durable=False)
    write_atomically(directory / STORY, story.encode(), durable=False)
    write_document(directory / VERDICT, document)
    write_atomically(directory / CHOICES, _choices_bytes(case, history), durable=False)
    write_atomically(
        directory / REPORT, render(simulation.verdict, simulation.history, simulation.logs).encode(), durable=False
    )


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document."""
    write_atomically(path, json.dumps(document, indent=2).encode() + b"\n", durable=False)


def new_directory(name: str, seed: int, runs: Path | None = None) -> Path:
    """Make the directory of a run."""
    directory = new_run_directory(runs or runs_directory(), name, seed, datetime.now().astimezone())
    processes = directory / "processes"
    if processes.is_dir():
        processes.rmdir()  # there are none
    return directory


def history_bytes(history: History) -> bytes:
    """Return a history as its file holds it."""
    return b"".join(record_line(record) for record in history.records)


def replay(run: str, runs: Path | None = None) -> Replayed:
    """Let a run happen again.

    Args:
        run: its directory, or the directory's name; empty for the latest.
        runs: where runs leave their directories.

    Raises:
        RequestError: there is no such run, or its choices cannot be used.
    """
    directory = _find(run, runs or runs_directory())
    case, digest = _read_case(directory / CHOICES)
    simulation = case.simulate(command_of(directory))
    again = history_bytes(simulation.history)
    same = hashlib.sha256(again).hexdigest() == digest
    try:
        written = (directory / MERGED).read_bytes()
    except OSError:
        raise RequestError(f"The run {directory} has no {MERGED} to compare with; explore again.") from None
    differs_at = None if same and written == again else _first_difference(written, again)
    return Replayed(case, simulation, differs_at, len(again))


def command_of(directory: Path) -> str:
    """Return the command that repeats a run."""
    here = Path.cwd()
    return f"invoke replay {directory.relative_to(here) if directory.is_relative_to(here) else directory}"


def _find(run: str, runs: Path) -> Path:
    for directory in (Path(run or runs / LATEST), runs / (run or LATEST)):
        if (directory / CHOICES).is_file():
            return directory.resolve()
        if run and (directory / CAMPAIGN).is_file():
            raise RequestError(f"In the campaign {run} nothing was violated, so there is no history to replay.")
    if not run:
        raise RequestError(f"The latest run in {runs} is not of the simulation; name one that `invoke explore` made.")
    raise RequestError(f"There is no simulated run {run}; it would be a directory with a {CHOICES} in it.")


def _first_difference(before: bytes, after: bytes) -> int:
    lines = zip(before.splitlines(), after.splitlines(), strict=False)
    same = 0
    for left, right in lines:
        if left != right:
            break
        same += 1
    return same + 1


def _made_by() -> str:
    try:
        return version("queue-fundamentals")
    except PackageNotFoundError:
        return "unknown"


def _choices_bytes(case: Case, history: bytes) -> bytes:
    content: dict[str, Any] = {
        "format": FORMAT,
        "form": FORM,
        "made_by": _made_by(),
        "target": case.target.as_json(),
        "seed": case.seed,
        "violates": sorted(case.violates),
        "history_sha256": hashlib.sha256(history).hexdigest(),
        "choices": list(case.choices),
        "faults": schedule_as_json(case.faults),
        "cut": {"messages": sorted(case.cut.messages), "idle": sorted(case.cut.idle)},
    }
    return json.dumps({**content, "sum": _sum(content)}).encode() + b"\n"


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_case(path: Path) -> tuple[Case, str]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise RequestError(f"The file {path} was cut or is no JSON; explore again to have a new one.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RequestError(f"The file {path} holds no choices of a simulation.")
    if (content.get("form"), content.get("made_by")) != (FORM, _made_by()):
        raise RequestError(
            f"The file {path} was made by version {content.get('made_by')} (form {content.get('form')}), and this is "
            f"version {_made_by()} (form {FORM}); explore again with this one."
        )
    given = content.pop("sum", None)
    if given != _sum(content):
        raise RequestError(f"The file {path} was edited: its sum is not that of its content; explore again.")
    try:
        target = Target.of_json(content["target"])
        case = Case(
            target,
            content["seed"],
            tuple(content["choices"]),
            frozenset(content["violates"]),
            schedule_of_json(content["faults"]),
            Cut(frozenset(content["cut"]["messages"]), frozenset(content["cut"]["idle"])),
        )
        return case, str(content["history_sha256"])
    except (KeyError, TypeError, ValueError):
        raise RequestError(f"The file {path} lacks a part of what it must hold; explore again.") from None
