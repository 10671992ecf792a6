"""The runs that are on disk: a list of them, and the report of one, made again from its files where it is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from infra.files import write_atomically
from scenarios.catalog import find_scenario
from scenarios.errors import RequestError
from scenarios.history.files import MERGED, read_history
from scenarios.model import Scenario
from scenarios.report.html import REPORT, render
from scenarios.runs.directory import CAMPAIGN, LATEST, VERDICT
from scenarios.verdict import Conditions, Outcome, judge

#: What is read of a verdict; one that lacks any of it was made by something else, or by half.
_NEEDED = frozenset(
    {"scenario", "naive", "verdict", "tier", "seed", "reason", "command", "parameters", "consumer", "missed_deadline"}
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run's directory, and the verdict in it.

    Attributes:
        verdict: what verdict.json holds; None where it is missing or unreadable: the run was interrupted.
    """

    directory: Path
    verdict: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.directory.name


def list_runs(runs: Path) -> list[Run]:
    """Return the runs, newest first."""
    found = [path for path in runs.glob("*/") if (path / MERGED).exists() and not path.is_symlink()]
    return [Run(path, _verdict_in(path)) for path in sorted(found, key=lambda path: path.name, reverse=True)]


def find_run(runs: Path, name: str | None) -> Run:
    """Return a run by its directory, or its directory's name; the latest one where none is given.

    Raises:
        RequestError: there is none.
    """
    newest = [run.directory for run in list_runs(runs)[:1]]
    for path in (Path(name), runs / name) if name else (runs / LATEST, *newest):
        if (path / MERGED).is_file():
            directory = path.resolve()
            return Run(directory, _verdict_in(directory))
        if name and (path / CAMPAIGN).is_file():
            raise RequestError(f"In the campaign {name} nothing was violated, so there is no history to report.")
    if not name:
        raise RequestError("There is no run yet; `invoke scenario --name crash` makes one.")
    raise RequestError(f"There is no run {name}; `invoke runs` lists them.")


def report_of(run: Run) -> Path:
    """Return the report of a run; it is made where it is missing.

    Raises:
        RequestError: the run has no verdict, or its scenario is not in the catalogue.
        HistoryError: its history cannot be read.
    """
    path = run.directory / REPORT
    if path.is_file():
        return path
    if run.verdict is None:
        raise RequestError(f"The run {run.name} has no {VERDICT} that can be read, and so no report; run it again.")
    history = read_history(run.directory / MERGED)
    scenario = _story_of(run.verdict["scenario"])
    kind = type(scenario.defaults)
    known = {item.name for item in fields(kind)}
    parameters = {name: value for name, value in run.verdict["parameters"].items() if name in known}
    conditions = Conditions(
        seed=run.verdict["seed"],
        parameters=kind(**parameters),
        tier=run.verdict["tier"],
        naive=run.verdict["naive"],
        consumer=run.verdict["consumer"] or "",
        missed=run.verdict["missed_deadline"] or "",
        command=run.verdict["command"],
        endpoint=run.verdict.get("endpoint") or "",
    )
    write_atomically(path, render(judge(scenario, history, conditions), history).encode(), durable=False)
    return path


def _story_of(name: str) -> Scenario:
    """Return a scenario of the catalogue, or a workload of the simulation."""
    try:
        return find_scenario(name)
    except RequestError:
        from scenarios.mutants.workloads import ALL  # noqa: PLC0415 - only a run of the simulation asks for them

        for workload in ALL:
            if workload.scenario.name == name:
                return workload.scenario
        raise


def _verdict_in(directory: Path) -> Mapping[str, Any] | None:
    with suppress(OSError, ValueError):
        document = json.loads((directory / VERDICT).read_bytes())
        if isinstance(document, dict) and document.keys() >= _NEEDED and document["verdict"] in tuple(Outcome):
            return document
    return None
