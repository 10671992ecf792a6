"""What exploring a program needs beyond exploring a class: a rehearsal, and an honest word on its replays."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from scenarios.checks.effects import LogEffect, SqlEffect
from scenarios.checks.program_config import CONFIG, read_config
from scenarios.errors import BrokenProgramError, RequestError
from scenarios.exploration.campaign import violated_by
from scenarios.exploration.case import Case
from scenarios.exploration.replay import history_bytes
from scenarios.exploration.shrink import Shrunk
from scenarios.exploration.targets import Target
from scenarios.history import LAB
from scenarios.simulation.choices import ReplayedChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.run import Simulation, simulate

#: How often a counterexample is replayed, and for how many seconds at most.
REPLAYS = 20
REPLAY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How replays of one case come out.

    Attributes:
        replays: how many there were.
        same: how many of them left the same history, byte for byte.
        violated: how many of them violate the same promise.
    """

    replays: int
    same: int
    violated: int

    @property
    def convicts(self) -> bool:
        """Whether it is no chance: half of the replays or more violate the same."""
        return 2 * self.violated >= self.replays

    def as_json(self) -> dict[str, int]:
        """Return the figures by their names."""
        return {"replays": self.replays, "same": self.same, "violated": self.violated}


def rehearse(target: Target) -> None:
    """Let a program, or a handler, consume with nothing gone wrong.

    Raises:
        BrokenProgramError: it does what cannot be explored.
    """
    simulation = simulate(target.plan(0), ReplayedChoices(()), NoFaults())
    if target.handler:
        return
    if not any(not call.process.startswith(LAB) for call in simulation.history.calls("Receive")):
        raise BrokenProgramError(
            "The program has never asked for a message; it has to call ReceiveMessage for QUEUE_URL at "
            "AWS_ENDPOINT_URL."
        )
    effect = read_config(Path.cwd()).effect
    if isinstance(effect, SqlEffect | LogEffect) and not any(each.message_id for each in simulation.history.effects):
        keys = [each.key for each in simulation.history.effects]
        seen = f"its keys were others, such as {keys[0]}" if keys else "there was none"
        raise RequestError(
            f"In {effect.words} no side effect of the messages was seen ({seen}); correct [effect] in {CONFIG}."
        )


def agreement(case: Case) -> Agreement:
    """Replay a case, and compare each time with the first."""
    until = time.monotonic() + REPLAY_SECONDS
    first = history_bytes(case.simulate().history)
    replays = same = violated = 0
    while replays < REPLAYS and time.monotonic() < until:
        replays += 1
        again = case.simulate()
        same += history_bytes(again.history) == first
        violated += bool(case.violates & violated_by(again.verdict))
    return Agreement(replays, same, violated)


def replayed(shrunk: Shrunk, found: Case) -> tuple[Shrunk, Agreement]:
    """Replay a counterexample, and the history that it was shrunk from where most replays of it violate nothing.

    Chance may have let parts be left out that the violation needs. So a history is no chance if it comes again as it
    was found.

    Args:
        shrunk: the counterexample.
        found: the history that was found.

    Returns:
        What comes again, and how its replays come out; the counterexample where neither comes again.
    """
    agreed = agreement(shrunk.case)
    if agreed.convicts or shrunk.case == found:
        return shrunk, agreed
    as_found = agreement(found)
    return (replace(shrunk, case=found, as_found=True), as_found) if as_found.convicts else (shrunk, agreed)


def violation_of(case: Case, command: str = "") -> Simulation:
    """Let a case happen until it violates what it was found for; the last time, where it never does.

    Args:
        case: what to simulate.
        command: the command that does the same again.
    """
    for _ in range(REPLAYS):
        simulation = case.simulate(command)
        if case.violates & violated_by(simulation.verdict):
            break
    return simulation
