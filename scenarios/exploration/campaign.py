"""A campaign: histories by the thousand, on any number of processes, until one of them violates a promise.

Which histories there are follows from the seed and their numbers alone, and they are counted in their order. So the
first violation is the same on one process, on many, on a cluster, and in shards that never hear of each other. Nothing
is kept of a history but what it adds to the counts, so a long campaign takes no more memory.

A campaign begins with the bounded histories (see ``bounded``), in turns with drawn ones: all of them where they are no
more than half of its histories, else a quarter of its own number. Some bugs need a queue that repeats itself, or three
faults, which no bounded history has: they would wait for the last of these. Others need one fault at one place.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from scenarios.errors import BrokenProgramError, LabError, ScenarioError
from scenarios.exploration.bounded import Schedule, ScheduledFaults, Space, space_of
from scenarios.exploration.corpus import MOST, Entry, MutatedChoices
from scenarios.exploration.executors import Died, Pool, in_order, pool_of
from scenarios.exploration.fault_coverage import FAULT_KINDS, faults_met, may_meet
from scenarios.exploration.state_coverage import Coverage, Growth, states_of
from scenarios.exploration.targets import Target, history_seed
from scenarios.simulation.choices import Choices, ReplayedChoices, SeededChoices
from scenarios.simulation.collector import no_collection
from scenarios.simulation.lab import NoFaults, RandomFaults
from scenarios.simulation.run import simulate
from scenarios.verdict import Outcome, Verdict

#: Histories between two reports: the fewest, and the most. A chunk on a cluster should take five seconds or more.
CHUNK = 100
LARGEST_CHUNK = 1_700
#: Histories between two reports of a program, whose processes take time to start.
PROGRAM_CHUNK = 4
#: How many chunks each process gets, where there are enough histories.
CHUNKS_EACH = 8
#: Where not all bounded histories fit in half of a campaign, this part of it is bounded; and no more than so many are.
BOUNDED_PART = 4
PROGRAM_BOUNDED_PART = 2
MOST_BOUNDED = 20_000
#: One in so many histories is a bounded one, as long as there are any.
TURNS = 2
#: Pairs of faults are tried where there is room for so many histories for each single fault.
ROOM_FOR_PAIRS = 2
#: All pairs are counted only where there is room for so many histories for each single fault, and for so many of these
#: at most: counting takes as long as simulating each of them.
ROOM_FOR_ALL = 4
MOST_COUNTED = 800
#: So many chunks may be lost with the processes that simulated them; then a campaign ends.
MOST_LOST = 3
#: A campaign passes only if this part of its histories does: each required witness was seen in them.
MIN_CONCLUSIVE = 0.5
#: One history in so many is a mutation of the corpus, where there is one.
MUTATED_ONE_IN = 4
#: So many histories of a chunk, those that saw most states that the chunk had not seen, may enter the corpus.
CANDIDATES = 4
#: What a history violates in which a service ended that should not have.
SERVICE_FAILED = "service-failed"


@dataclass(frozen=True, slots=True)
class Found:
    """A history that violates something.

    Attributes:
        index: its number in the campaign, from 0.
        invariants: the names of what it violates.
        schedule: its faults, where it is one of the bounded histories; None where its choices drew them.
    """

    index: int
    seed: int
    invariants: frozenset[str]
    schedule: Schedule | None = None


@dataclass(slots=True)
class Tally:
    """What histories added up to.

    Attributes:
        outcomes: histories by verdict.
        faults: faults by kind.
        histories_with: histories that met a kind of fault.
        witnesses: histories by witness.
        inconclusive: why the first inconclusive history is, a sentence; empty where none is.
        bounded: how many of the histories were bounded ones.
        bounded_in_vain: how many of those were inconclusive: few messages may not bring about what a scenario is about.
        coverage: the abstract states that they went through.
        unusual: the histories that saw most new states, each as a number of states and its index.
        unsteady: how many violated something and did not when they were repeated: of a program, which has chance of its
            own. They convict nobody.
        found: the first that violates something; nothing is counted after it.
    """

    histories: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    histories_with: Counter[str] = field(default_factory=Counter)
    witnesses: Counter[str] = field(default_factory=Counter)
    inconclusive: str = ""
    bounded: int = 0
    bounded_in_vain: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    unusual: list[tuple[int, int]] = field(default_factory=list, compare=False)
    unsteady: int = 0
    found: Found | None = None

    def add(self, other: Tally) -> None:
        """Add what came after."""
        self.histories += other.histories
        self.bounded += other.bounded
        self.bounded_in_vain += other.bounded_in_vain
        self.coverage.merge(other.coverage)
        self.unusual = sorted((*self.unusual, *other.unusual), reverse=True)[: 2 * MOST]
        self.unsteady += other.unsteady
        for mine, theirs in (
            (self.outcomes, other.outcomes),
            (self.faults, other.faults),
            (self.histories_with, other.histories_with),
            (self.witnesses, other.witnesses),
        ):
            mine.update(theirs)
        self.inconclusive = self.inconclusive or other.inconclusive
        self.found = other.found


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a campaign that is explored by itself: each ``of``-th chunk.

    Attributes:
        number: which part, from 1.
        of: how many parts there are.
    """

    number: int = 1
    of: int = 1


