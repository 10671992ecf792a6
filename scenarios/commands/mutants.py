"""``invoke mutants``: mutation testing of the judge."""

from __future__ import annotations

from scenarios.commands.exploration_output import print_mutants
from scenarios.commands.explore import MOST_HISTORIES
from scenarios.commands.options import VIOLATED, Number, chosen_jobs, command, print_json, whole
from scenarios.commands.status_line import StatusLine, make_console
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
    bound = whole("--histories", histories, 1, MOST_HISTORIES) or MUTANT_BOUND
    chosen = (find_mutant(name),) if name else MUTANTS
    workers = chosen_jobs(jobs)
    with StatusLine(make_console(stderr=json)) as watch:
        results = list(kill_mutants(chosen, bound, whole("--seed", seed) or 0, workers, watch.say))
    if json:
        print_json([catch.as_json() for catch in results])
    else:
        print_mutants(results, bound)
    return 0 if all(catch.found for catch in results) else VIOLATED
