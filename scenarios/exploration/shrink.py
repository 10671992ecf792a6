"""Shrinking: the found history with less in it, as long as it violates the same promise.

Faults, messages, processes and choices are left out of the history itself, large parts first and then each alone
(Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). What is left is needed: without any
one of its faults, messages or processes the violation is gone. The same case is shrunk to the same one each time,
unless its budget of seconds ends the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from scenarios.exploration.bounded import space_of
from scenarios.exploration.case import Case
from scenarios.exploration.targets import find
from scenarios.history import LAB
from scenarios.simulation.lab import Cut

Part = TypeVar("Part")

#: Seconds that a shrinking may take; a program's histories take longer.
SECONDS = 30.0
PROGRAM_SECONDS = 60.0
#: How many histories pass between two words on how the shrinking goes.
SAY_EVERY = 200
#: How often all parts are gone through, at most: what one pass leaves out makes room for another.
PASSES = 4
#: A case with no more faults and messages is simple enough.
SIMPLE = 2
#: How many bounded histories are tried at the end.
MOST_BOUNDED = 3_000
#: Among so many faults each one and each pair is tried alone.
MOST_COMBINED = 16


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The simplest case, how many histories it took to find it, and for how many seconds.

    Attributes:
        complete: nothing more can be left out; False where the budget was over before that was known.
        as_found: nothing was left out: what was shrunk did not come again.
    """

    case: Case
    histories: int
    seconds: float
    complete: bool = True
    as_found: bool = False


def shrink(case: Case, watch: Callable[[str], None] = lambda _: None, seconds: float | None = None) -> Shrunk:
    """Return the simplest case that violates one of the same promises.

    Args:
        case: the history that was found.
        watch: is told how it goes, now and then.
        seconds: after so many the simplest case so far is returned; None for the usual.
    """
    usual = PROGRAM_SECONDS if case.target.is_program else SECONDS
    return _Shrinker(case, watch, usual if seconds is None else seconds).shrink()


class _OverError(Exception):
    """The budget is over."""


