"""Run many scenarios on one stack, several at a time, and tell how each came out.

Each has queues and tables of its own, so they do not meet; what they share is the machine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from infra.errors import InfraError
from infra.stack.stacks import temporary_stack, use_stack
from scenarios.checks.external_program import is_program
from scenarios.checks.functions import Handler
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import BROKEN, RequestError, ScenarioError, ServiceFailedError
from scenarios.history import History
from scenarios.local.spawner import Spawner, fork_server
from scenarios.model import Scenario
from scenarios.runs.plan import RunRequest, plan_run
from scenarios.runs.run import RunEnvironment, RunResult, check_distance, check_speed, run_on, runs_of, speed_of
from scenarios.verdict import Outcome

#: Scenarios at a time, for each processor: a scenario mostly waits for the queue.
AT_A_TIME = 9
#: How often a run that has shown nothing is repeated by itself.
REPEATS = 2
#: Seconds of one wait: a signal that comes just before a wait begins does not cut it short.
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class SuiteRequest:
    """Which scenarios to run, and how.

    Attributes:
        twins: run each scenario's naive twin as well, whose verdict must be fail.
        seed: the seed of all runs; None draws one for each.
        jobs: how many run at a time; None for as many as suit the machine.
        speed: how many seconds the queues' clock runs in a real one; None for as the stack that is up has it, or else
            for each scenario its own.
        stack: the stack to run on; None for a temporary one, one for each speed.
        runs: where runs leave their directories; None for ``runs/`` in the project.
        consumer: a consumer in the place of ours: a class as ``module:Class``, or a command line; empty for ours.
        strict: whether a check that cannot be judged makes a pass inconclusive.
        startup_timeout: real seconds for a program to start; None for the usual.
        program: what the user's configuration file says of the program.
        handler: a Lambda handler in the place of our consumer; None for none.
    """

    scenarios: tuple[Scenario, ...]
    twins: bool = False
    seed: int | None = None
    jobs: int | None = None
    speed: float | None = None
    stack: str | None = None
    runs: Path | None = None
    consumer: str = ""
    strict: bool = False
    startup_timeout: float | None = None
    program: ProgramConfig = field(default_factory=ProgramConfig)
    handler: Handler | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """How one run of a set came out.

    Attributes:
        result: None where there is no verdict.
        error: why there is none, a sentence.
        broken: there is none because a producer or a consumer ended by itself.
        log: the last lines that it wrote.
    """

    scenario: Scenario
    naive: bool
    result: RunResult | None
    error: str = ""
    broken: bool = False
    log: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 for what was to be shown, 1 for something else, 2 for nothing either way, 3 for a broken consumer.

        A naive twin shows what it is to show by failing with the violation that its scenario names. A scenario about a
        pattern that the consumer does not declare asks nothing of it, and says so.
        """
        if self.result is None and self.broken:
            return BROKEN
        if self.result is None:
            return Outcome.INCONCLUSIVE.exit_code
        verdict = self.result.verdict
        if not self.naive:
            return 0 if verdict.is_undeclared else verdict.outcome.exit_code
        return 0 if verdict.twin_met else 1

    @property
    def is_undeclared(self) -> bool:
        """Whether the scenario is about a pattern that the consumer does not declare."""
        return self.result is not None and self.result.verdict.is_undeclared

    @property
    def has_shown_nothing(self) -> bool:
        """Whether real processes may have been too late, side by side: nothing is violated, and nothing is proved."""
        return self.result is not None and bool(self.exit_code) and self.result.verdict.outcome is not Outcome.FAIL

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON has it."""
        own = {"scenario": self.scenario.name, "naive": self.naive, "exit_code": self.exit_code}
        if self.result is None:
            return {**own, "error": self.error}
        verdict = self.result.verdict
        return {
            **own,
            "verdict": str(verdict.outcome),
            "undeclared": sorted({*verdict.undeclared.values()}),
            "reason": verdict.reason,
            "seed": verdict.conditions.seed,
            "seconds": round(self.result.seconds, 3),
            "run": str(self.result.directory),
            "command": verdict.conditions.command,
        }


def worst(entries: Iterable[Entry]) -> int:
    """Return the exit code of a set: a failure is worst, then a broken consumer, then what has shown nothing."""
    codes = {entry.exit_code for entry in entries}
    return next((code for code in (1, BROKEN, 2) if code in codes), 0)


class SuiteObserver(Protocol):
    """Is told how a set goes, from one thread at a time."""

    def begins(self, runs: int, stack: str) -> None:
        """Hear how many runs there will be, and on which stack."""

    def stage(self, name: str, text: str) -> None:
        """Hear what a run does next."""

    def ended(self, entry: Entry, *, again: bool = False) -> None:
        """Hear how a run came out; ``again`` where it was repeated by itself."""


def run_suite(request: SuiteRequest, observer: SuiteObserver) -> list[Entry]:
    """Run the scenarios of a set; return how each came out, in the order of the request.

    What has shown nothing side by side with others is repeated by itself. A violation stands: it is never tried away.

    Raises:
        ScenarioError: none of them can be run.
        InfraError: likewise, for the stack.
    """
    kinds = (False, True) if request.twins else (False,)
    runs = [(scenario, naive) for naive in kinds for scenario in request.scenarios]
    jobs = request.jobs or AT_A_TIME * (os.cpu_count() or 1)
    with fork_server(str(runs_of(request.runs))) as spawner, _environments(request, spawner) as environments:
        observer.begins(
            len(runs), ", ".join(dict.fromkeys(environment.stack.name for environment in environments.values()))
        )
        pool = ThreadPoolExecutor(jobs)
        try:
            worker = _Worker(request, environments, observer)
            # The longest first, so that none of them is left for the end.
            order = sorted(runs, key=lambda run: (run[1], -run[0].seconds))
            begun = {(scenario.name, naive): pool.submit(worker.run, scenario, naive) for scenario, naive in order}
            ended: SimpleQueue[Future[Entry]] = SimpleQueue()
            for run in begun.values():
                run.add_done_callback(ended.put)
            for _ in begun:
                worker.tell(_next_of(ended).result())
            return [_repeated(worker, begun[scenario.name, naive].result()) for scenario, naive in runs]
        except BaseException:
            # Ctrl-C reaches this thread alone; the others end at their next look.
            worker.give_up.set()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            pool.shutdown()


def _next_of(ended: SimpleQueue[Future[Entry]]) -> Future[Entry]:
    """Wait for the next run that ends, by no lock that Ctrl-C could leave taken."""
    while True:
        with suppress(Empty):
            return ended.get(timeout=LOOK_EVERY)


def _repeated(worker: _Worker, entry: Entry) -> Entry:
    for _ in range(REPEATS):
        if not entry.has_shown_nothing:
            break
        entry = worker.run(entry.scenario, entry.naive)
        worker.tell(entry, again=True)
    return entry


class _GaveUp(BaseException):
    """Ends a run in its own thread, through all of its clean-up, when the set is interrupted."""


class _Worker:
    """Runs one scenario after another, each in a thread of the pool."""

    def __init__(
        self, request: SuiteRequest, environments: Mapping[str, RunEnvironment], observer: SuiteObserver
    ) -> None:
        self._request = request
        self._environments = environments
        self._observer = observer
        self._used: set[str] = set()
        self._telling = threading.Lock()
        self._locks: dict[str, threading.Lock] = {scenario.name: threading.Lock() for scenario in request.scenarios}
        self.give_up = threading.Event()

    def run(self, scenario: Scenario, naive: bool) -> Entry:
        """Run a scenario, or its twin; the two share queues, so one waits for the other."""
        mine = self._request
        plan = plan_run(
            RunRequest(
                scenario.name,
                seed=mine.seed,
                naive=naive,
                consumer="" if naive else mine.consumer,
                speed=mine.speed,
                runs=mine.runs,
                strict=mine.strict,
                startup_timeout=mine.startup_timeout,
                program=mine.program,
                handler=None if naive else mine.handler,
            )
        )
        name = f"{scenario.name} (naive twin)" if naive else scenario.name
        with self._locks[scenario.name]:
            self.check()
            environment = self._environments[scenario.name]
            fresh = environment.fresh and scenario.name not in self._used
            self._used.add(scenario.name)
            try:
                return Entry(scenario, naive, run_on(replace(environment, fresh=fresh), plan, _Watcher(name, self)))
            except ServiceFailedError as error:
                return Entry(scenario, naive, None, str(error), broken=True, log=error.log)
            except (ScenarioError, InfraError) as error:
                return Entry(scenario, naive, None, str(error))

    def tell(self, entry: Entry, *, again: bool = False) -> None:
        """Tell how a run came out."""
        with self._telling:
            self._observer.ended(entry, again=again)

    def stage(self, name: str, text: str) -> None:
        """Tell what a run does next, or end it where the set was interrupted."""
        self.check()
        with self._telling:
            self._observer.stage(name, text)

    def check(self) -> None:
        """End this thread's run where the set was interrupted."""
        if self.give_up.is_set():
            raise _GaveUp