@dataclass(frozen=True, slots=True)
class Campaign:
    """What to explore.

    Attributes:
        histories: how many at most.
        seed: what all of them follow from.
        jobs: how many processes share the work.
        looking_for: only these violations end the campaign; empty for any.
        bounded: whether it begins with the bounded histories.
        shard: which part of it.
        seconds: after so many it ends, with what it has by then; None for no limit.
        saturated: it ends when so many histories have seen no new state; None for no such end.
        corpus: the histories of earlier campaigns that it mutates.
    """

    target: Target
    histories: int
    seed: int
    jobs: int = 1
    looking_for: frozenset[str] = frozenset()
    bounded: bool = True
    shard: Shard = Shard()
    seconds: float | None = None
    saturated: int | None = None
    corpus: tuple[Entry, ...] = ()

    @property
    def most_bounded(self) -> int:
        """How many bounded histories it has at most: they come first."""
        if not self.bounded:
            return 0
        if self.target.is_program:
            return min(self.histories // PROGRAM_BOUNDED_PART, MOST_BOUNDED)
        half = self.histories // 2
        if half >= MOST_BOUNDED:
            return MOST_BOUNDED
        space = space_of(self.target)
        if is_countable(space, half) and half >= (total := space.total()):
            return total
        return self.histories // BOUNDED_PART

    @property
    def tries_pairs(self) -> bool:
        """Whether there is room for pairs of faults; which there are takes a history for each single fault to know."""
        return not self.target.is_program and self.most_bounded >= ROOM_FOR_PAIRS * space_of(self.target).with_one


def is_countable(space: Space, room: int) -> bool:
    """Tell whether all pairs may have room, and can be counted in little time."""
    return space.with_one <= MOST_COUNTED and room >= ROOM_FOR_ALL * space.with_one


class Chunk(NamedTuple):
    """A part of a campaign: the histories from ``first`` to before ``end``."""

    campaign: Campaign
    first: int
    end: int

    def __str__(self) -> str:
        return f"{self.first + 1} to {self.end}"


@dataclass(frozen=True, slots=True)
class Explored:
    """What a campaign came to, and how long it took.

    Attributes:
        chunks: by their first histories, what each of them came to; of a shard alone.
        lost: chunks of which nothing is known: the process died with them.
        growth: how many states it had seen after how many histories.
        is_saturated: it ended because there were no new states.
        unproven: what ended it, and yet convicts nobody: most of its replays violate nothing.
    """

    campaign: Campaign
    tally: Tally
    seconds: float
    chunks: tuple[tuple[int, int, Tally], ...] = ()
    lost: tuple[str, ...] = ()
    growth: Growth = field(default_factory=Growth)
    is_saturated: bool = False
    unproven: Found | None = None

    @property
    def rate(self) -> float:
        """Histories a second."""
        return self.tally.histories / self.seconds if self.seconds else 0.0

    @property
    def counted(self) -> int:
        """Of how many histories enough must pass: where others were drawn, no bounded one that shows nothing counts."""
        tally = self.tally
        return tally.histories - (tally.bounded_in_vain if tally.histories > tally.bounded else 0)

    @property
    def enough_passed(self) -> bool:
        """Whether enough of the histories passed."""
        passed = self.tally.outcomes[Outcome.PASS]
        return bool(passed) and passed >= MIN_CONCLUSIVE * self.counted

    @property
    def met_no_fault(self) -> bool:
        """Whether no fault struck in any history although one could have: such a campaign proves nothing."""
        if any(self.tally.faults.values()) or not self.campaign.target.with_faults:
            return False
        plan = self.campaign.target.plan(0)
        fifo, assumes = plan.queue_info.fifo, plan.assumes
        return any(may_meet(kind, fifo=fifo, assumes=assumes) for kind in FAULT_KINDS)

    @property
    def outcome(self) -> Outcome:
        """The campaign's verdict: where nothing is violated and too few histories passed, it has shown too little."""
        if self.tally.found is not None:
            return Outcome.FAIL
        if self.lost or self.unproven is not None:
            return Outcome.INCONCLUSIVE
        return Outcome.PASS if self.enough_passed and not self.met_no_fault else Outcome.INCONCLUSIVE


def acquitted(explored: Explored) -> Explored:
    """Return a campaign whose violation does not come again: it convicts nobody, and shows nothing."""
    tally = replace(explored.tally, found=None, unsteady=explored.tally.unsteady + 1)
    return replace(explored, tally=tally, unproven=explored.tally.found)


def explore(
    campaign: Campaign, watch: Callable[[Tally, float], None] = lambda *_: None, pool: Pool | None = None
) -> Explored:
    """Simulate histories until one violates something, or until there are enough.

    Args:
        campaign: what to explore.
        watch: is told, now and then, what there is so far, and for how many seconds it has taken.
        pool: who simulates; by default as many processes of this machine as the campaign has jobs.

    Raises:
        ScenarioError: what a chunk ended with, or too many chunks were lost with their processes.
    """
    total, growth = Tally(), Growth()
    chunks: list[tuple[int, int, Tally]] = []
    lost: list[str] = []
    quiet, saturated, done = 0, False, 0
    with pool_of(campaign.jobs) if pool is None else pool as workers:
        workers.get_ready(_get_ready, campaign)
        # To start a process, and a program in it, takes seconds that no history has.
        began = time.monotonic()
        for chunk, told in in_order(workers, run_chunk, _chunks(campaign, workers.slots)):
            if isinstance(told, Died):
                lost.append(str(chunk))
                if len(lost) >= MOST_LOST:
                    raise LabError(_told_of(lost))
                continue
            if isinstance(told, ScenarioError):
                raise told
            states = total.coverage.count
            total.add(told)
            growth.note(total.histories, total.coverage.count)
            quiet = quiet + told.histories if total.coverage.count == states else 0
            saturated = campaign.saturated is not None and quiet >= campaign.saturated
            if campaign.shard.of > 1:
                chunks.append((chunk.first, chunk.end, told))
            watch(total, time.monotonic() - began)
            done += 1
            if total.found is not None or saturated or _is_over(campaign, began, done):
                break
    if lost and not total.histories:
        raise LabError(_told_of(lost))
    seconds = time.monotonic() - began
    return Explored(campaign, total, seconds, tuple(chunks), tuple(lost), growth, saturated)


def _told_of(lost: Sequence[str]) -> str:
    return (
        f"A process of the campaign died in the histories {'; '.join(lost)}, and so did the one that tried again; "
        "a consumer of yours may have ended it, or want of memory."
    )


def _is_over(campaign: Campaign, began: float, chunks: int) -> bool:
    """Tell whether a campaign's time is over; a program's histories are long, so one that does not fit is not begun."""
    if campaign.seconds is None:
        return False
    taken = time.monotonic() - began
    to_come = taken / chunks if campaign.target.is_program else 0.0
    return taken + to_come >= campaign.seconds


def _chunks(campaign: Campaign, slots: int) -> Iterator[Chunk]:
    """Yield a campaign's chunks, or those of a shard."""
    shard = campaign.shard
    # A campaign that may end at any second, or history, reports often.
    ends_early = campaign.seconds is not None or campaign.saturated is not None
    size = CHUNK if ends_early else chunk_size(campaign.histories, shard.of if shard.of > 1 else slots)
    if campaign.target.is_program:
        size = PROGRAM_CHUNK if campaign.seconds is None else 1
    for number, first in enumerate(range(0, campaign.histories, size)):
        if number % shard.of == shard.number - 1:
            yield Chunk(campaign, first, min(first + size, campaign.histories))


def chunk_size(histories: int, workers: int) -> int:
    """Return how many histories a chunk has; the shards of a campaign must agree on it."""
    if workers == 1:
        return CHUNK
    return max(CHUNK, min(LARGEST_CHUNK, -(-histories // (CHUNKS_EACH * workers))))


class _History(NamedTuple):
    """What decides a history of a campaign."""

    target: Target
    seed: int
    choices: Choices
    faults: RandomFaults | None
    schedule: Schedule | None


def history_of(campaign: Campaign, index: int) -> _History:
    """Return what decides a campaign's history of a number."""
    number = _bounded_number(campaign, index)
    if number is not None:
        space = space_of(campaign.target)
        schedule = space.schedule(number) if campaign.tries_pairs or number < space.with_one else None
        if schedule is not None:
            seed = history_seed(campaign.seed, 0)
            return _History(space.target, seed, ReplayedChoices(()), ScheduledFaults(schedule), schedule)
    seed = history_seed(campaign.seed, index)
    if campaign.corpus and index % MUTATED_ONE_IN == 0:
        entry = campaign.corpus[index // MUTATED_ONE_IN % len(campaign.corpus)]
        return _History(campaign.target, entry.seed, MutatedChoices(entry, seed), None, None)
    return _History(campaign.target, seed, SeededChoices(seed), None, None)


def _bounded_number(campaign: Campaign, index: int) -> int | None:
    """Return which of the bounded histories a number stands for; None for one whose choices are drawn."""
    number, place = divmod(index, TURNS)
    return None if place or number >= campaign.most_bounded else number


def _get_ready(campaign: Campaign) -> None:
    """Do once what the first history would have to wait for: a program is started, and waits for the next one."""
    if campaign.target.is_program:
        with suppress(ScenarioError):
            simulate(campaign.target.plan(0), ReplayedChoices(()), NoFaults())


def run_chunk(chunk: Chunk) -> Tally | ScenarioError:
    """Simulate a chunk's histories, up to the first that violates something; return what ended it, if that did."""
    tally = Tally()
    campaign = chunk.campaign
    wanted = campaign.looking_for
    try:
        for index in range(chunk.first, chunk.end):
            history = history_of(campaign, index)
            states = tally.coverage.count
            try:
                with nullcontext() if campaign.target.is_of_the_users else no_collection():
                    violated = _count(history, tally)
            except BrokenProgramError as error:
                raise BrokenProgramError(_told_in(index, campaign.seed, str(error)), error.log) from None
            if history.schedule is None and tally.coverage.count > states:
                tally.unusual.append((tally.coverage.count - states, index))
            if violated and campaign.target.is_program:
                violated = _confirmed(campaign, index, violated, tally)
            if violated & wanted if wanted else violated:
                tally.found = Found(index, history.seed, violated, history.schedule)
                break
    except ScenarioError as error:
        return error
    tally.unusual = sorted(tally.unusual, reverse=True)[:CANDIDATES]
    return tally


def _told_in(index: int, seed: int, sentence: str) -> str:
    """Return a sentence with the history that it is about, and how to repeat that."""
    what = sentence.rstrip(".")
    return f"In history {index + 1}: {what[:1].lower()}{what[1:]}. --seed {seed} --histories {index + 1} repeats it."


def _count(history: _History, tally: Tally) -> frozenset[str]:
    """Simulate one history, add it to the tally, and return the invariants that it violates."""
    tally.histories += 1
    tally.bounded += history.schedule is not None
    try:
        simulation = simulate(history.target.plan(history.seed), history.choices, history.faults)
    except BrokenProgramError:
        raise
    except LabError:
        tally.outcomes[Outcome.FAIL] += 1
        return frozenset({SERVICE_FAILED})
    verdict = simulation.verdict
    tally.outcomes[verdict.outcome] += 1
    tally.bounded_in_vain += history.schedule is not None and verdict.outcome is Outcome.INCONCLUSIVE
    if verdict.outcome is Outcome.INCONCLUSIVE and not tally.inconclusive:
        tally.inconclusive = verdict.reason
    met = faults_met(simulation.history)
    tally.faults.update(met)
    tally.histories_with.update(kind for kind, count in met.items() if count)
    tally.coverage.add(states_of(simulation.history))
    tally.witnesses.update(name for name, evidence in verdict.evidence.items() if evidence is not None)
    return violated_by(verdict)


def _confirmed(campaign: Campaign, index: int, violated: frozenset[str], tally: Tally) -> frozenset[str]:
    """Repeat a program's history, and return what it violates both times."""
    history = history_of(campaign, index)
    simulation = simulate(history.target.plan(history.seed), history.choices, history.faults)
    again = violated & violated_by(simulation.verdict)
    tally.unsteady += not again
    return again


def violated_by(verdict: Verdict) -> frozenset[str]:
    """Return the names of the invariants that a verdict found violated."""
    return frozenset(name for name, violations in verdict.violations.items() if violations)
