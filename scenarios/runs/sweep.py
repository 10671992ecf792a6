"""Sweep a program: run it once, then strike each of its requests with each fault in a run of its own.

    one run without faults ─▶ the requests that the program makes, in order
    each request, each of {kill before, kill after, reply lost, throttled, late reply, and what lasts: partition,
    throttling, brown-out, expired credentials} ─▶ a run, and its verdict

A request is named by what it is and by how many of its kind came before, so that it is found again in another run.
Each run has two consumers: the struck one, and one that is started when the fault has struck. Runs go on side by side,
each on a stack that no other run uses at the time.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from infra.errors import InfraError
from infra.files import write_atomically
from infra.stack.stacks import Stack, temporary_stack
from scenarios.checks.effects import LogEffect, SqlEffect
from scenarios.checks.external_program import OtherRequest, ReadLedger, ReadState, command_line, is_program
from scenarios.checks.functions import STRETCH, Handler
from scenarios.checks.invariants import STANDARD
from scenarios.checks.program_config import ProgramConfig
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.errors import RequestError, ScenarioError
from scenarios.history import Call, History
from scenarios.lab import Lab, has_died, struck
from scenarios.local.effect_watch import passes_by
from scenarios.local.queue_settings import configured_resources
from scenarios.local.spawner import Spawner, fork_server
from scenarios.model import DeliveryRates, NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.runs.directory import new_run_directory
from scenarios.runs.plan import Place, RunPlan, RunRequest, invoked
from scenarios.runs.run import RunEnvironment, RunResult, run_on, runs_of
from scenarios.verdict import Outcome
from services.faults import Fault
from services.operations import OPERATIONS, Operation

#: The scenario whose queue and tables a sweep uses, and the name of what is swept in the history.
TOPOLOGY, SWEPT = "crash", "swept"
#: The name of the table in a sweep's directory.
TABLE = "sweep.json"
#: Runs at a time, for each processor: a run mostly waits for the visibility timeout.
AT_A_TIME = 3
#: The most runs at a time: each has a stack of its own.
MOST_AT_A_TIME = 8
#: Visibility timeouts for which a function is throttled.
THROTTLED = 0.25
#: Visibility timeouts by which a reply is late.
LATE = 1.5
#: Visibility timeouts for which a program is cut off: a message comes again meanwhile, and it hears no reply once more.
CUT_OFF = 1.5
#: And those for which all that it asks for is refused.
REFUSED = 0.75
#: Seconds of one wait: a signal that comes just before a wait begins does not cut it short.
LOOK_EVERY = 0.2

#: The faults, by the names that ``--faults`` takes.
KINDS: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "kill-before": lambda _: {"kind": "crash", "point": "before"},
    "kill-after": lambda _: {"kind": "crash", "point": "after"},
    "reply-lost": lambda _: {"kind": "reply-lost"},
    "throttled": lambda _: {"kind": "error", "code": "ThrottlingException"},
    "late-reply": lambda timeout: {"kind": "delay", "point": "during", "seconds": LATE * timeout},
    "partition": lambda timeout: {"kind": "partition", "point": "during", "seconds": CUT_OFF * timeout},
    "throttling": lambda timeout: {"kind": "throttling", "seconds": REFUSED * timeout},
    "brown-out": lambda timeout: {"kind": "brown-out", "seconds": REFUSED * timeout},
    "expired-credentials": lambda timeout: {"kind": "expired-credentials", "seconds": REFUSED * timeout},
}
#: Those of them that reach one system alone: the one that the struck request speaks to.
_OF_ONE_SYSTEM = ("partition", "throttling", "brown-out")

#: Likewise for an invocation of a Lambda function, which its environment does not survive, or never begins.
OF_INVOCATION: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "kill-before": lambda _: {"kind": "crash", "point": "before"},
    "kill-after": lambda _: {"kind": "crash", "point": "after"},
    "reply-lost": lambda _: {"kind": "reply-lost"},
    "throttled": lambda timeout: {"kind": "throttle", "seconds": THROTTLED * timeout},
    "timed-out": lambda _: {"kind": "timeout"},
    "cold-start": lambda _: {"kind": "cold-start"},
}
#: And for a delete of the event source mapping: it fails, and is tried again.
OF_MAPPINGS_DELETE: Mapping[str, Callable[[float], dict[str, Any]]] = {"throttled": lambda _: {"kind": "error"}}
#: All names that ``--faults`` takes where a handler is swept.
HANDLER_KINDS = tuple(dict.fromkeys((*KINDS, *OF_INVOCATION)))


#: What a program's requests come down to.
_OPERATIONS: Mapping[str, type[Operation]] = {
    **OPERATIONS,
    **{kind.__name__: kind for kind in (OtherRequest, ReadLedger, ReadState)},
}


@dataclass(frozen=True, slots=True)
class Point:
    """A request of the program.

    Attributes:
        operation: its kind, as the history has it.
        where: what else tells it from others of its kind.
        nth: how many of the same came until then, from 1.
    """

    operation: str
    where: tuple[tuple[str, str], ...]
    nth: int

    @property
    def name(self) -> str:
        """What people call it, such as ``Delete#2`` or ``dynamodb.UpdateItem(status)#1``."""
        facts = dict(self.where)
        what = f"{facts['service']}.{facts['action']}({facts['resource']})" if facts else self.operation
        return f"{what}#{self.nth}"

    def kinds(self, *, handler: bool) -> Mapping[str, Callable[[float], dict[str, Any]]]:
        """Return the faults that can strike it; a handler's mapping receives and deletes for it."""
        if not handler:
            return KINDS
        of_mapping = {"Receive": {}, "InvokeFunction": OF_INVOCATION, "Delete": OF_MAPPINGS_DELETE}
        return of_mapping.get(self.operation, KINDS)

    def fault(self, kind: str, timeout: float, *, handler: bool = False) -> Fault:
        """Return the fault that strikes it; ``timeout`` is the queue's visibility timeout in seconds."""
        made = self.kinds(handler=handler)[kind](timeout)
        if made["kind"] in _OF_ONE_SYSTEM:
            made["reach"] = _OPERATIONS[self.operation].mark.track
        return Fault(operation=self.operation, nth=self.nth, where=dict(self.where), **made)


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What to sweep.

    Attributes:
        consumer: the program's command line.
        kinds: the faults, by their names.
        count: messages of each run.
        seed: of all runs.
        jobs: runs at a time; None for as many as suit the machine.
        startup_timeout: real seconds for a program to start, and to ask for its first message; None for the usual.
        program: what the user's configuration file says of the program.
        only: strike only the request of this name, or else those whose name holds this text; empty for all.
        runs: where runs leave their directories; None for ``runs/`` in the project.
        handler: the Lambda handler in the place of a program; None for a program.
    """

    consumer: str
    kinds: tuple[str, ...] = tuple(KINDS)
    count: int = 2
    seed: int = 0
    jobs: int | None = None
    only: str = ""
    startup_timeout: float | None = None
    program: ProgramConfig = field(default_factory=ProgramConfig)
    runs: Path | None = None
    handler: Handler | None = None

    @property
    def subject(self) -> str:
        """What is swept, for people."""
        return self.consumer if self.handler is None else self.handler.handler

    def command(self, point: str = "", kind: str = "") -> str:
        """Return the command that repeats the sweep, or one run of it."""
        swept = ["--consumer", self.consumer] if self.handler is None else shlex.split(" ".join(self.handler.words()))
        words = ["sweep", *swept, "--seed", str(self.seed), "--count", str(self.count)]
        usual = tuple(KINDS) if self.handler is None else HANDLER_KINDS
        kinds = kind or ("" if self.kinds == usual else ",".join(self.kinds))
        words += ["--faults", kinds] if kinds else []
        words += ["--only", point or self.only] if point or self.only else []
        words += ["--startup-timeout", f"{self.startup_timeout:g}"] if self.startup_timeout else []
        return f"{invoked()} {shlex.join([*words, *self.program.given])}"


@dataclass(frozen=True, slots=True)
class Entry:
    """How one run came out.

    Attributes:
        point: the request that was struck; None for the run without faults.
        kind: the fault's name.
        result: None where there is no verdict.
        error: why there is none, a sentence.
        ended_by_itself: the program ended although nothing killed it, with this exit code; None where it did not.
    """

    point: Point | None
    kind: str
    result: RunResult | None
    error: str = ""
    ended_by_itself: int | None = None

    @property
    def outcome(self) -> str:
        """The verdict in a word; ``none`` where there is none."""
        return str(self.result.verdict.outcome) if self.result else "none"

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON has it."""
        own: dict[str, Any] = {"request": self.point.name if self.point else None, "fault": self.kind or None}
        own |= {"verdict": self.outcome, "ended_by_itself": self.ended_by_itself}
        if self.result is None:
            return {**own, "error": self.error}
        verdict = self.result.verdict
        violated = [name for name, found in verdict.violations.items() if found]
        own |= {"violated": violated, "reason": verdict.reason, "seconds": round(self.result.seconds, 3)}
        return {**own, "run": str(self.result.directory), "command": verdict.conditions.command}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found.

    Attributes:
        entries: the run without faults, then a run for each request and fault.
        directory: where its files are.
    """

    request: SweepRequest
    entries: Sequence[Entry]
    directory: Path
    seconds: float

    @property
    def first_violation(self) -> Entry | None:
        """The first run that fails, in the order of the program's requests."""
        return next((entry for entry in self.entries if entry.outcome == Outcome.FAIL), None)

    @property
    def exit_code(self) -> int:
        """1 where a run fails, 2 where none does and one shows nothing, else 0."""
        outcomes = {entry.outcome for entry in self.entries}
        if Outcome.FAIL in outcomes:
            return Outcome.FAIL.exit_code
        return 0 if outcomes == {str(Outcome.PASS)} else Outcome.INCONCLUSIVE.exit_code

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON has it."""
        first = self.first_violation
        return {
            "consumer": self.request.subject,
            "seed": self.request.seed,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "runs": [entry.as_json() for entry in self.entries],
            "first_violation": first.as_json() if first else None,
            "directory": str(self.directory),
            "command": self.request.command(),
        }


class SweepObserver(Protocol):
    """Is told how a sweep goes, from one thread."""

    def stage(self, text: str) -> None:
        """Hear what comes next."""

    def begins(self, points: int, runs: int) -> None:
        """Hear how many requests the program makes, and how many runs there will be."""

    def ended(self, entry: Entry) -> None:
        """Hear how a run came out."""


@dataclass(frozen=True, slots=True)
class _Plan(RunPlan):
    """The plan of one run; its command is the sweep's."""

    repeat: str = ""

    def command(self, speed: float, place: Place) -> str:  # noqa: ARG002 - a sweep has stacks of its own
        """See :class:`RunPlan`."""
        return self.repeat


