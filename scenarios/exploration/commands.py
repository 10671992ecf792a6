"""What the Invoke tasks call for the simulated tier: options as they come from a command line, output, an exit code."""

from __future__ import annotations

import json as json_module
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from infra.errors import InfraError
from scenarios.commands import BAD_REQUEST, INTERRUPTED, Number, check_consumer, whole
from scenarios.errors import RequestError, ScenarioError
from scenarios.labs.directory import CAMPAIGN, point_latest_at

if TYPE_CHECKING:
    from scenarios.exploration.campaign import Explored
    from scenarios.exploration.shrink import Case, Shrunk

Parameters = ParamSpec("Parameters")

VIOLATED = 1
#: Histories that a campaign has if nobody says otherwise.
HISTORIES = 10_000
MOST_HISTORIES = 100_000_000
MOST_JOBS = 256
#: Histories in which a mutant must be found out.
MUTANT_BOUND = 10_000
#: A seed that nobody gave is drawn from this many.
SEEDS = 2**32


def _command(command: Callable[Parameters, int]) -> Callable[Parameters, int]:
    """Turn the errors that a user can cause into one sentence and exit code 2."""

    @wraps(command)
    def guarded(*arguments: Parameters.args, **options: Parameters.kwargs) -> int:
        try:
            return command(*arguments, **options)
        except (ScenarioError, InfraError) as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 - this is the command's output
            return BAD_REQUEST
        except KeyboardInterrupt:
            print("Interrupted; nothing is left running.", file=sys.stderr)  # noqa: T201 - likewise
            return INTERRUPTED

    return guarded


