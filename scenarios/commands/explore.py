"""``invoke explore``: many simulated histories with faults anywhere, and the shortest that violates anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from scenarios.checks.external_program import is_program
from scenarios.checks.functions import Handler
from scenarios.commands.beyond import HISTORIES_EACH
from scenarios.commands.beyond import beyond as explore_beyond
from scenarios.commands.exploration_output import (
    CampaignProgress,
    bounded_as_json,
    never_injected,
    never_seen,
    print_all,
    print_campaign,
    row_of,
    states_as_json,
)
from scenarios.commands.options import (
    HandlerOptions,
    Number,
    check_consumer,
    chosen_handler,
    chosen_jobs,
    chosen_patterns,
    chosen_seed,
    chosen_startup_timeout,
    command,
    configured_consumer,
    print_json,
    termination_as_exit,
    whole,
)
from scenarios.commands.status_line import StatusLine, make_console
from scenarios.errors import RequestError
from scenarios.exploration import replay as files
from scenarios.exploration import shrink
from scenarios.exploration.bounded import space_of
from scenarios.exploration.campaign import MOST_BOUNDED, Campaign, Explored, Shard, acquitted, history_of, is_countable
from scenarios.exploration.campaign import explore as run_campaign
from scenarios.exploration.case import case_of
from scenarios.exploration.corpus import best_of, corpus_path, read_corpus, write_corpus
from scenarios.exploration.executors import Pool, handed_over, pool_of
from scenarios.exploration.executors import cluster as cluster_of
from scenarios.exploration.programs import Agreement, rehearse, replayed, violation_of
from scenarios.exploration.rotation import Rotation, every_name
from scenarios.exploration.shards import merge as merged
from scenarios.exploration.shards import write_shard
from scenarios.exploration.shrink import Shrunk
from scenarios.exploration.targets import Target, make_target
from scenarios.lockstep.crew import close_crews
from scenarios.lockstep.orphans import none_left
from scenarios.mutants.workloads import DELIVERIES
from scenarios.runs.directory import CAMPAIGN, point_latest_at
from scenarios.simulation.choices import ReplayedChoices
from scenarios.verdict import Outcome

#: Histories of a campaign where no option gives a number.
HISTORIES = 10_000
MOST_HISTORIES = 100_000_000
MOST_SECONDS = 7 * 24 * 3600
MOST_SHARDS = 10_000
#: Histories of a campaign with a program, likewise: each takes a few real processes.
PROGRAM_HISTORIES = 400
#: The name that stands for every scenario and workload.
EVERYTHING = "all"


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
    seconds: Number = None,
    cluster: str | None = None,
    shard: str | None = None,
    saturated: Number = None,
    corpus: bool = False,
    shrink_seconds: Number = None,
    startup_timeout: float | str | None = None,
    follows: str | None = None,
    json: bool = False,
    runs: Path | None = None,
    handler: str | None = None,
    **function: Unpack[HandlerOptions],
) -> int:
    """Simulate many histories with faults anywhere; return the exit code of their common verdict.

    It is 0 where none violates anything and half pass, 1 where one violates something, and 2 where fewer pass, where
    a part of them was lost with the process that simulated it, or where a violation does not come again.

    Args:
        name: the scenario, or a workload of the simulation; ``all`` takes turns among all that the consumer fits.
            Where it is empty, a program is explored in the workload ``deliveries``.
        histories: how many at most.
        jobs: processes to share the work; all of this machine's cores by default.
        seed: what all histories follow from; None draws one and prints it.
        naive: explore the naive twin.
        mutant: explore a mutant.
        consumer: a consumer of your own in the place of ours: ``module:Class``, or a program's command line.
        count: messages to send.
        batch_size: messages that a consumer receives at once.
        settings: parameters of the scenario, each as ``key=value``.
        beyond: drop the consumer's assumptions one by one, and report which it needs.
        seconds: after so many the campaign ends with what it has; they begin when its processes are ready.
        cluster: the address of a Dask scheduler, whose workers share the work.
        shard: ``I/N``: explore the I-th of N parts of the campaign, for ``invoke merge``.
        saturated: the campaign ends when so many histories in a row have seen no new state.
        corpus: mutate the unusual histories that earlier campaigns left, and leave this one's.
        shrink_seconds: a violation is shrunk for so many at most.
        startup_timeout: real seconds for a program to start, and to ask for something.
        follows: the patterns that a program declares, separated by commas, or ``none``.
        json: print nothing but JSON; progress goes to standard error.
        runs: where runs leave their directories.
        handler: a Python Lambda handler of your own in the place of our consumer, as ``module.function``.
        function: the options of the handler's function and event source mapping.
    """
    own = _own_handler(name, handler, function, batch_size)
    name, consumer = _what(name, consumer, named=bool(mutant or naive), ours=bool(cluster or beyond or corpus))
    patterns = chosen_patterns(follows, consumer)
    limit = whole("--seconds", seconds, 1, MOST_SECONDS)
    part = chosen_shard(shard)
    quiet = whole("--saturated", saturated, 1, MOST_HISTORIES)
    budget = float(whole("--shrink-seconds", shrink_seconds, 0, MOST_SECONDS) or 0) if shrink_seconds else None
    if part.of > 1 and (quiet or corpus):
        raise RequestError("--shard takes no --saturated and no --corpus: a part does not know what the others see.")
    if beyond and (quiet or corpus):
        raise RequestError("--beyond explores by the number of histories alone; leave out --saturated and --corpus.")
    if part.of > 1 and (seed in (None, "") or limit is not None or histories in (None, "")):
        raise RequestError("--shard needs --seed and --histories, the same for all shards, and takes no --seconds.")
    if sum(map(bool, (naive, mutant, consumer, own))) > 1:
        raise RequestError("--naive, --mutant, --consumer and --handler all name who consumes; give one of them.")
    if name == EVERYTHING:
        if any((mutant, count, batch_size, settings, shard, naive, quiet, corpus)) or is_program(consumer):
            raise RequestError(
                "--name all explores our own consumers, a class or a handler; beside --consumer and --handler it takes "
                "--seconds, --histories, --jobs, --seed, --cluster and --shrink-seconds."
            )
        return explore_all(
            Rotation(
                every_name(consumer, own),
                whole("--histories", histories, 1, MOST_HISTORIES) or (HISTORIES if limit is None else MOST_HISTORIES),
                limit,
                chosen_seed(seed),
                chosen_jobs(jobs),
                consumer=consumer,
                handler=own,
            ),
            budget=budget,
            pool=chosen_pool(cluster),
            json=json,
            runs=runs,
        )
    target = make_target(
        name,
        count=whole("--count", count),
        batch_size=whole("--batch-size", batch_size) if own is None else None,
        settings=settings,
        handler=own,
        naive=naive,
        mutant=mutant or "",
        consumer=consumer,
        startup_timeout=chosen_startup_timeout(startup_timeout),
        follows=patterns,
    )
    _check_that_it_loads(target)
    asked = whole("--histories", histories, 1, MOST_HISTORIES)
    path = corpus_path(runs or files.runs_directory(), target)
    campaign = Campaign(
        target,
        asked or (MOST_HISTORIES if limit else HISTORIES_EACH if beyond else most_of(target)),
        chosen_seed(seed),
        chosen_jobs(jobs),
        shard=part,
        seconds=limit,
        saturated=quiet,
        corpus=read_corpus(path) if corpus else (),
    )
    if beyond:
        return explore_beyond(campaign, json=json)
    if target.is_program:
        with termination_as_exit():
            return _explore_program(campaign, budget, json=json, runs=runs)
    with CampaignProgress(campaign, make_console(stderr=json)) as progress:
        explored = run_campaign(campaign, progress.tell, chosen_pool(cluster))
        shrunk = shrink_found(explored, progress, budget) if part.of == 1 else None
        shrunk, agreed = _replayed(explored, shrunk)
        if corpus:
            progress.say("choosing the histories of the corpus")
            keep_unusual(explored, path)
    return conclude(explored, shrunk, json=json, runs=runs, agreed=agreed)


def _own_handler(name: str | None, handler: str | None, options: HandlerOptions, batch_size: Number) -> Handler | None:
    """Return the handler that is to be explored; None for none."""
    own = chosen_handler(handler, options, batch_size)
    if own is not None and not name:
        raise RequestError("What to explore with the handler? Give --name, such as lambda-timeout.")
    return own


def _check_that_it_loads(target: Target) -> None:
    """Load the consumer before a pool of processes asks for it; of a handler see what cannot be explored."""
    if target.handler:
        rehearse(target)
    else:
        target.plan(0)


def _replayed(explored: Explored, shrunk: Shrunk | None) -> tuple[Shrunk | None, Agreement | None]:
    """Return what comes again of a program's counterexample, or a handler's, and how its replays come out."""
    found, target = explored.tally.found, explored.campaign.target
    if shrunk is None or found is None or not (target.is_program or target.handler):
        return shrunk, None
    return replayed(shrunk, case_of(explored.campaign, found))


def most_of(target: Target) -> int:
    """Return how many histories a campaign has by default: twice the bounded ones, where they are not too many."""
    if target.is_program:
        return PROGRAM_HISTORIES
    space = space_of(target)
    if not is_countable(space, MOST_BOUNDED) or space.total() > MOST_BOUNDED:
        return HISTORIES
    return max(HISTORIES, 2 * space.total())


def keep_unusual(explored: Explored, path: Path) -> None:
    """Leave the histories that cover most states, of a campaign and of the corpus that it read."""
    campaign = explored.campaign
    new = [history_of(campaign, index) for _, index in explored.tally.unusual]
    known = [(entry.seed, ReplayedChoices(entry.choices)) for entry in campaign.corpus]
    candidates = [*known, *((history.seed, history.choices) for history in new)]
    write_corpus(path, campaign.target, best_of(campaign.target, candidates))


def _what(name: str | None, given: str | None, *, named: bool, ours: bool) -> tuple[str, str]:
    """Return what to explore, and the consumer: the configuration file's program, where nothing is named.

    Args:
        name: the scenario or workload.
        given: the consumer.
        named: another option names the consumer.
        ours: an option is there that only consumers of ours take.

    Raises:
        RequestError: nothing is named, or a program and an option that it does not take.
    """
    consumer = check_consumer(given)
    if not (consumer or name or named):
        consumer = configured_consumer(given)[0]
    if is_program(consumer):
        if ours:
            raise RequestError("--cluster, --beyond and --corpus are for consumers of ours; leave them out here.")
        return name or DELIVERIES.scenario.name, consumer
    if not name:
        raise RequestError("What to explore? Give --name; `invoke scenarios` lists the scenarios.")
    return name, consumer


def _explore_program(campaign: Campaign, budget: float | None, *, json: bool, runs: Path | None) -> int:
    """Explore a program, and leave none of its processes behind.

    The first history is a rehearsal in this process: what cannot be explored is said before anything else is explored.
    Meanwhile the other processes load what they need.
    """
    with none_left(), ExitStack() as stack:
        try:
            workers = stack.enter_context(pool_of(campaign.jobs, partial(campaign.target.plan, 0)))
            rehearse(campaign.target)
            with CampaignProgress(campaign, make_console(stderr=json)) as progress:
                explored = run_campaign(campaign, progress.tell, handed_over(stack, workers))
                shrunk = shrink_found(explored, progress, budget) if campaign.shard.of == 1 else None
                if shrunk is not None:
                    progress.say("replaying it")
                shrunk, agreed = _replayed(explored, shrunk)
            return conclude(explored, shrunk, json=json, runs=runs, agreed=agreed)
        finally:
            close_crews()


def shrink_found(explored: Explored, progress: CampaignProgress, budget: float | None = None) -> Shrunk | None:
    """Return the simplest case of what a campaign has found, None where that is nothing.

    Args:
        explored: what the campaign came to.
        progress: is told how it goes.
        budget: the seconds that it may take; None for the usual ones.
    """
    found = explored.tally.found
    if found is None:
        return None
    progress.say(f"history {found.index + 1} violates {', '.join(sorted(found.invariants))}; shrinking it")
    return shrink.shrink(case_of(explored.campaign, found), progress.say, budget)


def conclude(
    explored: Explored, shrunk: Shrunk | None, *, json: bool, runs: Path | None, agreed: Agreement | None = None
) -> int:
    """Write what a campaign came to, print it, and return its exit code.

    Args:
        explored: the campaign.
        shrunk: the simplest history that violates something; None where none does.
        json: print nothing but JSON.
        runs: where runs leave their directories.
        agreed: of a program, how many replays come out the same.
    """
    campaign = explored.campaign
    part = campaign.shard
    which = f"-shard-{part.number}-of-{part.of}" if part.of > 1 else ""
    directory = files.new_directory(f"explore-{campaign.target.name}{which}", campaign.seed, runs)
    if agreed is not None and not agreed.convicts:
        explored, shrunk = acquitted(explored), None
    document = _document(explored, shrunk, directory)
    if agreed is not None:
        document["replays"] = agreed.as_json()
    if shrunk is not None:
        simulation = violation_of(shrunk.case, files.command_of(directory))
        files.write_run(shrunk.case, simulation, directory)
        document["verdict"] = simulation.verdict.as_json()
        document["story"] = (directory / files.STORY).read_text().splitlines()
        document["replay"] = files.command_of(directory)
    if part.of > 1:
        write_shard(directory, explored)
    files.write_document(directory / CAMPAIGN, document)
    if shrunk is not None:
        point_latest_at(directory)  # of a campaign that found nothing there is nothing to show
    if json:
        print_json(document)
    else:
        print_campaign(explored, shrunk, document, directory)
    return explored.outcome.exit_code


@command
def merge(shards: Sequence[str], *, json: bool = False, runs: Path | None = None) -> int:
    """Add up the shards of a campaign; return the exit code that one machine would have returned.

    Args:
        shards: the directories that they left.
        json: print nothing but JSON; progress goes to standard error.
        runs: where runs leave their directories.
    """
    explored = merged([Path(shard) for shard in shards])
    with CampaignProgress(explored.campaign, make_console(stderr=json)) as progress:
        shrunk = shrink_found(explored, progress)
    return conclude(explored, shrunk, json=json, runs=runs)


def explore_all(
    rotation: Rotation,
    *,
    budget: float | None = None,
    pool: Pool | None = None,
    json: bool = False,
    runs: Path | None = None,
) -> int:
    """Take turns among all scenarios and workloads until the time is over; return the worst exit code.

    A target that violates something is shrunk and has no further turn.
    """
    _check_that_it_loads(rotation.targets[0])
    with StatusLine(make_console(stderr=json)) as progress:
        results = rotation.run(progress.say, pool)
    codes = []
    for explored in results:
        if explored.tally.found is not None:
            with CampaignProgress(explored.campaign, make_console(stderr=json)) as told:
                shrunk = shrink_found(explored, told, budget)
            directory = files.new_directory(f"explore-{explored.campaign.target.name}", rotation.seed, runs)
            if shrunk is not None:
                files.write_run(shrunk.case, violation_of(shrunk.case, files.command_of(directory)), directory)
                files.write_document(directory / CAMPAIGN, _document(explored, shrunk, directory))
                point_latest_at(directory)
        codes.append(explored.outcome)
    if json:
        print_json({"schema": 1, "seed": rotation.seed, "campaigns": [row_of(explored) for explored in results]})
    else:
        print_all(results)
    if Outcome.FAIL in codes:
        return Outcome.FAIL.exit_code
    return Outcome.INCONCLUSIVE.exit_code if Outcome.INCONCLUSIVE in codes else Outcome.PASS.exit_code


def chosen_pool(address: str | None) -> Pool | None:
    """Return the workers that ``--cluster`` names, None where the option is not given."""
    return cluster_of(address) if address else None


def chosen_shard(text: str | None) -> Shard:
    """Return the part that ``--shard`` names, the whole where the option is not given.

    Raises:
        RequestError: it is no part.
    """
    if not text:
        return Shard()
    number, slash, of = text.partition("/")
    most = whole("--shard's N", of, 1, MOST_SHARDS) if slash else None
    if most is None:
        raise RequestError(f"--shard is I/N, such as 2/5, and is {text!r}.")
    return Shard(whole("--shard's I", number, 1, most) or 1, most)


def _document(explored: Explored, shrunk: Shrunk | None, directory: Path) -> dict[str, Any]:

    campaign, tally = explored.campaign, explored.tally
    return {
        "schema": 1,
        "tier": "sim",
        "target": campaign.target.as_json(),
        "seed": campaign.seed,
        "jobs": campaign.jobs,
        "histories": tally.histories,
        "bounded": bounded_as_json(explored),
        "unsteady": tally.unsteady,
        "unproven": sorted(explored.unproven.invariants) if explored.unproven else [],
        "lost_histories": list(explored.lost),
        "shard": f"{campaign.shard.number}/{campaign.shard.of}",
        "seconds": round(explored.seconds, 3),
        "histories_per_second": round(explored.rate, 1),
        "outcomes": {str(outcome): number for outcome, number in tally.outcomes.items()},
        "states": states_as_json(explored),
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
