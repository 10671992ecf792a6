"""``invoke mutants``: mutation testing of the judge."""

from __future__ import annotations

from scenarios.commands.exploration_output import print_mutants
from scenarios.commands.explore import MOST_HISTORIES, chosen_pool, chosen_shard
from scenarios.commands.options import VIOLATED, Number, chosen_jobs, command, print_json, whole
from scenarios.commands.status_line import StatusLine, make_console
from scenarios.errors import RequestError
from scenarios.exploration.mutation_testing import kill_mutants
from scenarios.exploration.targets import find_mutant
from scenarios.mutants.catalogue import MUTANTS

#: Histories within which each mutant must be killed.
MUTANT_BOUND = 10_000


@command
def mutants(
    name: str | None = None,
    *,
    histories: Number = None,
    jobs: Number = None,
    seed: Number = None,
    cluster: str | None = None,
    shard: str | None = None,
    json: bool = False,
) -> int:
    """Hunt each mutant of the catalogue; return 0 where all are found out, else 1.

    Args:
        name: one mutant alone.
        histories: in how many each must be found out.
        jobs: processes to share the work; all of this machine's cores by default.
        seed: what all histories follow from; the same each time by default.
        cluster: the address of a Dask scheduler, whose workers share the mutants.
        shard: ``I/N``: hunt each N-th mutant alone, from the I-th on; the worst exit code of all shards is the whole's.
        json: print nothing but JSON.
    """
    bound = whole("--histories", histories, 1, MOST_HISTORIES) or MUTANT_BOUND
    part = chosen_shard(shard)
    if name and part.of > 1:
        raise RequestError("--shard shares the whole catalogue out; leave out --name.")
    chosen = (find_mutant(name),) if name else MUTANTS[part.number - 1 :: part.of]
    workers, pool = chosen_jobs(jobs), chosen_pool(cluster)
    with StatusLine(make_console(stderr=json)) as watch:
        results = list(kill_mutants(chosen, bound, whole("--seed", seed) or 0, workers, watch.say, pool=pool))
    if json:
        print_json([catch.as_json() for catch in results])
    else:
        print_mutants(results, bound)
    return 0 if all(catch.found for catch in results) else VIOLATED
