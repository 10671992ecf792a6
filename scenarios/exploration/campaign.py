"""A campaign: histories by the thousand, on all cores, until one of them violates a promise.

Which histories there are follows from the seed alone, and they are counted in their order, whatever the number of
processes. Nothing is kept of a history but what it adds to the counts, so a long campaign takes no more memory.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from scenarios.errors import LabError, ScenarioError
from scenarios.exploration.fault_coverage import faults_met
from scenarios.exploration.targets import Target, history_seed
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import simulate
from scenarios.verdict import Outcome, Verdict

#: Histories that a process simulates between two reports.
CHUNK = 100
#: Objects that a worker makes before it looks for garbage: those of a few histories.
GARBAGE_AFTER = 50_000
#: What a history violates in which a service ended that should not have.
SERVICE_FAILED = "service-failed"


@dataclass(frozen=True, slots=True)
class Found:
    """A history that violates something.

    Attributes:
        index: its number in the campaign, from 0.
        invariants: the names of what it violates.
    """

    index: int
    seed: int
    invariants: frozenset[str]


@dataclass(slots=True)
class Tally:
    """What histories added up to.

    Attributes:
        outcomes: histories by verdict.
        faults: faults by kind.
        histories_with: histories that met a kind of fault.
        witnesses: histories by witness.
        inconclusive: why the first inconclusive history is, a sentence; empty where none is.
        found: the first that violates something; nothing is counted after it.
    """

    histories: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    histories_with: Counter[str] = field(default_factory=Counter)
    witnesses: Counter[str] = field(default_factory=Counter)
    inconclusive: str = ""
    found: Found | None = None

    def add(self, other: Tally) -> None:
        """Add what came after."""
        self.histories += other.histories
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
class Campaign:
    """What to explore.

    Attributes:
        histories: how many at most.
        seed: what all of them follow from.
        jobs: how many processes share the work.
        looking_for: only these violations end the campaign; empty for any.
    """

    target: Target
    histories: int
    seed: int
    jobs: int = 1
    looking_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Explored:
    """What a campaign came to, and how long it took."""

    campaign: Campaign
    tally: Tally
    seconds: float

    @property
    def rate(self) -> float:
        """Histories a second."""
        return self.tally.histories / self.seconds if self.seconds else 0.0

    @property
    def outcome(self) -> Outcome:
        """The campaign's verdict: where nothing is violated and no history passed, it has shown nothing."""
        if self.tally.found is not None:
            return Outcome.FAIL
        return Outcome.PASS if self.tally.outcomes[Outcome.PASS] else Outcome.INCONCLUSIVE


def explore(campaign: Campaign, watch: Callable[[Tally, float], None] = lambda *_: None) -> Explored:
    """Simulate histories until one violates something, or until there are enough.

    Args:
        campaign: what to explore.
        watch: is told, now and then, what there is so far, and for how many seconds it has taken.
    """
    began = time.monotonic()
    total = Tally()
    with _workers(campaign) as results:
        for tally in results:
            total.add(tally)
            watch(total, time.monotonic() - began)
            if total.found is not None:
                break
    return Explored(campaign, total, time.monotonic() - began)


class _Chunk(NamedTuple):
    """A part of a campaign: the histories from ``first`` to before ``end``."""

    campaign: Campaign
    first: int
    end: int


