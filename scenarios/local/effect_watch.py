"""Side effects that are watched: whose each is, when it was caused, and how faults strike there.

A row or a line passes no proxy. So the lab looks for new ones before each request of a program is sent on, and knows
between which two requests a side effect was caused:

    Receive ──▶ ... ──▶ the last request before the side effect ──▶ (side effect) ──▶ the next request: here it is seen
                                                               └ held back for a delay, or for a crash before it

A crash before a side effect strikes where a database holds the insert (see ``scenarios.local.sql_hold``). With a log it
strikes at the last request before it: the answer is kept back, and the program is killed. Which request that is, the
first program that causes a side effect shows. A crash after it strikes at the next request.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from scenarios.errors import LabError, RequestError, ScenarioError
from scenarios.local.effect_sources import EffectSource
from scenarios.local.observed_exchange import GoneError, Request
from scenarios.local.sql_hold import Hold
from services.faults import EFFECTS, LASTING, Fault
from services.history import Recorder
from services.injection import FaultSource, InjectedFault
from services.operations import Message, Operation, OperationFailed, PerformSideEffect

#: Seconds that a program which shall die before its side effect waits for another to show where that is.
LEARNING = 0.5
LOOK_EVERY = 0.01
#: Seconds in which a program that was handed a message comes to its side effect; nothing strikes it later.
COMES_TO_IT = 20.0
#: The outcome of a side effect that was held back, and that the program then did not cause.
NOT_DONE = OperationFailed("NotDone", "the program did not cause its side effect", transient=False)


def passes_by(fault: Fault) -> bool:
    """Tell whether a fault could not be carried out at a side effect that is only watched.

    Nothing can refuse it there, or keep its answer back. What lasts reaches what passes the proxy, and begins there.
    """
    if fault.operation not in EFFECTS:
        return False
    if fault.kind in LASTING:
        return fault.reach == "world"
    return fault.kind not in ("crash", "delay") or fault.point == "during"


class Keys(Protocol):
    """Knows the messages that a program was handed."""

    def key_of(self, message: Message) -> str:
        """Return a message's key."""

    def effect(self, key: str) -> PerformSideEffect:
        """Return the side effect of a key."""


class Faults(FaultSource, Protocol):
    """A program's faults.

    Attributes:
        kills_before: one of them kills it before a side effect.
    """

    kills_before: bool

    def before(self, operation: Operation) -> Iterable[Fault]:
        """See :class:`services.injection.FaultSource`."""


