"""A soak: traffic for minutes, and SIGKILL at random moments for whichever process takes part, the endpoint included.

It goes in rounds. In each of them consumers and producers work and are killed, and others take their place:

    a round     traffic, kills of consumers and producers ─▶ no more kills ─▶ all settled ─▶ judged by all invariants
    its like    traffic, kills of consumers and producers ─▶ the endpoint is killed       ─▶ judged by what was told

The embedded endpoint keeps its queues in memory, so its death ends what was in them. What had left the queue by then
is judged, the processes that outlived it have to end in order, and a new endpoint takes over. A kill falls wherever it
falls: in the middle of a receive, of a side effect, of a delete, of the process's own start.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Protocol

import psutil

from infra.files import write_atomically
from infra.stack import endpoint
from infra.stack.paths import stack_paths
from infra.stack.stacks import Stack, temporary_stack
from infra.topology import topology_of
from scenarios.checks.invariants import (
    DELETED_BEFORE_DONE,
    DUPLICATED_SIDE_EFFECT,
    STANDARD,
    UNREQUESTED_SIDE_EFFECT,
    WRONGLY_DEAD_LETTERED,
    Invariant,
    Violation,
    wrongly_dead_lettered,
)
from scenarios.checks.witnesses import Evidence, Witness, times
from scenarios.errors import BROKEN, ServiceFailedError
from scenarios.history import History
from scenarios.history.files import MERGED, write_history
from scenarios.lab import Lab
from scenarios.local.lab import Setup, SubprocessLab
from scenarios.local.observer import NoObserver
from scenarios.local.spawner import Spawner, fork_server
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.runs.directory import LATEST, VERDICT, new_run_directory
from scenarios.runs.plan import Place, RunPlan, RunRequest, invoked
from scenarios.runs.run import LOCAL, RunEnvironment, run_on, runs_of
from scenarios.verdict import Conditions, Outcome, Verdict, judge

#: The row of the topology whose queue it uses: a short visibility timeout, and receives to spare for kills.
TOPOLOGY = "idempotency-key"
#: The table of a soak, in its directory.
TABLE = "soak.json"
#: Processes that are always there.
CONSUMERS, PRODUCERS = 4, 2
#: What a producer sends before the next one takes its place: messages, and how many a second.
SENDS, RATE = 60, 20.0
#: Kills of a round, and how much more often a consumer is struck than a producer.
KILLS_A_ROUND, CONSUMERS_SHARE = 25, 0.8
#: How often a round ends by the endpoint's death.
ENDPOINT_SHARE = 0.5
#: Of the time that there is, the part that goes by between kills; the rest is for settling and judging.
KILLING_PART = 0.3
#: Seconds between two kills, at least and at most.
MIN_PAUSE, MAX_PAUSE = 0.02, 10.0
#: Seconds in which processes meet an endpoint that is not there, and in which they then end.
WITHOUT_ENDPOINT, END_WITHIN = 1.0, 20.0
#: Seconds for a round to settle, once there are no more kills.
SETTLE_WITHIN = 90.0
#: What a service ends with that gives up in order: done, unsent messages, a sentence about what it cannot use.
ORDERLY = (0, 1, 2, -signal.SIGTERM)


#: The numbers of a round that add up.
SUMMED = ("sent", "handled", "lost", "twice", "dead_lettered", "gone", "again", "started", "outlived")


class SoakObserver(Protocol):
    """Is told how a soak goes."""

    def ended(self, round_: Round, so_far: Soak) -> None:
        """Hear how a round came out, and what all have come to."""

    def waited(self) -> None:
        """Be asked many times a second; what this raises ends the soak, with all of its clean-up."""


@dataclass(frozen=True, slots=True)
class SoakRequest:
    """How long, and how much.

    Attributes:
        minutes: it ends then at the latest, but for the round that goes on.
        kills: it ends after so many.
        seed: of all choices; the moments are the machine's.
        consumer: a class in the place of our consumer, as ``module:Class``; empty for ours.
        runs: where it leaves its directory; None for ``runs/`` in the project.
    """

    minutes: float = 10.0
    kills: int = 1000
    seed: int = 0
    consumer: str = ""
    runs: Path | None = None

    @property
    def pause(self) -> float:
        """Seconds between two kills, on average."""
        return min(MAX_PAUSE, max(MIN_PAUSE, self.minutes * 60 * KILLING_PART / max(1, self.kills)))

    @property
    def command(self) -> str:
        """Return the command that soaks again."""
        consumer = f" --consumer {self.consumer}" if self.consumer else ""
        return f"{invoked()} soak --minutes {self.minutes:g} --kills {self.kills} --seed {self.seed}{consumer}"


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to.

    Attributes:
        sent: messages whose send was acknowledged.
        handled: keys whose side effect was done.
        lost: messages that are in no queue and were never done.
        twice: keys whose side effect was done more than once.
        dead_lettered: good messages in the dead-letter queue: kills cost them all of their receives.
        gone: messages that were in the queue when the endpoint died, and ended with it.
        again: messages that came again after a kill had struck the consumer that held them.
        kills: by the kind of process.
        started: processes that were started.
        memory: resident bytes of the endpoint at the end.
        outlived: processes that outlived the endpoint.
        disorderly: of these, the names of those that did not end in order, each with its last line.
        verdict: None where there is none.
        error: why there is none.
        broken: there is none because a process ended by itself.
        directory: its files, where they are kept.
    """

    sent: int = 0
    handled: int = 0
    lost: int = 0
    twice: int = 0
    dead_lettered: int = 0
    gone: int = 0
    again: int = 0
    kills: Mapping[str, int] = field(default_factory=dict)
    started: int = 0
    memory: int = 0
    outlived: int = 0
    disorderly: Sequence[str] = ()
    verdict: Verdict | None = None
    error: str = ""
    broken: bool = False
    directory: Path | None = None

    @property
    def exit_code(self) -> int:
        """As every command's: 0 pass, 1 fail, 2 inconclusive, 3 a process ended by itself."""
        if self.broken or self.disorderly:
            return BROKEN
        return Outcome.INCONCLUSIVE.exit_code if self.verdict is None else self.verdict.outcome.exit_code

    def as_json(self) -> dict[str, Any]:
        """Return the round as JSON has it."""
        said = {
            "kills": dict(self.kills),
            "disorderly": list(self.disorderly),
            "verdict": None if self.verdict is None else str(self.verdict.outcome),
            "reason": self.error if self.verdict is None else self.verdict.reason,
            "directory": None if self.directory is None else str(self.directory),
        }
        return {name: getattr(self, name) for name in (*SUMMED, "memory")} | said


