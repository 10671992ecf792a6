"""The supervisor of real processes: it keeps to the policy of every tier, see :mod:`scenarios.supervisor`.

It starts a consumer again that ended by itself in order, or with an error after a fault of the scenario had struck. One
that never was ready, or that ends with an error though nothing had gone wrong, is broken: that is the lab's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from json import dumps

from scenarios.history import History
from scenarios.lab import ConsumerHandle, has_started
from scenarios.supervisor import Supervisor, ended_as_told
from services.faults import Fault

#: Starts a consumer under a name, with the faults that are still to strike it.
Begin = Callable[[str, Sequence[Fault]], None]


@dataclass(slots=True)
class _Supervised:
    """One consumer of a scenario.

    Attributes:
        begin: starts it.
        faults: what the scenario has planned for it.
        has_limit: the scenario gave it a message limit.
        names: those that it had so far, the last of them now.
        due: the real time at which its successor starts; None where none is to.
    """

    begin: Begin
    faults: tuple[Fault, ...]
    has_limit: bool
    names: list[str]
    due: float | None = None


class Supervision:
    """The consumers of a run, by the names under which the scenario knows them.

    Attributes:
        made_up: real seconds for which the ends of consumers have held up the scenario.
    """

    def __init__(self, new_name: Callable[[str], str]) -> None:
        self._new_name = new_name
        self._supervisor = Supervisor()
        self._consumers: dict[str, _Supervised] = {}
        self.made_up = 0.0

    def start(self, name: str, faults: Sequence[Fault], begin: Begin, *, has_limit: bool) -> None:
        """Start a consumer for the first time."""
        self._consumers[name] = _Supervised(begin, tuple(faults), has_limit, [name])
        begin(name, faults)

    def current(self, name: str) -> str:
        """Return the name that a consumer has now."""
        return self._consumers[name].names[-1] if name in self._consumers else name

    def first_of(self, names: Iterable[str]) -> Sequence[str]:
        """Return those of the names that no successor has."""
        again = {name for item in self._consumers.values() for name in item.names[1:]}
        return [name for name in names if name not in again]

    def dismiss(self, names: Iterable[str]) -> None:
        """Start no successor of these consumers any more."""
        for name in names:
            if name in self._consumers:
                self._consumers[name].due = None

    def dismiss_all(self) -> None:
        """Start no successor of any consumer any more."""
        self.dismiss(self._consumers)

    def takes_over(self, name: str, code: int, history: History, *, now: float, speed: float) -> bool:
        """Return whether a consumer that ended by itself is no failure, and have its successor start in time.

        Args:
            name: the name that it had at its end.
            code: its exit code.
            history: the run's, with all that it wrote.
            now: the real time.
            speed: how many of the lab's seconds a real one is.
        """
        known_as = next((key for key, item in self._consumers.items() if item.names[-1] == name), None)
        if known_as is None or not has_started(ConsumerHandle(name))(history):
            return False
        if code and not history.faults:
            return False
        consumer = self._consumers[known_as]
        if ended_as_told(code, has_limit=consumer.has_limit):
            return True
        received = any(call.result for call in history.receives_of.get(name, ()))
        seconds = self._supervisor.restart_after(known_as, received=received)
        consumer.due = now + seconds / speed
        if self._supervisor.is_hopeful(known_as):
            self.made_up += (seconds + history.facts.visibility_timeout) / speed
        return True

    def start_due(self, now: float, history: History) -> None:
        """Start the successors whose time has come."""
        for known_as, consumer in self._consumers.items():
            if consumer.due is not None and consumer.due <= now:
                consumer.due = None
                name = self._new_name(known_as)
                faults = _still_to_strike(consumer.faults, consumer.names, history)
                consumer.names.append(name)
                consumer.begin(name, faults)


def _still_to_strike(planned: Sequence[Fault], names: Sequence[str], history: History) -> Sequence[Fault]:
    """Return the faults that have not struck any of these processes; one that strikes each time stays."""
    struck = Counter(_identity(strike.fault) for strike in history.faults if strike.process in names)
    left = []
    for fault in planned:
        identity = _identity(fault.as_json())
        if fault.nth and struck[identity]:
            struck[identity] -= 1
        else:
            left.append(fault)
    return left


def _identity(fault: object) -> str:
    """Return what tells one fault from another, whatever the lab's clock makes of its seconds."""
    assert isinstance(fault, dict)  # noqa: S101 - both are JSON objects
    return dumps(
        {name: value for name, value in fault.items() if name not in ("seconds", "at")}, sort_keys=True, default=list
    )