@contextmanager
def _workers(campaign: Campaign) -> Iterator[Iterable[Tally]]:
    """Yield the tallies of a campaign's chunks, in order."""
    chunks = (
        _Chunk(campaign, first, min(first + CHUNK, campaign.histories)) for first in range(0, campaign.histories, CHUNK)
    )
    if campaign.jobs == 1:
        yield map(run_chunk, chunks)
        return
    # A fresh interpreter for each process: what a fork inherits of threads and locks is not to be relied on.
    context = multiprocessing.get_context("spawn")
    workers = []
    try:
        for _ in range(min(campaign.jobs, -(-campaign.histories // CHUNK))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            workers.append(_Worker(process, ours, _Chunk(campaign, 0, 0)))
        yield _in_order(workers, chunks)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


@dataclass(slots=True)
class _Worker:
    """A process that simulates chunks, the way to it, and the chunk that it has in hand."""

    process: BaseProcess
    pipe: Connection
    chunk: _Chunk

    def take(self, chunk: _Chunk) -> None:
        """Have it begin with a chunk; that it has died is seen when its tally is asked for."""
        self.chunk = chunk
        with suppress(OSError):
            self.pipe.send(chunk)

    def told(self) -> Tally | ScenarioError:
        """Return the tally of its chunk, or what ended it."""
        try:
            told: Tally | ScenarioError = self.pipe.recv()
        except (EOFError, OSError):
            # A pool would wait for it for ever.
            self.process.join()
            return LabError(
                f"A process of the campaign ended with exit code {self.process.exitcode} in the histories "
                f"{self.chunk.first + 1} to {self.chunk.end}; a consumer of yours may have ended it, or want of memory."
            )
        return told


def _in_order(workers: Sequence[_Worker], chunks: Iterator[_Chunk]) -> Iterator[Tally]:
    """Hand out chunks, and yield their tallies in the order of the chunks.

    Raises:
        ScenarioError: what a chunk ended with, once all before it are counted.
    """
    busy: dict[Any, _Worker] = {}
    for worker, chunk in zip(workers, chunks, strict=False):
        worker.take(chunk)
        busy[worker.pipe] = worker
    done: dict[int, Tally | ScenarioError] = {}
    due = 0
    while busy:
        for pipe in wait(list(busy)):
            worker = busy.pop(pipe)
            told = done[worker.chunk.first] = worker.told()
            following = None if isinstance(told, ScenarioError) else next(chunks, None)
            if following is not None:
                worker.take(following)
                busy[pipe] = worker
        while due in done:
            told = done.pop(due)
            if isinstance(told, ScenarioError):
                raise told
            yield told
            due += CHUNK


def _work(pipe: Connection) -> None:
    """Be a worker: simulate what comes, until this process is killed or nothing comes any more."""
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Do not look for garbage after every few records.
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    with suppress(EOFError, BrokenPipeError):
        while True:
            chunk = pipe.recv()
            try:
                told: Tally | ScenarioError = run_chunk(chunk)
            except ScenarioError as error:
                told = error
            pipe.send(told)


def run_chunk(chunk: _Chunk) -> Tally:
    """Simulate a chunk's histories, up to the first that violates something."""
    tally = Tally()
    for index in range(chunk.first, chunk.end):
        seed = history_seed(chunk.campaign.seed, index)
        violated = _count(chunk.campaign.target, seed, tally)
        wanted = chunk.campaign.looking_for
        if violated & wanted if wanted else violated:
            tally.found = Found(index, seed, violated)
            break
    return tally


def _count(target: Target, seed: int, tally: Tally) -> frozenset[str]:
    """Simulate one history, add it to the tally, and return the invariants that it violates."""
    tally.histories += 1
    try:
        simulation = simulate(target.plan(seed), SeededChoices(seed))
    except LabError:
        tally.outcomes[Outcome.FAIL] += 1
        return frozenset({SERVICE_FAILED})
    verdict = simulation.verdict
    tally.outcomes[verdict.outcome] += 1
    if verdict.outcome is Outcome.INCONCLUSIVE and not tally.inconclusive:
        tally.inconclusive = verdict.reason
    met = faults_met(simulation.history)
    tally.faults.update(met)
    tally.histories_with.update(kind for kind, count in met.items() if count)
    tally.witnesses.update(name for name, evidence in verdict.evidence.items() if evidence is not None)
    return violated_by(verdict)


def violated_by(verdict: Verdict) -> frozenset[str]:
    """Return the names of the invariants that a verdict found violated."""
    return frozenset(name for name, violations in verdict.violations.items() if violations)