@dataclass(slots=True)
class Soak:
    """What a soak came to."""

    request: SoakRequest
    directory: Path
    rounds: list[Round] = field(default_factory=list)
    endpoints: int = 0
    seconds: float = 0.0

    def total(self, name: str) -> int:
        """Return the sum of one of the rounds' numbers."""
        return sum(getattr(each, name) for each in self.rounds)

    @property
    def kills(self) -> Mapping[str, int]:
        """All kills, by the kind of process."""
        return sum((Counter(each.kills) for each in self.rounds), Counter[str]())

    @property
    def memory(self) -> int:
        """The most resident bytes that an endpoint had at the end of a round."""
        return max((each.memory for each in self.rounds), default=0)

    @property
    def reason(self) -> str:
        """Why it came out so, in one sentence."""
        for each in self.rounds:
            if each.exit_code and each.exit_code == self.exit_code:
                what = each.error or (each.verdict.reason if each.verdict else "")
                return "; ".join([f"Did not end in order: {name}" for name in each.disorderly]) or what
        if not sum(self.kills.values()):
            return "No process was killed: give it more minutes."
        if not self.total("again"):
            return "No message came again after a kill, so no kill struck a consumer at work: give it more kills."
        return "Nothing was lost and nothing done twice, and messages came again after kills."

    @property
    def exit_code(self) -> int:
        """As every command's: a failure is worst, then a broken process, then what has shown nothing."""
        codes = {each.exit_code for each in self.rounds}
        worst = next((code for code in (1, BROKEN, 2) if code in codes), 0)
        return worst or (0 if self.total("again") else Outcome.INCONCLUSIVE.exit_code)

    def as_json(self) -> dict[str, Any]:
        """Return the soak as JSON has it."""
        return {
            "minutes": self.request.minutes,
            "seed": self.request.seed,
            "seconds": round(self.seconds, 1),
            "kills": dict(self.kills),
            "endpoints": self.endpoints,
            "most_memory": self.memory,
            **{name: self.total(name) for name in SUMMED},
            "disorderly": [name for each in self.rounds for name in each.disorderly],
            "exit_code": self.exit_code,
            "reason": self.reason,
            "command": self.request.command,
            "run": str(self.directory),
            "rounds": [each.as_json() for each in self.rounds],
        }