def sweep(request: SweepRequest, observer: SweepObserver) -> Sweep:
    """Sweep a program.

    Raises:
        RequestError: it is no program, or no request of it has the name that is asked for.
        ScenarioError: the run without faults comes to no verdict.
        InfraError: no stack can be made.
    """
    if request.handler is None and not is_program(request.consumer):
        raise RequestError("sweep takes a program, such as --consumer 'node my.js'; `invoke explore` is for classes.")
    program = command_line(request.consumer) if request.handler is None else ()
    speed = 1.0 if request.handler is None else 1 / STRETCH
    began = time.monotonic()
    directory = new_run_directory(runs_of(request.runs), "sweep", request.seed, datetime.now().astimezone())
    (directory / "processes").rmdir()
    request = replace(request, runs=directory)
    with fork_server(str(directory)) as spawner, ExitStack() as stacks:
        worker = _Worker(request, program, spawner)
        observer.stage("bringing up a stack")
        worker.add(stacks.enter_context(temporary_stack([TOPOLOGY], speed=speed)))
        observer.stage("running the program without faults")
        baseline = worker.run(None, "")
        if baseline.result is None:
            raise ScenarioError(f"Without any fault there is no verdict: {baseline.error}")
        entries = [baseline]
        observer.ended(baseline)
        if baseline.outcome == Outcome.PASS:
            points = _chosen(points_of(baseline.result.history), request.only)
            if not points:
                raise RequestError(f"The program makes no request whose name holds {request.only!r}.")
            runs = _runs_of(points, request)
            if not runs:
                names = ", ".join(each.name for each in points)
                raise RequestError(
                    f"None of the faults {', '.join(request.kinds)} can strike {names}; leave out --faults, or choose "
                    "another request by --only."
                )
            observer.begins(len(points), len(runs))
            entries += _strike_all(worker, runs, observer, partial(_one_more, worker, stacks, speed))
    found = Sweep(request, entries, directory, time.monotonic() - began)
    write_atomically(directory / TABLE, json.dumps(found.as_json(), indent=2).encode() + b"\n", durable=False)
    return found