class _Watcher:
    """Passes on how one run goes (see :class:`scenarios.local.observer.Observer`)."""

    def __init__(self, name: str, worker: _Worker) -> None:
        self._name = name
        self._worker = worker

    def began(self, seed: int, directory: Path) -> None:
        """Do nothing: both stand in the result."""

    def stage(self, text: str) -> None:
        """Pass it on."""
        self._worker.stage(self._name, text)

    def grown(self, history: History) -> None:
        """Do nothing: several histories at once are nothing to watch."""

    def waited(self) -> None:
        """Let an interrupted set end its runs."""
        self._worker.check()


@contextmanager
def _environments(request: SuiteRequest, spawner: Spawner | None) -> Iterator[Mapping[str, RunEnvironment]]:
    """Yield each scenario's environment by its name: the stack that is up, or a temporary one for each speed."""
    with use_stack(request.stack) as found:
        if found is not None:
            if request.speed is not None:
                check_speed(found, request.speed)
            check_distance(found)
            yield {scenario.name: RunEnvironment(found, fresh=False, spawner=spawner) for scenario in request.scenarios}
            return
    if request.stack:
        raise RequestError(f"The stack {request.stack} is not up; `invoke up --stack {request.stack}` brings it up.")
    at_speed: dict[float, list[str]] = {}
    for scenario in request.scenarios:
        speed = request.speed or speed_of(
            scenario, handler=request.handler is not None, program=is_program(request.consumer)
        )
        at_speed.setdefault(speed, []).append(scenario.name)
    with ExitStack() as cleanup:
        environments: dict[str, RunEnvironment] = {}
        for speed, names in at_speed.items():
            stack = cleanup.enter_context(temporary_stack(names, speed=speed))
            environments |= {name: RunEnvironment(stack, fresh=True, spawner=spawner) for name in names}
        yield environments