def soak(request: SoakRequest, observer: SoakObserver) -> Soak:
    """Soak until the kills or the minutes are over; leave the table in its directory.

    Raises:
        ScenarioError: it cannot be begun.
        InfraError: no stack can be made.
    """
    began = time.monotonic()
    directory = new_run_directory(runs_of(request.runs), "soak", request.seed, datetime.now().astimezone())
    (directory / "processes").rmdir()
    found = Soak(request, directory)

    def is_over() -> bool:
        killed = sum(found.kills.values())
        return killed >= request.kills or time.monotonic() - began >= request.minutes * 60

    rng = Random(request.seed)  # noqa: S311 - chooses moments and victims, guards nothing
    with fork_server(str(directory)) as spawner:
        while not is_over():
            with temporary_stack([TOPOLOGY]) as stack:
                found.endpoints += 1
                _soak_one_endpoint(_Stage(stack, spawner, found, rng, observer), is_over)
    (directory / LATEST).unlink(missing_ok=True)
    found.seconds = time.monotonic() - began
    write_atomically(directory / TABLE, json.dumps(found.as_json(), indent=2).encode() + b"\n", durable=False)
    return found


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the rounds on one endpoint share."""

    stack: Stack
    spawner: Spawner | None
    soak: Soak
    rng: Random
    observer: SoakObserver


def _soak_one_endpoint(stage: _Stage, is_over: Callable[[], bool]) -> None:
    """Run rounds until one ends by the endpoint's death, or all is over."""
    found, fresh, dies = stage.soak, True, False
    while not is_over() and not dies:
        dies = stage.rng.random() < ENDPOINT_SHARE
        left = found.request.kills - sum(found.kills.values())
        one = _RoundOfTraffic(stage, fresh, max(0, min(KILLS_A_ROUND, left - dies)))
        round_ = one.until_the_endpoint_dies() if dies else one.until_all_is_settled()
        found.rounds.append(round_)
        fresh = False
        stage.observer.ended(round_, found)