class _Shrinker:
    def __init__(self, case: Case, watch: Callable[[str], None], seconds: float) -> None:
        self._case = case
        self._watch = watch
        self._began = time.monotonic()
        self._until = self._began + seconds
        self._tried = 0

    def shrink(self) -> Shrunk:
        complete = True
        try:
            for _ in range(PASSES):
                before = self._case
                self._fewer_faults()
                self._fewer_messages()
                self._fewer_processes()
                self._tamer_choices()
                self._smaller_faults()
                if self._case == before:
                    break
            self._smallest_story()
        except _OverError:
            complete = False
        self._case = replace(self._case, choices=_without_tame_end(self._case.choices))
        return Shrunk(self._case, self._tried, time.monotonic() - self._began, complete)

    # --- what is left out --------------------------------------------------------------------------------------------

    def _fewer_faults(self) -> None:
        self._fewer(self._case.faults, lambda case, kept: replace(case, faults=kept))
        faults = self._case.faults
        if not SIMPLE < len(faults) <= MOST_COMBINED:
            return
        # Each alone is needed, and yet one or two of them may do where the others are not in their way.
        for size in (1, 2):
            for few in combinations(faults, size):
                if self._accept(replace(self._case, faults=few)):
                    return

    def _fewer_messages(self) -> None:
        """Leave out messages, wherever they stand; then have the story send only so many as it then needs."""
        count = self._case.target.count
        everything = tuple(number for number in range(count) if number not in self._case.cut.messages)

        def keeping(case: Case, kept: Sequence[int]) -> Case:
            left_out = frozenset(range(count)) - frozenset(kept)
            return replace(case, cut=Cut(left_out, case.cut.idle))

        self._fewer(everything, keeping)
        scenario, _, _ = find(self._case.target.name)
        last = max((number for number in range(count) if number not in self._case.cut.messages), default=0)
        for fewer in range(max(scenario.least.count, 1), count):
            kept = frozenset(number for number in self._case.cut.messages if number < fewer)
            case = replace(
                self._case, target=replace(self._case.target, count=fewer), cut=Cut(kept, self._case.cut.idle)
            )
            if (fewer > last or not kept) and self._accept(case):
                break

    def _fewer_processes(self) -> None:
        """Have consumers do nothing but wait for their end."""
        history = self._case.simulate().history if self._holds(self._case) else None
        if history is None:
            return
        names = dict.fromkeys(call.process for call in history.calls("Receive") if not call.process.startswith(LAB))
        known = tuple(name for name in names if not any(name.startswith(f"{other}-") for other in names))

        def keeping(case: Case, kept: Sequence[str]) -> Case:
            idle = case.cut.idle | (frozenset(known) - frozenset(kept))
            return replace(case, cut=Cut(case.cut.messages, idle))

        for name in known:
            kept = tuple(other for other in known if other != name and other not in self._case.cut.idle)
            if kept and not self._is_expected(keeping(self._case, kept)):
                self._accept(keeping(self._case, kept))

    def _is_expected(self, case: Case) -> bool:
        """Tell whether a correct consumer would violate the same: then the story needs its parts."""
        target = replace(case.target, naive=False, consumer="", mutant="")
        if target == case.target:
            return True
        self._tried += 1
        return bool(replace(case, target=target).violated() & case.violates)

    def _tamer_choices(self) -> None:
        """Answer parts of the choices with the tamest number: all of them, halves, quarters, each alone."""
        if self._accept(replace(self._case, choices=())):
            return
        choices = self._case.recorded()
        self._accept(replace(self._case, choices=choices))
        size = len(choices)
        while size >= 1:
            for first in range(0, len(self._case.choices), size):
                choices = self._case.choices
                part = choices[first : first + size]
                if any(part):
                    self._accept(
                        replace(self._case, choices=(*choices[:first], *[0] * len(part), *choices[first + size :]))
                    )
            size //= 2

    def _smaller_faults(self) -> None:
        """Make each fault as small and as early as it can be."""
        for place, (name, fault) in enumerate(self._case.faults):
            simpler = (replace(fault, size=size) for size in range(fault.size))
            for candidate in simpler:
                faults = list(self._case.faults)
                faults[place] = (name, candidate)
                if self._accept(replace(self._case, faults=tuple(faults))):
                    break

    def _smallest_story(self) -> None:
        """Look for it among the bounded histories with the same kinds of fault, where they would be simpler."""
        case = self._case
        if len(case.faults) <= SIMPLE and case.messages <= SIMPLE:
            return
        space = space_of(case.target, frozenset(fault.kind for _, fault in case.faults))
        for number in range(MOST_BOUNDED):
            if case.target.is_program and number >= space.with_one:
                return  # which pairs there are takes as many histories to know
            schedule = space.schedule(number)
            if schedule is None:
                return
            if self._accept(Case(space.target, case.seed, (), case.violates, schedule)):
                return

    # --- how ---------------------------------------------------------------------------------------------------------

    def _fewer(self, parts: Sequence[Part], keeping: Callable[[Case, tuple[Part, ...]], Case]) -> None:
        """Keep as few of the parts as the violation needs."""
        kept = tuple(parts)
        size = len(kept)
        while size >= 1:
            first = 0
            while first < len(kept):
                fewer = (*kept[:first], *kept[first + size :])
                if self._accept(keeping(self._case, fewer)):
                    kept = fewer
                else:
                    first += size
            size //= 2

    def _accept(self, case: Case) -> bool:
        """Go on with a case if it still violates what it must."""
        if not self._holds(case):
            return False
        self._case = case
        return True

    def _holds(self, case: Case) -> bool:
        if time.monotonic() > self._until:
            raise _OverError
        self._tried += 1
        if self._tried % (1 if self._case.target.is_program else SAY_EVERY) == 0:
            self._watch(f"shrinking: {self._tried} histories")
        held = bool(case.violated() & self._case.violates)
        if held and case.target.is_program:
            # A program has chance of its own: what it does once, it has to do again.
            held = bool(case.violated() & self._case.violates)
        return held


def _without_tame_end(choices: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out the zeros at the end, which a replay answers by itself."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return choices[:end]
