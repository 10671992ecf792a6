"""What exploration looks like on a terminal: progress, the table of what was met, a violation's story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.commands.output import print_verdict, short
from scenarios.commands.status_line import StatusLine, make_console
from scenarios.exploration.bounded import space_of
from scenarios.exploration.campaign import MIN_CONCLUSIVE
from scenarios.exploration.fault_coverage import FAULT_KINDS, may_meet
from scenarios.exploration.targets import find
from scenarios.report.html import REPORT
from scenarios.verdict import Outcome

if TYPE_CHECKING:
    from scenarios.exploration.campaign import Campaign, Explored, Tally
    from scenarios.exploration.mutation_testing import MutantResult
    from scenarios.exploration.replay import Replayed
    from scenarios.exploration.shrink import Shrunk
    from scenarios.simulation.run import Simulation


#: How many parts of a campaign the line of new states shows.
SHOWN_GROWTH = 8


class CampaignProgress(StatusLine):
    """Says how a campaign goes."""

    def __init__(self, campaign: Campaign, console: Console) -> None:
        super().__init__(console)
        target = campaign.target
        who = f" ({'naive twin' if target.naive else target.mutant or target.consumer})"
        named = target.naive or target.mutant or target.consumer
        self._histories = campaign.histories
        self.console.print(
            Text(
                f"{target.name}{who if named else ''}: up to {campaign.histories:,} histories "
                f"of {target.count} messages, "
                f"seed {campaign.seed}, {campaign.jobs} {'process' if campaign.jobs == 1 else 'processes'}"
            ),
            soft_wrap=True,
        )

    def tell(self, tally: Tally, seconds: float) -> None:
        """Say how far it is."""
        rate = tally.histories / seconds if seconds else 0.0
        struck = sum(tally.faults.values())
        self.say(f"{tally.histories:,} of {self._histories:,} histories, {rate:,.0f} a second, {struck:,} faults met")


def bounded_as_json(explored: Explored) -> dict[str, Any]:
    """Return how far the bounded histories went."""
    campaign, done = explored.campaign, explored.tally.bounded
    if not done:
        return {"histories": 0, "messages": 0, "faults": None}
    space = space_of(campaign.target)
    faults: int | None = None
    if done >= space.with_one:
        faults = 2 if campaign.tries_pairs and done >= space.total() else 1
    return {"histories": done, "messages": space.target.count, "faults": faults}


def states_as_json(explored: Explored) -> dict[str, Any]:
    """Return how many abstract states a campaign saw, and how many new ones its histories brought."""
    return {
        "seen": explored.tally.coverage.count,
        "new_per_1000_histories": [[end, round(new, 1)] for end, new in explored.growth.new_per_thousand()],
        "mutated_from": len(explored.campaign.corpus),
        "saturated": explored.is_saturated,
    }


def _states_line(explored: Explored) -> str:
    """Say how many states there were, and whether new ones still come."""
    said = f"states     {explored.tally.coverage.count:,} seen"
    new = [f"{number:,.0f}" for _, number in explored.growth.new_per_thousand()]
    if len(new) > SHOWN_GROWTH:
        new = [*new[: SHOWN_GROWTH // 2], "...", *new[-SHOWN_GROWTH // 2 :]]
    if new:
        said += f"; new for 1,000 histories, one part after the other: {' '.join(new)}"
    if explored.is_saturated:
        said += f"; ended, since {explored.campaign.saturated:,} histories saw no new one"
    return said


def _bounded_line(explored: Explored) -> str:
    """Say what the bounded histories rule out."""
    said = bounded_as_json(explored)
    done, messages = said["histories"], said["messages"]
    match said["faults"]:
        case 2:
            return f"bounded  none up to two faults on {messages} messages: {done:,} histories"
        case 1:
            return f"bounded  none up to one fault on {messages} messages, and some pairs: {done:,} histories"
    return f"bounded  {done:,} histories of {messages} messages with one fault; more --histories try all of them"


def row_of(explored: Explored) -> dict[str, Any]:
    """Return a campaign as a line of many."""
    tally = explored.tally
    return {
        "name": explored.campaign.target.name,
        "histories": tally.histories,
        "outcomes": {str(outcome): number for outcome, number in tally.outcomes.items()},
        "violated": sorted(tally.found.invariants) if tally.found else [],
        "found_at": tally.found.index + 1 if tally.found else None,
        "lost_histories": list(explored.lost),
        "exit_code": explored.outcome.exit_code,
    }


def print_all(results: Sequence[Explored]) -> None:
    """Print what many campaigns came to."""
    console = make_console()
    rows = [
        (
            explored.campaign.target.name,
            f"{explored.tally.histories:,}",
            *(f"{explored.tally.outcomes[outcome]:,}" for outcome in (Outcome.PASS, Outcome.INCONCLUSIVE)),
            ", ".join(row_of(explored)["violated"]) or ("LOST" if explored.lost else ""),
        )
        for explored in results
    ]
    console.print()
    console.print(_table(("campaign", "histories", "pass", "inconclusive", "violates"), rows))
    console.print()
    total = sum(explored.tally.histories for explored in results)
    seconds = max((explored.seconds for explored in results), default=0.0)
    violated = [explored.campaign.target.name for explored in results if explored.tally.found]
    took = f"{total:,} histories in {seconds:.1f} s"
    if violated:
        _print_line(console, ("VIOLATED", "bold red", f"  {', '.join(violated)}; {took}"))
    else:
        _print_line(console, ("0 VIOLATIONS", "bold green", f"  {took}"))


def never_injected(explored: Explored) -> Sequence[str]:
    """Return the kinds of fault that no history met, of those that could have."""
    plan = explored.campaign.target.plan(0)
    fifo, assumes = plan.queue_info.fifo, plan.assumes
    return [
        kind for kind in FAULT_KINDS if not explored.tally.faults[kind] and may_meet(kind, fifo=fifo, assumes=assumes)
    ]


def never_seen(explored: Explored) -> Sequence[str]:
    """Return the required witnesses that no history had."""
    scenario, _, _ = find(explored.campaign.target.name)
    return [
        witness.name
        for witness in scenario.witnesses
        if witness.required and not explored.tally.witnesses[witness.name]
    ]


def print_campaign(explored: Explored, shrunk: Shrunk | None, document: dict[str, Any], directory: Path) -> None:
    """Print what a campaign met, and the scenario of what it found."""
    console = make_console()
    tally = explored.tally
    console.print()
    console.print(_table(("fault", "times", "histories"), _fault_rows(explored)))
    scenario, _, _ = find(explored.campaign.target.name)
    if scenario.witnesses:
        console.print()
        rows = [(witness.name, f"{tally.witnesses[witness.name]:,}") for witness in scenario.witnesses]
        console.print(_table(("witness", "histories"), rows))
    console.print()
    missing = never_injected(explored)
    if missing and tally.found is None:
        said = f"NEVER INJECTED: {', '.join(missing)}. These histories prove nothing about such faults."
        console.print(Text(said, "bold yellow"), soft_wrap=True)
    if explored.lost:
        said = f"LOST: the histories {'; '.join(explored.lost)}, with the processes that simulated them."
        console.print(Text(said, "bold yellow"), soft_wrap=True)
    if explored.outcome is Outcome.INCONCLUSIVE and not explored.lost:
        said = _nothing_shown(explored) if explored.unproven is None else _unproven(explored, document["replays"])
        console.print(Text(said, "bold yellow"), soft_wrap=True)
    if tally.bounded and tally.found is None:
        console.print(Text(_bounded_line(explored)), soft_wrap=True)
    if tally.found is None:
        console.print(Text(_states_line(explored)), soft_wrap=True)
    _print_unsteady(console, tally.unsteady - (explored.unproven is not None))
    if shrunk is not None:
        console.print(Text("\n".join(document["story"])), soft_wrap=True)
        console.print()
    _print_line(console, _summary(explored))
    if shrunk is not None:
        parts = f"{_count(shrunk.case.messages, 'message')} and {_count(len(shrunk.case.faults), 'fault')}"
        more = "" if shrunk.complete else "; the budget of seconds was over before nothing more could be left out"
        more = "; it is as it was found, since what was shrunk did not come again" if shrunk.as_found else more
        said = f"shrunk     in {shrunk.histories:,} more histories, {shrunk.seconds:.1f} s, to {parts}{more}"
        console.print(Text(said), soft_wrap=True)
        console.print(Text(f"reproduce  {document['replay']}"), soft_wrap=True)
        _print_replays(console, document.get("replays"))
    console.print(Text(f"run        {short(directory)}"), soft_wrap=True)
    if shrunk is not None:
        console.print(Text(f"report     {short(directory / REPORT)}"), soft_wrap=True)


def _unproven(explored: Explored, told: Mapping[str, int]) -> str:
    """Say what was found, and why it convicts nobody."""
    found = explored.unproven
    assert found is not None  # noqa: S101 - it is asked for where there is one
    number = found.index + 1
    return (
        f"NO PROOF: history {number:,} violates {', '.join(sorted(found.invariants))}, and {told['violated']} of "
        f"{told['replays']} replays of it do. The program's own chance decides: tell it to take its random numbers "
        f"from SEED, and repeat it by --seed {explored.campaign.seed} --histories {number}."
    )


def _print_unsteady(console: Console, histories: int) -> None:
    if histories:
        said = f"unsteady  {_count(histories, 'violation')} did not come again when the history was repeated: no proof"
        console.print(Text(said, "yellow"), soft_wrap=True)


def _print_replays(console: Console, told: dict[str, int] | None) -> None:
    """Say how many replays of a program's history come out the same."""
    if told is None:
        return
    agree = f"{told['same']} of {told['replays']} are the same byte for byte"
    said = f"replays    {agree}, {told['violated']} violate the same; a program's own chance is not replayed"
    console.print(Text(said), soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _nothing_shown(explored: Explored) -> str:
    """Say why a campaign in which nothing is violated shows nothing all the same."""
    unseen = never_seen(explored)
    if unseen:
        return (
            f"NEVER SEEN: {', '.join(unseen)}. The failure under study did not occur, so this campaign proves nothing."
        )
    if explored.enough_passed:
        return "NO FAULT STRUCK in any history, so this campaign proves nothing; give it more --histories or --seconds."
    if passed := explored.tally.outcomes[Outcome.PASS]:
        return (
            f"TOO FEW PASSED: {passed:,} of {explored.counted:,} histories, and {MIN_CONCLUSIVE:.0%} must. "
            f"This campaign proves too little; e.g. {explored.tally.inconclusive}"
        )
    return f"NONE PASSED. This campaign proves nothing; e.g. {explored.tally.inconclusive}"


def _summary(explored: Explored) -> tuple[str, str, str]:
    tally = explored.tally
    counts = ", ".join(f"{tally.outcomes[outcome]:,} {outcome}" for outcome in Outcome if tally.outcomes[outcome])
    word = "history" if tally.histories == 1 else "histories"
    took = f"{tally.histories:,} {word} ({counts}) in {explored.seconds:.1f} s, {explored.rate:,.0f} a second"
    if explored.outcome is Outcome.INCONCLUSIVE:
        few = "too few passed" if tally.outcomes[Outcome.PASS] else "none passed"
        few = "no fault struck" if explored.enough_passed else few
        why = "a part is lost" if explored.lost else "one that does not come again" if explored.unproven else few
        return "INCONCLUSIVE", "bold yellow", f"  0 violations, and {why}; {took}"
    if tally.found is None:
        return "0 VIOLATIONS", "bold green", f"  {took}"
    what = ", ".join(sorted(tally.found.invariants))
    return "VIOLATED", "bold red", f"  {what}, in history {tally.found.index + 1:,}; {took}"


def _print_line(console: Any, parts: tuple[str, str, str]) -> None:
    headline = Text(parts[0], style=parts[1])
    headline.append(parts[2], style="not bold default")
    console.print(headline, soft_wrap=True)


def _fault_rows(explored: Explored) -> Iterable[tuple[str, ...]]:
    missing = never_injected(explored)
    for kind in FAULT_KINDS:
        times = explored.tally.faults[kind]
        if times:
            yield kind, f"{times:,}", f"{explored.tally.histories_with[kind]:,}"
        elif kind in missing:
            yield kind, "never", ""


def print_replay(replayed: Replayed) -> None:
    """Print the scenario of a run, and whether it came out the same."""
    from scenarios.report.counterexample import format_counterexample  # noqa: PLC0415 - only here

    console = make_console()
    simulation = replayed.simulation
    console.print(Text("\n".join(format_counterexample(simulation.verdict, simulation.history))), soft_wrap=True)
    console.print()
    if replayed.differs_at is None:
        _print_line(console, ("THE SAME", "bold green", f"  byte for byte, all {replayed.length:,} of them"))
    else:
        said = f"  from line {replayed.differs_at} on: the code has changed since, or the history was edited"
        _print_line(console, ("DIFFERENT", "bold red", said))


def print_mutants(results: Sequence[MutantResult], bound: int) -> None:
    """Print what became of the mutants."""
    console = make_console()
    rows = [
        (
            catch.mutant.name,
            catch.mutant.change,
            catch.mutant.workload.scenario.name,
            f"{catch.histories:,}" if catch.found else "SURVIVED",
            ", ".join(catch.violated),
        )
        for catch in results
    ]
    console.print(_table(("mutant", "change", "workload", "histories", "violates"), rows))
    console.print()
    survivors = [catch.mutant.name for catch in results if not catch.found]
    if survivors:
        said = f"  {', '.join(survivors)}: not killed in {bound:,} histories"
        _print_line(console, ("SURVIVED", "bold red", said))
    else:
        said = f"  all {len(results)} mutants, within {bound:,} histories each"
        _print_line(console, ("KILLED", "bold green", said))


def print_scenario(simulation: Simulation, directory: Path) -> None:
    """Print a scenario's verdict as the other tiers do."""
    console = make_console()
    verdict = simulation.verdict
    twin = " (naive twin)" if verdict.conditions.naive else ""
    console.print(Text(f"{verdict.scenario.name}{twin}: {verdict.scenario.summary}"), soft_wrap=True)
    console.print(Text(f"seed {verdict.conditions.seed}, files in {short(directory)}"), soft_wrap=True)
    virtual = f"took       {simulation.history.ended:.1f} s of virtual time"
    print_verdict(console, verdict, directory, [virtual])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        right = heading in ("times", "histories", "pass", "inconclusive")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