class _RoundOfTraffic:
    """One round."""

    def __init__(self, stage: _Stage, fresh: bool, kills: int) -> None:
        self._stage = stage
        self._fresh = fresh
        self._wanted = kills
        self._rng = stage.rng
        self._kills: Counter[str] = Counter()
        self._started = 0
        self._struck: set[str] = set()
        self._request = RunRequest(
            "soak",
            seed=self._rng.randrange(2**32),
            consumer=stage.soak.request.consumer,
            runs=stage.soak.directory,
        )

    # --- the two kinds of rounds -------------------------------------------------------------------------------------

    def until_all_is_settled(self) -> Round:
        """Kill consumers and producers, let the rest finish, and judge."""
        scenario = _scenario(self._settle)
        plan = _Plan(self._request, scenario, scenario.defaults, self._request.seed or 0, repeat=self._command)
        environment = RunEnvironment(self._stage.stack, self._fresh, self._stage.spawner)
        try:
            result = run_on(environment, plan, _Watcher(self._stage.observer))
        except ServiceFailedError as error:
            return self._told(History(()), error=str(error), broken=True)
        failed = result.verdict.outcome is not Outcome.PASS
        if not failed:
            shutil.rmtree(result.directory, ignore_errors=True)
        return self._told(result.history, result.verdict, directory=result.directory if failed else None)

    def until_the_endpoint_dies(self) -> Round:
        """Kill consumers, producers and then the endpoint; judge what had left the queue by then."""
        stage, scenario = self._stage, _cut_scenario()
        directory = new_run_directory(
            stage.soak.directory, "soak", self._request.seed or 0, datetime.now().astimezone()
        )
        lab = SubprocessLab(self._setup(scenario, directory), _Watcher(stage.observer))
        entry = topology_of(TOPOLOGY)
        try:
            lab.open(fifo=entry.fifo, bucket=entry.bucket)
            self._traffic(lab)
            memory = self._memory()
            self._kill_endpoint()
            history, codes = lab.end_without_endpoint(END_WITHIN)
            codes = {name: code for name, code in codes.items() if name not in self._struck}
        except ServiceFailedError as error:
            return self._told(History(()), error=str(error), broken=True, directory=directory)
        finally:
            lab.close()
        conditions = Conditions(
            seed=self._request.seed or 0,
            parameters=scenario.defaults,
            tier=LOCAL,
            consumer=self._request.consumer,
            command=self._command,
            endpoint="embedded endpoint, killed",
        )
        verdict = judge(scenario, history, conditions)
        told = self._told(history, verdict, memory=memory)
        told = replace(told, outlived=len(codes), disorderly=_disorderly(lab, codes))
        if not told.exit_code:
            shutil.rmtree(directory, ignore_errors=True)
            return told
        write_history(history, directory / MERGED)
        write_atomically(directory / VERDICT, json.dumps(verdict.as_json(), indent=2).encode() + b"\n", durable=False)
        return replace(told, directory=directory)

    def _setup(self, scenario: Scenario, directory: Path) -> Setup:
        stack = self._stage.stack
        return Setup(
            scenario=scenario,
            parameters=scenario.defaults,
            seed=self._request.seed or 0,
            naive=False,
            consumer=self._request.consumer,
            stack=stack,
            resources=stack.scenario(TOPOLOGY),
            fresh=self._fresh,
            directory=directory,
            spawner=self._stage.spawner,
        )

    @property
    def _command(self) -> str:
        return self._stage.soak.request.command

    # --- traffic and kills -------------------------------------------------------------------------------------------

    def _settle(self, lab: Lab) -> None:
        if not isinstance(lab, SubprocessLab):
            raise TypeError("a soak kills real processes")
        self._traffic(lab)
        self._keep_up(lab, producers=0)
        lab.wait_for(
            lambda _: not _alive(lab, "producer"), deadline=SETTLE_WITHIN, what="the last producers to have sent all"
        )
        lab.settle(deadline=SETTLE_WITHIN)
        lab.stop()

    def _traffic(self, lab: SubprocessLab) -> None:
        """Keep consumers and producers at work, and kill one of them now and then."""
        self._keep_up(lab)
        pause = self._stage.soak.request.pause
        while self._kills.total() < self._wanted:
            lab.let_pass(self._rng.expovariate(1 / pause))
            self._keep_up(lab)
            kind = "consumer" if self._rng.random() < CONSUMERS_SHARE else "producer"
            victims = [name for name in _alive(lab, kind) if name not in self._struck]
            if victims:
                victim = self._rng.choice(victims)
                self._struck.add(victim)
                lab.kill(victim)
                self._kills[kind] += 1

    def _keep_up(self, lab: SubprocessLab, producers: int = PRODUCERS) -> None:
        """Start what is missing."""
        for kind, wanted in (("consumer", CONSUMERS), ("producer", producers)):
            for _ in range(wanted - len([name for name in _alive(lab, kind) if name not in self._struck])):
                self._started += 1
                if kind == "consumer":
                    lab.start_consumer(max_messages=self._rng.choice((1, 5, 10)))
                else:
                    lab.start_producer(f"producer-{self._started}", count=SENDS, rate=RATE)

    def _kill_endpoint(self) -> None:
        os.kill(self._endpoint_pid(), signal.SIGKILL)
        self._kills["endpoint"] += 1
        end = time.monotonic() + WITHOUT_ENDPOINT
        while time.monotonic() < end:
            self._stage.observer.waited()
            time.sleep(0.05)

    def _endpoint_pid(self) -> int:
        found = endpoint.find_endpoint(stack_paths(self._stage.stack.name))
        if found is None:
            raise ServiceFailedError(f"The endpoint of the stack {self._stage.stack.name} has ended by itself.")
        return found.pid

    def _memory(self) -> int:
        return int(psutil.Process(self._endpoint_pid()).memory_info().rss)

    # --- what it came to ---------------------------------------------------------------------------------------------

    def _told(
        self,
        history: History,
        verdict: Verdict | None = None,
        *,
        memory: int | None = None,
        error: str = "",
        broken: bool = False,
        directory: Path | None = None,
    ) -> Round:
        found = verdict.violations if verdict else {}
        ended = memory is not None
        return Round(
            sent=len(history.sends),
            handled=len(_done(history)),
            lost=len(found.get("lost", found.get(LOST_FROM_QUEUE.name, ()))),
            twice=len(found.get(DUPLICATED_SIDE_EFFECT.name, ())),
            dead_lettered=len(wrongly_dead_lettered(history)),
            gone=len(history.unsettled) if ended else 0,
            again=len(_came_again(history)),
            kills=dict(self._kills),
            started=self._started,
            memory=self._memory() if verdict and memory is None else memory or 0,
            verdict=verdict,
            error=error,
            broken=broken,
            directory=directory,
        )


@dataclass(frozen=True, slots=True)
class _Plan(RunPlan):
    """The plan of one round; its command is the soak's."""

    repeat: str = ""

    def command(self, speed: float, place: Place) -> str:  # noqa: ARG002 - a soak has stacks of its own
        """See :class:`RunPlan`."""
        return self.repeat


