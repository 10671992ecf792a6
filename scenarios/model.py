"""What a scenario is: its scenario, what must hold of it, what must happen in it, and its naive twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

from scenarios.checks.functions import DEFAULT_MAXIMUM_CONCURRENCY, FunctionSettings, FunctionStage, Handler
from scenarios.checks.invariants import Invariant
from scenarios.checks.witnesses import Witness
from scenarios.errors import RequestError
from scenarios.parameters import COMMON, Parameters
from services.batches import MAX_ENTRIES
from services.common.numbers import finite_number, whole_number
from services.consumer.patterns import Pattern

if TYPE_CHECKING:
    from scenarios.lab import Lab

#: More would take longer than anybody watches a scenario for.
MAX_COUNT = 100_000

Pace = Literal["fast", "slow"]
PACES: tuple[str, ...] = get_args(Pace)
#: Where a scenario can be judged: some need what no other endpoint than ours, or AWS itself, does.
JudgedOn = Literal["embedded endpoint", "embedded endpoint or AWS", "any endpoint"]
#: The groups of scenarios, in the order of the tables.
Theme = Literal[
    "The same work, twice",
    "A process dies or shuts down",
    "Work that takes long",
    "Work that fails",
    "Order",
    "Several systems, no transaction",
    "Message contents",
    "Load",
    "Lambda",
]


@dataclass(frozen=True, slots=True)
class NaiveTwin:
    """The same scenario with the protecting pattern switched off.

    Attributes:
        consumer: the consumer that leaves the pattern out, as ``module:Class``; empty where it is not the consumer.
        without: what it leaves out, in words that complete "without ...".
        violation: the invariant that it must violate.
        producer: the producer that leaves it out, likewise.
        settings: parameters of the scenario by which it is left out, and which the user may not set then.
        function: settings of the Lambda function and its mapping by which it is left out.
    """

    consumer: str
    without: str
    violation: str
    producer: str = ""
    settings: Mapping[str, float] = field(default_factory=dict)
    function: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryRates:
    """How often a standard queue shows its less pleasant side, as probabilities; only the embedded endpoint obeys.

    Attributes:
        reorder: a receive picks another message than the oldest.
        duplicate: a delivery leaves the message visible as well.
        underfill: a receive brings fewer messages than it could.
    """

    reorder: float = 0.1
    duplicate: float = 0.02
    underfill: float = 0.1


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that can go wrong with queues, staged and judged.

    Attributes:
        summary: what it shows, one line for the tables of scenarios.
        judged_on: where the scenario can be judged.
        needs: what an endpoint must do for it, in words that complete "an endpoint that ...".
        theme: the group of scenarios that it belongs to; None where no table lists it.
        pattern: what protects from the failure, in a few words.
        pace: ``fast`` ends in seconds.
        run: the scenario; it holds a lab and never asks which tier it is in.
        invariants: what must hold of the history.
        witnesses: what must have happened in it.
        least: the smallest parameters with which the scenario can be told.
        max_batch_size: the most messages a receive with which the scenario can be told.
        delivery: how the queue behaves.
        consumer: the class that has the pattern under study, as ``module:Class``; empty for the consumer itself.
        any_program: whether a program of any make can take the consumer's place: what the scenario is about, and what
            strikes in it, can be seen from outside (see ``scenarios.checks.external_program``).
        any_handler: whether a Lambda handler of any make can take it, polled for by an event source mapping.
        function: what is staged of the function and its mapping, where the scenario's consumer is one; None where it
            polls by itself.
        by_request: a program has to do more than the usual in it, such as to fetch payloads, so a suite of programs
            leaves it out.
        any_effect: whether a side effect may also be one that the lab only watches: rows of a table, lines of a log.
            Nothing fails there on purpose, and a delay or a crash before it strikes at the request before it.
        producer: likewise, where it is a producer that has it.
        speed: how many seconds the local tier's clock runs in a real one, by default.
        seconds: how long it takes by itself, about; a set begins with what takes longest.
        purge_seconds: within how many seconds a purge is complete; only the embedded endpoint obeys.
        delay_budget: seconds by which random faults of the simulated tier may delay the scenario in all; finite where
            the pattern promises a time.
        topology: the row of the topology whose queue and tables it uses; empty for the one of its own name.
        tolerates_exits: a program that ends by itself does not end the run: another one takes over, as where a
            supervisor restarts it.
        relies_on: by invariant, the pattern without which what the scenario stages may violate it. That convicts no
            consumer that does not declare the pattern.
        gives_back: it asks a consumer to end that holds messages. They go back, which costs each a receive; the
            simulated tier sets it aside until then.
    """

    name: str
    summary: str
    pace: Pace
    run: Callable[[Lab], None]
    invariants: tuple[Invariant, ...]
    witnesses: tuple[Witness, ...]
    naive_twin: NaiveTwin
    defaults: Parameters
    least: Parameters = field(default_factory=lambda: Parameters(1, 1))
    max_batch_size: int = MAX_ENTRIES
    delivery: DeliveryRates = field(default_factory=DeliveryRates)
    consumer: str = ""
    any_program: bool = False
    any_handler: bool = False
    function: FunctionStage | None = None
    any_effect: bool = False
    by_request: bool = False
    producer: str = ""
    speed: float = 1.0
    seconds: float = 3.0
    purge_seconds: float = 0.0
    delay_budget: float = inf
    gives_back: bool = False
    judged_on: JudgedOn = "any endpoint"
    needs: str = ""
    theme: Theme | None = None
    pattern: str = ""
    topology: str = ""
    tolerates_exits: bool = False
    relies_on: Mapping[str, Pattern] = field(default_factory=dict)

    @property
    def resources(self) -> str:
        """The name of the topology's row that it uses."""
        return self.topology or self.name

    def parameters(self, given: Mapping[str, float | None], *, naive: bool = False) -> Parameters:
        """Return the defaults with what was given in their place, and what makes the naive twin of a naive run.

        Raises:
            RequestError: a value is out of range, or the scenario cannot be told with it.
        """
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        fixed = self.naive_twin.settings if naive else {}
        for name, value in fixed.items():
            if changes.setdefault(name, value) != value:
                raise RequestError(f"--set {name} is {changes[name]}; the naive twin of {self.name} has {value}.")
        wanted = replace(self.defaults, **changes)
        for item in fields(wanted):
            value = getattr(wanted, item.name)
            least, most = self._bounds(item)
            if not least <= value <= most:
                option = f"--{item.name.replace('_', '-')}" if item.name in COMMON else f"--set {item.name}"
                bounds = f"{least} to {most}" if least < most else f"{least}"
                raise RequestError(f"{option} is {value}; the scenario {self.name} needs {bounds}.")
        return wanted

    def function_settings(self, handler: Handler | None = None, *, naive: bool = False) -> FunctionSettings:
        """Return the settings of the function and its mapping: a user's handler has what its options say."""
        stage = self.function or FunctionStage()
        settings = FunctionSettings().changed(stage.staged)
        if handler is not None:
            few = {} if self.function else {"maximum_concurrency": DEFAULT_MAXIMUM_CONCURRENCY}
            return settings.changed({**few, **handler.settings})
        return settings.changed({**stage.pattern, **(self.naive_twin.function if naive else {})})

    def settings(self, given: Sequence[str]) -> dict[str, float]:
        """Return what ``--set`` options ask for, each of its parameter's type.

        Args:
            given: texts such as ``work=2.5``.

        Raises:
            RequestError: a text is no ``key=value``, names no parameter of this scenario, or is of another type.
        """
        known = {item.name: item for item in fields(self.defaults)}
        found: dict[str, float] = {}
        for text in given:
            key, equals, value = text.partition("=")
            name = key.strip().replace("-", "_")
            if not equals:
                raise RequestError(f"--set takes key=value, such as count=20, and is {text!r}.")
            if name not in known:
                raise RequestError(
                    f"The scenario {self.name} has no parameter {key.strip()!r}; it has: {', '.join(known)}."
                )
            if name in found:
                raise RequestError(f"--set gives {name} twice; give it once.")
            kind = type(getattr(self.defaults, name))
            found[name] = _parsed(kind, value.strip(), f"--set {name}")
        return found

    def _bounds(self, item: Field[Any]) -> tuple[float, float]:
        match item.name:
            case "count":
                return self.least.count, MAX_COUNT
            case "batch_size":
                return self.least.batch_size, self.max_batch_size
        return item.metadata["min"], item.metadata["max"]


def _parsed(kind: type[Any], text: str, option: str) -> float:
    """Return a number; a whole one where the parameter is one."""
    number = whole_number(text) if kind is int else finite_number(text)
    if number is not None:
        return number
    raise RequestError(f"{option} must be a {'whole number' if kind is int else 'number'}, and is {text!r}.")