class EffectWatch:
    """The side effects of one run.

    Args:
        source: where they are seen.
        clock: monotonic seconds.

    Attributes:
        error: why they cannot be read; None where they can.
        executions: how often each key's side effect was caused.
        requests_before: how many requests a program makes between a receive and its side effect; None for unknown.
    """

    def __init__(self, source: EffectSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.error: ScenarioError | None = None
        self.executions: Counter[str] = Counter()
        self.requests_before: int | None = None
        self.lock = threading.RLock()
        self._source = source
        self._programs: list[WatchedProgram] = []
        self.is_over = threading.Event()
        self._strikes: list[threading.Thread] = []
        self._looked = clock()
        source.begin()

    def program(
        self, keys: Keys, recorder: Recorder, faults: Faults, kill: Callable[[Request], None]
    ) -> WatchedProgram:
        """Return a program that takes part in the run from now on."""
        program = WatchedProgram(self, keys, recorder, faults, kill)
        with self.lock:
            self._programs.append(program)
        return program

    def look(self, asking: WatchedProgram | None = None, *, everything: bool = False) -> None:
        """Record what was caused since the last look; ``everything`` also what no message asks for."""
        with self.lock:
            if self.error is not None:
                return
            keys = None if everything else {key for program in self._programs for key in program.handed}
            now = self.clock()
            try:
                found = self._source.new(keys)
            except ScenarioError as error:
                self.error = error
                return
            for key in found:
                self.executions[key] += 1
                program = self._cause(key, asking)
                if program is not None:
                    program.caused(key, max(self._looked, program.handed.get(key, 0.0)), self.executions[key])
            self._looked = now

    def _cause(self, key: str, asking: WatchedProgram | None) -> WatchedProgram | None:
        """Return the program whose side effect it is: of those that hold its message the one that tells of it."""
        able = [each for each in self._programs if key in each.handed and key not in each.held]
        if asking in able:
            return asking
        waiting = [each for each in able if key in each.begun and not each.is_dead]
        chosen = waiting or able or self._programs
        return max(chosen, key=lambda each: each.handed.get(key, 0.0)) if chosen else None

    def finish(self) -> dict[str, int]:
        """Look for the last time, and return how often each key's side effect was caused.

        Raises:
            ScenarioError: they cannot be read, or what was seen cannot be this run's.
        """
        self.look(everything=True)
        if self.error is not None:
            raise self.error
        self._source.check()
        handed = {key for program in self._programs for key in program.handed}
        there = sorted(handed & self._source.before)
        if there:
            raise RequestError(
                f"Before the run there were rows of its messages in {self._source.words} ({there[0]}): a seed repeats "
                "its keys. Empty it by effect.prepare, give each run its own by {run}, or leave out --seed."
            )
        if handed and not handed & self.executions.keys():
            seen = (
                f"its keys were others, such as {next(iter(self.executions))}" if self.executions else "there was none"
            )
            raise RequestError(
                f"In {self._source.words} no side effect of this run's messages was seen ({seen}); correct [effect] in "
                "the configuration, or the program."
            )
        return dict(self.executions)

    def hold(self, key: str) -> Hold | None:
        """Return what holds a program at the side effect of a key; None where it cannot be held there."""
        return self._source.hold(key)

    def strike(self, program: WatchedProgram, hold: Hold, due: Callable[[], None]) -> None:
        """Have a program killed, in a thread, when it has come to its side effect.

        Args:
            program: the program.
            hold: holds it there.
            due: kills it, and says so.
        """
        thread = threading.Thread(target=self._strike, args=(program, hold, due), daemon=True)
        self._strikes.append(thread)
        thread.start()

    def _strike(self, program: WatchedProgram, hold: Hold, due: Callable[[], None]) -> None:
        end = self.clock() + COMES_TO_IT
        try:
            while not self.is_over.wait(LOOK_EVERY) and self.clock() < end and not program.is_dead:
                if hold.is_reached():
                    due()
                    break
        except Exception as error:  # noqa: BLE001 - a database says in many ways that it cannot be asked
            self.error = self.error or LabError(f"A program could not be held at its side effect: {error}")
        finally:
            try:
                hold.release()
            except Exception as error:  # noqa: BLE001 - likewise
                self.error = self.error or LabError(f"The trigger of a side effect could not be dropped: {error}")

    def close(self) -> None:
        """End what is under way, and let go of the source."""
        self.is_over.set()
        for thread in self._strikes:
            thread.join()
        self._source.close()


class WatchedProgram:
    """One program, and its place between two requests.

    Attributes:
        handed: when it was last handed each key's message.
        begun: the invoke records of side effects that are held back, by key.
        held: the keys whose messages it cannot have seen yet.
        is_dead: a fault has killed it.
        is_at_work: it was held back, and has neither deleted nor received since.
    """

    def __init__(
        self, watch: EffectWatch, keys: Keys, recorder: Recorder, faults: Faults, kill: Callable[[Request], None]
    ) -> None:
        self.handed: dict[str, float] = {}
        self.begun: dict[str, int] = {}
        self.held: set[str] = set()
        self.is_dead = False
        self.is_at_work = False
        self._watch = watch
        self._keys = keys
        self._recorder = recorder
        self._faults = faults
        self._kill = kill
        self._request: Request | None = None
        self._batch: list[str] = []
        self._left: set[str] = set()
        self._caused: set[str] = set()
        self._requests = 0
        self._is_to_be_held = False
        self._teaches = False

    def begins(self, request: Request) -> None:
        """Hear of a request, before it is sent on.

        Raises:
            GoneError: a fault killed the program at this point.
        """
        self._request = request
        self._watch.look(self)
        if self.is_dead:
            raise GoneError
        self._requests += 1

    def received(self, messages: Sequence[Message]) -> None:
        """Hear what the program is about to be handed."""
        with self._watch.lock:
            self._give_up(list(self.begun))
            self.is_at_work = False
            self._batch = [self._keys.key_of(message) for message in messages]
            self.handed.update(dict.fromkeys(self._batch, self._watch.clock()))
            self.held.update(self._batch)
            self._left = set(self._batch)
            self._caused.clear()
            self._requests = 0
            self._is_to_be_held = self._teaches = True

    def deletes(self, messages: Iterable[Message]) -> None:
        """Hear of a delete, before it is sent on: a side effect that was not caused by now is not caused any more."""
        with self._watch.lock:
            deleted = [self._keys.key_of(message) for message in messages]
            self._left.difference_update(deleted)
            self.is_at_work = self.is_at_work and bool(self._left)
            self._give_up([key for key in deleted if key in self.begun])

    def _give_up(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._recorder.fail(self.begun.pop(key), self._keys.effect(key), NOT_DONE)

    def ends(self, request: Request) -> None:
        """Hear that a request is done, before it is answered; this is where faults before a side effect strike.

        Raises:
            GoneError: the program was killed, or has gone.
        """
        if not self._is_to_be_held:
            return
        if self._faults.kills_before and not self._can_be_held():
            self._learn(request)
        before = self._watch.requests_before or 0
        if self._requests >= before:
            self._is_to_be_held = False
            self._hold(request)
        self.held.clear()

    def _can_be_held(self) -> bool:
        return self._watch.hold(self._batch[0]) is not None

    def _learn(self, request: Request) -> None:
        """Wait until another program has shown how many requests come before a side effect."""
        end = self._watch.clock() + LEARNING
        while self._watch.requests_before is None and self._watch.clock() < end:
            request.pause(LOOK_EVERY)

    def _hold(self, request: Request) -> None:
        seconds = 0.0
        with self._watch.lock:
            self._watch.look(self)
            for key in self._batch:
                if key in self._caused:
                    continue
                operation = self._keys.effect(key)
                for fault in self._faults.before(operation):
                    if passes_by(fault):
                        continue  # the history tells of nothing that does not happen
                    hold = self._watch.hold(key) if fault.kind == "crash" else None
                    if hold is not None:
                        hold.arm()
                        self._watch.strike(self, hold, partial(self._die_before, operation, fault))
                        continue
                    if key not in self.begun:
                        self.begun[key] = self._recorder.invoke(operation)
                    self._recorder.fault(self.begun[key], operation, fault.as_json())
                    seconds += 0.0 if fault.kind in LASTING else fault.seconds
                    if fault.kind == "crash":
                        del self.begun[key]
                        self._die()
                        raise GoneError
        if seconds:
            self.is_at_work = True
            request.pause(seconds)

    def caused(self, key: str, since: float, executions: int) -> None:
        """Hear of a side effect of this program's.

        Args:
            key: its key.
            since: when it was not there yet.
            executions: how often it has been caused by now.
        """
        self._caused.add(key)
        operation = self._keys.effect(key)
        invocation = self.begun.pop(key, None)
        if invocation is None:
            invocation = self._recorder.invoke(operation, at=since)
        self._recorder.ok(invocation, operation, executions)
        if self._teaches:
            self._teaches = False
            known = self._watch.requests_before
            self._watch.requests_before = self._requests if known is None else min(known, self._requests)
        for fault in self._faults.after(operation, executions):
            self._recorder.fault(invocation, operation, fault.as_json())
            if fault.kind == "crash" and not self.is_dead:
                self._die()

    def _die_before(self, operation: PerformSideEffect, fault: InjectedFault) -> None:
        with self._watch.lock:
            self._recorder.fault(self._recorder.invoke(operation), operation, fault.as_json())
            self._die()

    def _die(self) -> None:
        self.is_dead = True
        if self._request is not None:
            self._kill(self._request)