@_command
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
        json: print nothing but JSON; progress goes to standard error.
        runs: where runs leave their directories.
    """
    from scenarios.exploration import report, shrink  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration import runs as files  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.campaign import Campaign  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.campaign import explore as run_campaign  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.targets import make_target  # noqa: PLC0415 - the menu must not wait for it

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
    campaign_seed = whole("--seed", seed)
    campaign = Campaign(
        target,
        whole("--histories", histories, 1, MOST_HISTORIES) or HISTORIES,
        secrets.randbelow(SEEDS) if campaign_seed is None else campaign_seed,
        whole("--jobs", jobs, 1, MOST_JOBS) or os.cpu_count() or 1,
    )
    with report.Progress(campaign, quiet=json) as progress:
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
        print(json_module.dumps(document))  # noqa: T201 - this is the command's output
    else:
        report.print_campaign(explored, shrunk, document, directory)
    return explored.outcome.exit_code


def _document(explored: Explored, shrunk: Shrunk | None, directory: Path) -> dict[str, Any]:
    from scenarios.exploration.report import never_met, never_seen  # noqa: PLC0415 - the menu must not wait for it

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
        "never_met": list(never_met(explored)),
        "witnesses": dict(tally.witnesses),
        "never_seen": list(never_seen(explored)),
        "exit_code": explored.outcome.exit_code,
        "violated": sorted(tally.found.invariants) if tally.found else [],
        "found_at": tally.found.index + 1 if tally.found else None,
        "history_seed": tally.found.seed if tally.found else None,
        "shrunk_by": shrunk.histories if shrunk else None,
        "run": str(directory),
    }


@_command
def replay(run: str | None = None, *, json: bool = False, runs: Path | None = None) -> int:
    """Let a simulated run happen again; return 0 where it is the same, byte for byte, else 1.

    Args:
        run: its directory, or the directory's name; None for the latest.
        json: print nothing but JSON.
        runs: where runs leave their directories.
    """
    from scenarios.exploration import report  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration import runs as files  # noqa: PLC0415 - the menu must not wait for it

    replayed = files.replay(run or "", runs)
    if json:
        document = {
            **replayed.simulation.verdict.as_json(),
            "same": replayed.differs_at is None,
            "differs_at_line": replayed.differs_at,
            "bytes": replayed.length,
        }
        print(json_module.dumps(document))  # noqa: T201 - this is the command's output
    else:
        report.print_replay(replayed)
    return 0 if replayed.differs_at is None else VIOLATED


@_command
def mutants(
    name: str | None = None,
    *,
    histories: Number = None,
    jobs: Number = None,
    seed: Number = None,
    json: bool = False,
) -> int:
    """Hunt each mutant of the catalogue; return 0 where all are found out, else 1.

    Args:
        name: one mutant alone.
        histories: in how many each must be found out.
        jobs: processes to share the work; all of this machine's cores by default.
        seed: what all histories follow from; the same each time by default.
        json: print nothing but JSON.
    """
    from scenarios.exploration import report  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.hunt import hunt  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.targets import find_mutant  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.mutants.catalogue import MUTANTS  # noqa: PLC0415 - likewise

    bound = whole("--histories", histories, 1, MOST_HISTORIES) or MUTANT_BOUND
    prey = (find_mutant(name),) if name else MUTANTS
    workers = whole("--jobs", jobs, 1, MOST_JOBS) or os.cpu_count() or 1
    with report.Plain(quiet=json) as watch:
        caught = list(hunt(prey, bound, whole("--seed", seed) or 0, workers, watch.say))
    if json:
        print(json_module.dumps([catch.as_json() for catch in caught]))  # noqa: T201 - this is the command's output
    else:
        report.print_mutants(caught, bound)
    return 0 if all(catch.found for catch in caught) else VIOLATED


@_command
def scenario(
    name: str | None,
    *,
    seed: Number = None,
    naive: bool = False,
    count: Number = None,
    batch_size: Number = None,
    settings: Sequence[str] = (),
    json: bool = False,
    consumer: str | None = None,
    runs: Path | None = None,
) -> int:
    """Run one scenario in simulated time and print its verdict, as ``invoke scenario`` does in the local tier.

    Nothing goes wrong but what the story asks for. The arguments are those of ``scenarios.commands.scenario``.
    """
    from scenarios.catalog import find_scenario  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration import report  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration import runs as files  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.shrink import record_case  # noqa: PLC0415 - the menu must not wait for it
    from scenarios.exploration.targets import make_target  # noqa: PLC0415 - the menu must not wait for it

    if not name:
        raise RequestError("Which scenario? Give --name; `invoke scenarios` lists them.")
    if naive and consumer:
        raise RequestError("--naive and --consumer both name a consumer; give one of them.")
    target = make_target(
        find_scenario(name).name,
        count=whole("--count", count),
        batch_size=whole("--batch-size", batch_size),
        settings=settings,
        naive=naive,
        consumer=consumer or "",
        disturbed=False,
    )
    given = whole("--seed", seed)
    run_seed = secrets.randbelow(SEEDS) if given is None else given
    case: Case = record_case(target, run_seed, frozenset())
    simulation = case.simulate(_scenario_command(target, run_seed))
    directory = files.new_directory(target.name, run_seed, runs)
    files.write_run(case, simulation, directory)
    point_latest_at(directory)
    if json:
        print(json_module.dumps({**simulation.verdict.as_json(), "run": str(directory)}))  # noqa: T201 - the output
    else:
        report.print_scenario(simulation, directory)
    return simulation.verdict.outcome.exit_code


def _scenario_command(target: Any, seed: int) -> str:
    from scenarios.catalog import find_scenario  # noqa: PLC0415 - as above

    found = find_scenario(target.name)
    defaults, fixed = asdict(found.defaults), found.naive_twin.settings if target.naive else {}
    words = ["invoke scenario", f"--name {target.name}", "--tier sim", f"--seed {seed}"]
    words += ["--naive"] * target.naive
    words += [f"--consumer {target.consumer}"] * bool(target.consumer)
    for option, value in (("count", target.count), ("batch_size", target.batch_size)):
        if value != defaults[option]:
            words.append(f"--{option.replace('_', '-')} {value}")
    words += [f"--set {name}={value}" for name, value in target.settings if name not in fixed]
    return " ".join(words)