def points_of(history: History) -> list[Point]:
    """Return the requests of the swept program in order; a receive that brought nothing teaches nothing."""
    calls = [call for call in history.all_calls if call.process == SWEPT]
    seen: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    points: list[Point] = []
    for call in sorted(calls, key=lambda call: call.started):
        if call.operation == "Receive" and not call.result:
            continue
        what = (call.operation, _where(call))
        seen[what] += 1
        points.append(Point(*what, seen[what]))
    return points


def _chosen(points: Sequence[Point], only: str) -> list[Point]:
    """Return the one with this name, or else all whose names hold the text."""
    return [point for point in points if point.name == only] or [point for point in points if only in point.name]


def _where(call: Call) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(call.arguments.items())) if call.operation == OtherRequest.__name__ else ()


def _runs_of(points: Sequence[Point], request: SweepRequest) -> list[tuple[Point, str]]:
    """Return each request with each of the faults that can strike it."""
    handler = request.handler is not None
    watched = isinstance(request.program.effect, SqlEffect | LogEffect)
    return [
        (point, kind)
        for point in points
        for kind in request.kinds
        if kind in point.kinds(handler=handler) and not (watched and passes_by(point.fault(kind, 1.0, handler=handler)))
    ]


def _one_more(worker: _Worker, stacks: ExitStack, speed: float) -> None:
    worker.add(stacks.enter_context(temporary_stack([TOPOLOGY], speed=speed)))


