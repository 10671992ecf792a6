"""``invoke explore``: many simulated histories with faults anywhere, and the shortest that violates anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scenarios.commands.beyond import HISTORIES_EACH
from scenarios.commands.beyond import beyond as explore_beyond
from scenarios.commands.exploration_output import CampaignProgress, never_injected, never_seen, print_campaign
from scenarios.commands.options import (
    Number,
    check_consumer,
    chosen_jobs,
    chosen_seed,
    command,
    print_json,
    whole,
)
from scenarios.commands.status_line import make_console
from scenarios.errors import RequestError
from scenarios.exploration import replay as files
from scenarios.exploration import shrink
from scenarios.exploration.campaign import Campaign, Explored
from scenarios.exploration.campaign import explore as run_campaign
from scenarios.exploration.shrink import Shrunk
from scenarios.exploration.targets import make_target
from scenarios.runs.directory import CAMPAIGN, point_latest_at

#: Histories of a campaign where no option gives a number.
HISTORIES = 10_000
MOST_HISTORIES = 100_000_000


@command
def explore(
    name: str | None,
    *,
    histories: Number = None,
    jobs: Number = None,
    seed: Number = None,
    naive: bool = False,
    mutant: str | None = None,
    consumer: str | None = None,
    count: Number = None,
    batch_size: Number = None,
    settings: Sequence[str] = (),
    beyond: bool = False,
    json: bool = False,
    runs: Path | None = None,
) -> int:
    """Simulate many histories with faults anywhere; return the exit code of their common verdict.

    It is 0 where none violates anything and some pass, 1 where one violates something, and 2 where none passes.

    Args:
        name: the scenario, or a workload of the simulation.
        histories: how many at most.
        jobs: processes to share the work; all of this machine's cores by default.
        seed: what all histories follow from; None draws one and prints it.
        naive: explore the naive twin.
        mutant: explore a mutant.
        consumer: a consumer of your own in the place of ours, as ``module:Class``.
        count: messages to send.
        batch_size: messages that a consumer receives at once.
        settings: parameters of the scenario, each as ``key=value``.
        beyond: drop the consumer's assumptions one by one, and report which it needs.
        json: print nothing but JSON; progress goes to standard error.
        runs: where runs leave their directories.
    """
    if not name:
        raise RequestError("What to explore? Give --name; `invoke scenarios` lists the scenarios.")
    check_consumer(consumer)
    if sum(map(bool, (naive, mutant, consumer))) > 1:
        raise RequestError("--naive, --mutant and --consumer all name who consumes; give one of them.")
    target = make_target(
        name,
        count=whole("--count", count),
        batch_size=whole("--batch-size", batch_size),
        settings=settings,
        naive=naive,
        mutant=mutant or "",
        consumer=consumer or "",
    )
    target.plan(0)  # whoever is to consume must be there before a pool of processes asks for it
    campaign = Campaign(
        target,
        whole("--histories", histories, 1, MOST_HISTORIES) or (HISTORIES_EACH if beyond else HISTORIES),
        chosen_seed(seed),
        chosen_jobs(jobs),
    )
    if beyond:
        return explore_beyond(campaign, json=json)
    with CampaignProgress(campaign, make_console(stderr=json)) as progress:
        explored = run_campaign(campaign, progress.tell)
        found = explored.tally.found
        shrunk = None
        if found is not None:
            progress.say(f"history {found.index + 1} violates {', '.join(sorted(found.invariants))}; shrinking it")
            case = shrink.record_case(target, found.seed, found.invariants)
            shrunk = shrink.shrink(case, progress.say)
    directory = files.new_directory(f"explore-{target.name}", campaign.seed, runs)
    document = _document(explored, shrunk, directory)
    if shrunk is not None:
        simulation = shrunk.case.simulate(files.command_of(directory))
        files.write_run(shrunk.case, simulation, directory)
        document["verdict"] = simulation.verdict.as_json()
        document["story"] = (directory / files.STORY).read_text().splitlines()
        document["replay"] = files.command_of(directory)
    files.write_document(directory / CAMPAIGN, document)
    if shrunk is not None:
        point_latest_at(directory)  # of a campaign that found nothing there is nothing to show
    if json:
        print_json(document)
    else:
        print_campaign(explored, shrunk, document, directory)
    return explored.outcome.exit_code


def _document(explored: Explored, shrunk: Shrunk | None, directory: Path) -> dict[str, Any]:

    campaign, tally = explored.campaign, explored.tally
    return {
        "schema": 1,
        "tier": "sim",
        "target": campaign.target.as_json(),
        "seed": campaign.seed,
        "jobs": campaign.jobs,
        "histories": tally.histories,
        "seconds": round(explored.seconds, 3),
        "histories_per_second": round(explored.rate, 1),
        "outcomes": {str(outcome): number for outcome, number in tally.outcomes.items()},
        "faults": {kind: number for kind, number in tally.faults.items() if number},
        "histories_with_fault": dict(tally.histories_with),
        "never_injected": list(never_injected(explored)),
        "witnesses": dict(tally.witnesses),
        "never_seen": list(never_seen(explored)),
        "exit_code": explored.outcome.exit_code,
        "violated": sorted(tally.found.invariants) if tally.found else [],
        "found_at": tally.found.index + 1 if tally.found else None,
        "history_seed": tally.found.seed if tally.found else None,
        "shrunk_by": shrunk.histories if shrunk else None,
        "run": str(directory),
    }