class _Watcher(NoObserver):
    """Lets a soak be interrupted while a round waits."""

    def __init__(self, observer: SoakObserver) -> None:
        self._observer = observer

    def waited(self) -> None:
        """Pass it on."""
        self._observer.waited()


def _alive(lab: SubprocessLab, kind: str) -> list[str]:
    return [name for name in lab.running if name.startswith(kind)]


def _disorderly(lab: SubprocessLab, codes: Mapping[str, int]) -> list[str]:
    """Return the processes that did not end in order when their endpoint was gone, each with its last line."""
    found = []
    for name, code in codes.items():
        log = lab.log_of(name)
        if code not in ORDERLY or "Traceback" in log:
            found.append(f"{name} ({code}): {(log.strip().splitlines() or ['it said nothing'])[-1]}")
    return found


# --- how a round is judged -----------------------------------------------------------------------------------------


def dead_lettered_by_no_kill(history: History) -> list[Violation]:
    """Find good messages in the dead-letter queue that no killed consumer has ever held."""
    killed = _killed(history)
    return [
        violation
        for violation in wrongly_dead_lettered(history)
        if not any(
            delivery.process in killed
            for message_id in violation.message_ids
            for delivery in history.deliveries_of.get(message_id, ())
        )
    ]


def lost_from_queue(history: History) -> list[Violation]:
    """Find messages that had left the queue when the endpoint died, and whose side effect surely never began.

    The ledger died with the endpoint. So every side effect that a consumer set out to cause counts as done, and so does
    one that it found in the ledger.
    """
    done = _done(history)
    return [
        Violation(
            f"{history.name(message.message_id)} was sent, left the queue, and no consumer set out to do it.",
            (message.key,),
            (message.message_id,),
            message.call.records,
        )
        for message in history.sends
        if message.message_id in history.gone and message.key not in done
    ]


def _done(history: History) -> frozenset[str]:
    """Return the keys whose side effect was done; where the ledger was not read, those that it may hold."""
    if history.ledger is not None:
        return frozenset(history.executions)
    begun = {effect.key for effect in history.effects if effect.status != "fail"}
    return frozenset(begun | history.found_in_ledger.keys())


def _killed(history: History) -> frozenset[str]:
    return frozenset(record["killed"] for record in history.events("killed"))


def _came_again(history: History) -> list[str]:
    """Return the messages that came to another consumer after a killed one had received them."""
    killed = _killed(history)
    return [
        message_id
        for message_id, deliveries in history.deliveries_of.items()
        if any(
            first.process in killed and later.process != first.process and later.time > first.time
            for at, first in enumerate(deliveries)
            for later in deliveries[at + 1 :]
        )
    ]


def _find_killed(history: History) -> Evidence | None:
    killed = history.events("killed")
    return Evidence(f"{times(len(killed))}, e.g. {killed[0]['killed']}", len(killed), (killed[0],)) if killed else None


DEAD_LETTERED_BY_NO_KILL = Invariant(
    WRONGLY_DEAD_LETTERED.name,
    "no good message goes to the dead-letter queue but by kills of the consumers that held it",
    dead_lettered_by_no_kill,
)
LOST_FROM_QUEUE = Invariant("lost", "no message leaves the queue before its side effect is begun", lost_from_queue)
KILLED = Witness("killed", "processes are killed", _find_killed, required=False)


def _scenario(run: Callable[[Lab], None]) -> Scenario:
    """Return the scenario of a round that settles."""
    invariants = tuple(DEAD_LETTERED_BY_NO_KILL if item is WRONGLY_DEAD_LETTERED else item for item in STANDARD)
    return Scenario(
        name="soak",
        summary="random kills while traffic flows",
        pace="slow",
        run=run,
        invariants=invariants,
        witnesses=(KILLED,),
        naive_twin=NaiveTwin("", "nothing", DUPLICATED_SIDE_EFFECT.name),
        defaults=Parameters(SENDS, 10),
        topology=TOPOLOGY,
    )


def _cut_scenario() -> Scenario:
    """Return the scenario of a round that the endpoint's death cuts short."""
    invariants = (LOST_FROM_QUEUE, DUPLICATED_SIDE_EFFECT, UNREQUESTED_SIDE_EFFECT, DELETED_BEFORE_DONE)
    return replace(_scenario(lambda _: None), invariants=invariants)