def _strike_all(
    worker: _Worker, runs: Sequence[tuple[Point, str]], observer: SweepObserver, one_more: Callable[[], None]
) -> Iterator[Entry]:
    """Return the entries of all runs, in the order of requests and faults; have one more stack made for each job."""
    jobs = min(len(runs), worker.request.jobs or min(MOST_AT_A_TIME, AT_A_TIME * (os.cpu_count() or 1)))
    pool = ThreadPoolExecutor(jobs)
    try:
        begun: list[Future[Entry]] = [pool.submit(worker.run, point, kind) for point, kind in runs]
        for _ in range(jobs - 1):
            one_more()
        left = set(begun)
        while left:
            done, left = wait(left, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                observer.ended(future.result())
        return iter([future.result() for future in begun])
    except BaseException:
        worker.give_up.set()
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()


class _GaveUp(BaseException):
    """Ends a run in its own thread, through all of its clean-up, when the sweep is interrupted."""


class _Worker:
    """Runs the program once and again, each time on a stack that is free."""

    def __init__(self, request: SweepRequest, program: tuple[str, ...], spawner: Spawner | None) -> None:
        self.request = request
        self.give_up = threading.Event()
        self._program = program
        self._spawner = spawner
        self._free: SimpleQueue[tuple[Stack, bool]] = SimpleQueue()

    def add(self, stack: Stack) -> None:
        """Take a stack that is new."""
        self._free.put((stack, True))

    def run(self, point: Point | None, kind: str) -> Entry:
        """Run the program with one fault, or with none."""
        stack, fresh = self._free.get()
        try:
            timeout = configured_resources(stack, TOPOLOGY, self.request.program).visibility_timeout
            request = self.request
            fault = point.fault(kind, timeout, handler=request.handler is not None) if point else None
            plan = _Plan(
                RunRequest(
                    TOPOLOGY,
                    consumer=request.consumer,
                    runs=request.runs,
                    startup_timeout=request.startup_timeout,
                    program=request.program,
                    handler=request.handler,
                ),
                _scenario(fault, point, kind),
                Parameters(request.count, 1),
                request.seed,
                self._program,
                request.command(point.name, kind) if point else request.command(),
            )
            result = run_on(RunEnvironment(stack, fresh, self._spawner), plan, _Watcher(self.give_up))
        except (ScenarioError, InfraError) as error:
            return Entry(point, kind, None, str(error))
        else:
            return Entry(point, kind, result, ended_by_itself=_ended_by_itself(result.history))
        finally:
            self._free.put((stack, False))


@dataclass(frozen=True, slots=True)
class _Watcher:
    """Ends a run of an interrupted sweep (see :class:`scenarios.local.observer.Observer`)."""

    give_up: threading.Event = field(default_factory=threading.Event)

    def began(self, seed: int, directory: Path) -> None:
        """Do nothing: both stand in the result."""

    def stage(self, _text: str) -> None:
        """Let an interrupted sweep end its runs."""
        self.waited()

    def grown(self, history: History) -> None:
        """Do nothing: several histories at once are nothing to watch."""

    def waited(self) -> None:
        """Let an interrupted sweep end its runs."""
        if self.give_up.is_set():
            raise _GaveUp


def _ended_by_itself(history: History) -> int | None:
    crashed = any(strike.kind == "crash" for strike in history.faults)
    codes = [end.code for name, end in history.exits.items() if name == SWEPT and end.code and not crashed]
    return next((code for code in codes if code > 0 and code != 128 + 15), None)


def _scenario(fault: Fault | None, point: Point | None, kind: str) -> Scenario:
    """Return the scenario of one run."""
    summary = f"{kind} at {point.name}" if point else "no fault"
    return Scenario(
        name="sweep",
        summary=summary,
        pace="fast",
        run=partial(_run, fault),
        invariants=STANDARD,
        witnesses=(_struck(fault, summary),) if fault else (),
        naive_twin=NaiveTwin("", "nothing", STANDARD[0].name),
        defaults=Parameters(2, 1),
        # No duplicates of the queue's own: whatever comes twice here, comes because of the fault.
        delivery=DeliveryRates(duplicate=0.0),
        any_program=True,
        topology=TOPOLOGY,
        tolerates_exits=True,
    )


def _run(fault: Fault | None, lab: Lab) -> None:
    """Let one program work, strike it, and let a second one take over what the first left."""
    lab.produce()
    first = lab.start_consumer(SWEPT, faults=[fault] if fault else [], max_messages=1)
    if fault is not None:
        happened = has_died(first) if fault.kind == "crash" else struck(first)
        lab.wait_for(lambda history: happened(history) or not history.unsettled, deadline=30, what="the fault")
        lab.start_consumer("rescuer", max_messages=1)
    lab.settle(deadline=30 + LATE * lab.queue.visibility_timeout + lab.parameters.count)
    lab.stop()


def _struck(fault: Fault, summary: str) -> Witness:
    def find(history: History) -> Evidence | None:
        strikes = [strike for strike in history.faults if strike.process == SWEPT]
        return Evidence(summary, len(strikes), (strikes[0].record,)) if strikes else None

    return Witness("struck", f"the fault strikes: {fault.kind} at {fault.operation}", find)
