"""``invoke scenarios``, ``runs`` and ``report``: what there is, and what was run."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from infra.stack.paths import project_root
from scenarios.catalog import all_scenarios
from scenarios.commands.options import command, print_json, refuse
from scenarios.commands.output import print_runs, print_scenarios
from scenarios.commands.status_line import make_console
from scenarios.errors import ScenarioError
from scenarios.model import Scenario
from scenarios.runs.index import find_run, list_runs, report_of


@command
def scenarios(*, json: bool = False) -> int:
    """Print the scenarios, as a table or as JSON; return the exit code."""
    listed = all_scenarios().values()
    if json:
        print_json([_in_short(scenario) for scenario in listed])
    else:
        print_scenarios(make_console(), listed)
    return 0


@command
def runs(*, json: bool = False) -> int:
    """Print the runs on disk, newest first, as a table or as JSON; return the exit code."""
    found = list_runs(project_root() / "runs")
    if json:
        print_json([{"run": run.name, **(_run_in_short(run.verdict) if run.verdict else {})} for run in found])
    else:
        print_runs(make_console(), found)
    return 0


@command
def report(run: str | None = None, *, browse: bool = False) -> int:
    """Print where the report of a run is, and make it where it is missing; return the exit code.

    Args:
        run: the run's directory, or its name; None for the latest.
        browse: open the report in the browser.
    """
    path = report_of(find_run(project_root() / "runs", run or None))
    print(path)
    if browse and not webbrowser.open(path.as_uri()):
        return refuse(ScenarioError("No browser could be opened; open the file above by hand."))
    return 0


def _run_in_short(verdict: Mapping[str, Any]) -> dict[str, Any]:
    wanted = ("scenario", "naive", "verdict", "tier", "seed", "reason", "command")
    return {name: verdict.get(name) for name in wanted}


def _in_short(scenario: Scenario) -> dict[str, Any]:
    twin = scenario.naive_twin
    return {
        "name": scenario.name,
        "summary": scenario.summary,
        "pace": scenario.pace,
        "speed": scenario.speed,
        "parameters": asdict(scenario.defaults),
        "invariants": [invariant.name for invariant in scenario.invariants],
        "witnesses": [witness.name for witness in scenario.witnesses],
        "naive_twin": {"without": twin.without, "violation": twin.violation},
    }
